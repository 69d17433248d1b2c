//! The view that a node shows of itself and of the cluster.

use std::{collections::BTreeSet, time::Duration};

use super::{DigestView, Engine, Now};
use crate::{
    cluster::{Address, ClusterUid, FenceReason, LocalStatus, MemberState, Seq, State},
    domain::{Clock, Incarnation},
};

/// One node as its own engine sees the cluster, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// This database.
    pub incarnation: Incarnation,
    /// The state of the node in its cluster.
    pub state: MemberState,
    /// Why it serves no reads; `None` while it does.
    pub not_ready: Option<String>,
    /// Why no other node relies on it although it serves; `None` while they do.
    pub suspended: Option<String>,
    /// Whether it waits for its owner (`osc-node unfence`).
    pub waits_for_owner: bool,
    /// Why it must load a new snapshot, fenced or suspended; `None` where it need not.
    pub fenced: Option<FenceReason>,
    /// The cluster's uid.
    pub cluster_uid: Option<ClusterUid>,
    /// Its last sequence.
    pub head: Seq,
    /// The highest clock of a purged tombstone: a version up to it may be gone for good.
    pub purged_clock: Clock,
    /// The digest of its rows that are old enough to be compared; `None` where nodes do not compare.
    pub digest: Option<DigestView>,
    /// All other nodes: members of the roster, and others that answer.
    pub members: Vec<MemberView>,
    /// Listed nodes whose name is not known yet.
    pub unknown: usize,
    /// How many of them can be neither one of `members` nor this node.
    pub unseen: usize,
    /// Federated: nodes that hold values of an earlier life and have not taken them back yet, whatever their state.
    pub taking_back: Vec<String>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub struct MemberView {
    /// Its name.
    pub name: String,
    /// Its database.
    pub incarnation: Incarnation,
    /// Its state by the roster; blank where it is in none.
    pub state: MemberState,
    /// Whether it answers.
    pub reachable: bool,
    /// Whether it answers and acknowledges in time.
    pub healthy: bool,
    /// Whether it serves reads.
    pub ready: bool,
    /// Changes of this node that it does not hold yet.
    pub lag: u64,
    /// Changes of the member that this node does not hold yet.
    pub behind: u64,
    /// How far its wall clock is ahead, in microseconds.
    pub clock_offset_micros: i64,
    /// Its release.
    pub release: String,
    /// The fingerprint of its salt.
    pub salt: Option<String>,
    /// Whether it keeps the seals of values that another node has it write.
    pub keeps_seals: bool,
    /// Its live entries.
    pub entries: u64,
    /// How its rows compared with this node's, the last time.
    pub digest: Option<DigestView>,
    /// Where it may be reached.
    pub address: Option<Address>,
    /// Whether it is a joining, full or leaving member, whose changes count.
    pub counts: bool,
    /// Whether it knows all that this node knows of each member.
    pub knows_roster: bool,
    /// Its last sequence, as it reported last.
    pub head: Seq,
    /// How far this node holds its feed.
    pub received: Seq,
}

impl View {
    /// How many other nodes there are, and how many of them are healthy. A database that belongs to no cluster does not count
    /// beside the member of its name: it was that member's a moment ago, or will take its place.
    pub fn others(&self) -> (usize, usize) {
        let has_namesake = |name: &str| {
            let mut members = self.members.iter();
            members.any(|member| member.state != MemberState::Blank && member.name == name)
        };
        let counted = self
            .members
            .iter()
            .filter(|member| member.state != MemberState::Blank || !has_namesake(&member.name));
        let (total, healthy) = counted.fold((0, 0), |(total, healthy), member| {
            (total + 1, healthy + usize::from(member.healthy))
        });
        (total + self.unseen, healthy)
    }
}

impl MemberView {
    /// How far its wall clock is ahead, in seconds; negative where it is behind.
    pub fn clock_offset_seconds(&self) -> f64 {
        let micros = self.clock_offset_micros;
        let seconds = Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
        if micros < 0 { -seconds } else { seconds }
    }
}

