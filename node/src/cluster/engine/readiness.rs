//! When a node may serve: once it holds the rows that the others held when it started or joined.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Engine, Event, Now, Output};
use crate::{
    cluster::limits::joining::{LOOKS_FOR_ITSELF, WAITED_FOR},
    cluster::{LocalStatus, PeerInfo, Phase, Rule, State, Tables},
    domain::Incarnation,
};

/// Whether the node serves, and its wait until then.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Readiness {
    ready: bool,
    /// Members whose answers show that their next writes wait for this node.
    told: BTreeSet<Incarnation>,
    /// When this node became a member, if it joined in this life, or found itself: answers to earlier requests do not count.
    since: Option<Duration>,
}

impl Readiness {
    pub(super) fn new(ready: bool) -> Self {
        Self {
            ready,
            told: BTreeSet::new(),
            since: None,
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new(false);
    }

    /// From now on others can call this node. Before, they could not send it their writes, and did not wait for it.
    pub(super) fn found_itself(&mut self, now: Now) {
        self.told.clear();
        self.since = Some(now.elapsed);
    }
}

impl Engine {
    /// Whether this node serves reads.
    pub fn is_ready(&self) -> bool {
        if !self.setup.clustered {
            return true;
        }
        self.readiness.ready && self.is_member()
    }

    /// Whether this node has held the rows of the others since it started or joined, whatever its state is now.
    pub(super) fn has_been_ready(&self) -> bool {
        self.readiness.ready
    }

    /// Follows an engine of this process whose transaction failed. Reports of others are as true as before. A node that was
    /// ready when it last committed is ready still: the failed transaction took no row away, and a disk that stays full must
    /// not end reads. Readiness that the failed transaction gained does not count: it is not durable.
    pub fn follow(&mut self, failed: &mut Self, was_ready: bool) {
        if was_ready
            && failed.incarnation == self.incarnation
            && self.my_state() == Some(State::Member)
        {
            self.readiness.ready = true;
        }
        self.peers = std::mem::take(&mut failed.peers);
        self.peers.give_up_exchanges();
    }

    /// Whether this node gives snapshots: it holds the rows of the others. A leaving node gives them too, because members that
    /// must hold its rows may need a snapshot for that.
    pub(super) fn is_source(&self) -> bool {
        let may_lack_deletes =
            self.is_suspected() && self.setup.rules.hold(Rule::SuspectsGiveNoSnapshots);
        self.readiness.ready && self.holds_data() && !may_lack_deletes
    }

    fn holds_data(&self) -> bool {
        self.membership.status == LocalStatus::Member
            && matches!(
                self.my_state(),
                Some(State::Joining | State::Member | State::Leaving)
            )
    }

    /// Notes that a member answered: the member knows this node's present state, so its later writes wait for this node.
    pub(super) fn note_answer(
        &mut self,
        now: Now,
        hello: &PeerInfo,
        exchange_began: Option<Duration>,
    ) {
        let since = self.readiness.since.unwrap_or_default();
        let waits_for_me = !hello.waits_no_longer
            || now.elapsed.saturating_sub(since) >= WAITED_FOR
            || !self.setup.rules.hold(Rule::ReadyNodesAreWaitedFor);
        let knows_me = hello.roster == self.roster_fingerprint
            && hello.cluster_uid == self.membership.cluster_uid
            && !hello.fenced;
        let is_late_enough = exchange_began >= Some(since);
        if !self.readiness.ready && knows_me && waits_for_me && is_late_enough {
            self.readiness.told.insert(hello.incarnation);
        }
    }

    /// Whether this node waits for a member's answer.
    pub(super) fn wants_answer(&self, member: Incarnation) -> bool {
        !self.readiness.ready && !self.readiness.told.contains(&member)
    }

    /// Begins to serve once this node holds the rows of the others. A joining node acknowledges first, and then checks once
    /// more: it must hold all writes from before the others waited for it.
    pub(super) fn check_readiness<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.readiness.ready || !self.holds_data() {
            return Ok(());
        }
        let waits = self.setup.rules.hold(Rule::ReadyWaitsForHeads);
        if self.behind(now).is_some() && waits {
            return Ok(());
        }
        if self.my_state() == Some(State::Joining) {
            // It stands by no write yet, and may have to join anew.
            if self.is_suspected() && self.setup.rules.hold(Rule::SuspectsBecomeNoMembers) {
                return Ok(());
            }
            self.advance(tables, Phase::Member)?;
            self.readiness.told.clear();
            self.readiness.since = Some(now.elapsed);
            if self.behind(now).is_some() && waits {
                return Ok(());
            }
        }
        self.readiness.ready = true;
        self.readiness.told.clear();
        if self.is_ready() {
            out.push(Output::Event(Event::Ready));
        }
        Ok(())
    }