impl Engine {
    /// The node and its cluster as they are just now.
    pub fn view(&self, now: Now) -> View {
        let state = if self.setup.clustered {
            match self.membership.status {
                LocalStatus::Blank => MemberState::Blank,
                LocalStatus::Fenced(_) => MemberState::Fenced,
                LocalStatus::Member => self.my_state().map_or(MemberState::Removed, State::shown),
            }
        } else {
            MemberState::Standalone
        };
        let members = self.members(now);
        let unknown = self.peers.unknown();
        View {
            incarnation: self.incarnation,
            state,
            not_ready: self.why_not_ready(now),
            suspended: self.why_suspended(),
            waits_for_owner: self.waits_for_owner(),
            fenced: match self.membership.status {
                LocalStatus::Fenced(reason) => Some(reason),
                LocalStatus::Blank | LocalStatus::Member => self.why_waiting(),
            },
            cluster_uid: self.membership.cluster_uid,
            head: self.last,
            purged_clock: self.membership.purged_clock,
            digest: self.rounds.mine(),
            unseen: unknown.saturating_sub(self.may_be_unknown(&members, now)),
            members,
            unknown,
            taking_back: self.taking_back(now),
        }
    }

    /// How many counted nodes may be among the unknown addresses of the list: members without a listed address, and this node
    /// until it has found itself.
    fn may_be_unknown(&self, members: &[MemberView], now: Now) -> usize {
        let lost = members
            .iter()
            .filter(|member| !self.peers.is_listed(member.incarnation));
        lost.count() + usize::from(self.looks_for_itself(now))
    }

    fn taking_back(&self, now: Now) -> Vec<String> {
        let here = self.takes_back.then_some(&self.setup.name);
        let others = self
            .peers
            .known
            .values()
            .filter(|contact| contact.is_alive(now.elapsed) && contact.hello.takes_back)
            .map(|contact| &contact.hello.name);
        here.into_iter()
            .chain(others)
            .map(ToString::to_string)
            .collect()
    }

    fn members(&self, now: Now) -> Vec<MemberView> {
        // A process that has joined uses the incarnation of its admission, and used another one a moment ago.
        let joined: BTreeSet<_> = self
            .peers
            .known
            .iter()
            .filter(|(incarnation, _)| self.states.contains_key(incarnation))
            .map(|(_, contact)| contact.hello.process_epoch)
            .collect();
        let strangers = self
            .peers
            .known
            .iter()
            .filter(|(incarnation, contact)| {
                !self.states.contains_key(incarnation)
                    && !joined.contains(&contact.hello.process_epoch)
                    && contact.is_alive(now.elapsed)
            })
            .map(|(incarnation, _)| (*incarnation, MemberState::Blank));
        let mut members: Vec<_> = self
            .states
            .iter()
            .filter(|(incarnation, state)| {
                **incarnation != self.incarnation
                    && !matches!(state, State::Superseded | State::Removed)
            })
            .map(|(incarnation, state)| (*incarnation, state.shown()))
            .chain(strangers)
            .map(|(incarnation, state)| self.member(incarnation, state, now))
            .collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        members
    }

    fn member(&self, incarnation: Incarnation, state: MemberState, now: Now) -> MemberView {
        let contact = self.peers.known.get(&incarnation);
        let hello = contact.map(|contact| &contact.hello);
        let name = self
            .roster
            .entry(incarnation)
            .map(|entry| &entry.name)
            .or(hello.map(|hello| &hello.name));
        let held = self.held_by(incarnation).unwrap_or(Seq::START);
        MemberView {
            name: name.map(ToString::to_string).unwrap_or_default(),
            incarnation,
            state,
            reachable: contact.is_some_and(|contact| contact.is_alive(now.elapsed)),
            healthy: contact.is_some_and(|contact| contact.is_healthy(now.elapsed)),
            ready: hello.is_some_and(|hello| hello.ready),
            lag: self.last.since(held),
            behind: hello.map_or(0, |hello| hello.head.since(self.received_from(hello))),
            clock_offset_micros: contact.map_or(0, |contact| contact.offset_micros),
            release: hello.map(|hello| hello.release.clone()).unwrap_or_default(),
            salt: hello.and_then(|hello| hello.salt.clone()),
            keeps_seals: hello.is_some_and(|hello| hello.protocol.has_seals()),
            entries: hello.map_or(0, |hello| hello.entries),
            digest: self.rounds.of(incarnation),
            address: self.peers.route_to(incarnation).cloned(),
            counts: self
                .states
                .get(&incarnation)
                .is_some_and(|state| state.counts()),
            knows_roster: hello.is_some_and(|hello| hello.roster == self.roster_fingerprint),
            head: hello.map_or(Seq::START, |hello| hello.head),
            received: hello.map_or(Seq::START, |hello| self.received_from(hello)),
        }
    }
}