    /// The reason why a node does not serve; `None` where no reason is left.
    pub(super) fn why_not_ready(&self, now: Now) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        match (self.membership.status, self.my_state()) {
            (LocalStatus::Blank, _) if self.has_rows => Some(
                "it holds entries but belongs to no cluster: bootstrap it here (osc-node bootstrap), or bring its entries into \
                 the other cluster (osc-node import --from its database, with the settings of a member)"
                    .to_owned(),
            ),
            (LocalStatus::Blank, _) if self.hears_two_clusters(now) => Some(
                "it hears of two clusters and joins neither: its list must name the nodes of one"
                    .to_owned(),
            ),
            (LocalStatus::Blank, _) if self.join.is_some() => {
                Some("it is taking a snapshot".to_owned())
            }
            (LocalStatus::Blank, _) => Some(format!(
                "it belongs to no cluster: it joins when it reaches a ready member; a new cluster is bootstrapped with \
                 osc-node bootstrap{}",
                self.strangers()
            )),
            (LocalStatus::Fenced(reason), _) => Some(format!(
                "it is fenced: {}; it joins anew when it reaches a ready member{}",
                reason.text(),
                self.strangers()
            )),
            (LocalStatus::Member, Some(State::Leaving)) => {
                Some("it is leaving the cluster".to_owned())
            }
            (LocalStatus::Member, Some(State::Left)) => Some("it has left the cluster".to_owned()),
            (LocalStatus::Member, Some(State::Removed | State::Superseded) | None) => {
                Some("it does not belong to the cluster any more".to_owned())
            }
            // Where no row is missing, the next check ends the wait; until then the node does not serve.
            (LocalStatus::Member, Some(State::Member | State::Joining)) => Some(
                self.behind(now)
                    .or_else(|| self.why_joining())
                    .unwrap_or_else(|| "it is about to serve".to_owned()),
            ),
        }
    }

    /// Whether existing others may be about to find this node: a starting pod has no DNS name for a moment.
    pub(super) fn looks_for_itself(&self, now: Now) -> bool {
        now.elapsed < LOOKS_FOR_ITSELF
            && self.peers.may_find_itself()
            && self.counting().next().is_some()
    }

    /// The nodes that do not talk with this node and the causes, as the end of a sentence; empty where there is none.
    fn strangers(&self) -> String {
        let mut apart = BTreeMap::<_, Vec<_>>::new();
        for (address, route) in &self.peers.routes {
            if let Some(refusal) = route.refusal.as_ref().filter(|refusal| refusal.stays()) {
                let addresses = apart.entry(refusal.advice()).or_default();
                addresses.push(address.as_str());
            }
        }
        let strangers = apart.into_iter().map(|(advice, addresses)| {
            let addresses = addresses.join(", ");
            format!("; it does not talk with {addresses}: {advice}")
        });
        strangers.collect::<Vec<_>>().concat()
    }

    fn behind(&self, now: Now) -> Option<String> {
        if !self.peers.went_round() {
            return Some("it has not heard from every listed node yet".to_owned());
        }
        if self.looks_for_itself(now) {
            return Some(
                "its own address does not lead to it yet, so no node can call it".to_owned(),
            );
        }
        self.peers.known.iter().find_map(|(member, contact)| {
            let waited_for = contact.is_alive(now.elapsed)
                && contact.hello.cluster_uid == self.membership.cluster_uid
                && !contact.hello.fenced
                && !contact.answered.is_some_and(|answered| answered.yields)
                && matches!(
                    self.states.get(member),
                    Some(State::Member | State::Leaving)
                );
            if !waited_for {
                return None;
            }
            let name = &contact.hello.name;
            if !self.readiness.told.contains(member) {
                return Some(format!("it has not heard yet what '{name}' holds"));
            }
            // The last reported head, not an earlier one: a row that was written again has left its earlier place.
            let missing = contact.hello.head.since(self.received_from(&contact.hello));
            (missing > 0)
                .then(|| format!("it is catching up with '{name}': {missing} changes to go"))
        })
    }
}
