//! Accusations of others: that this node went back, or missed deletes that are purged. A greeting that arrives may be forged,
//! so it fences no node: this node asks the member, at its own address, and only a confirmation in two answers counts. Until
//! then this node is suspended: it serves reads, and no node relies on it.

mod stored;

use std::{collections::BTreeMap, time::Duration};

use super::{Engine, Event, Now, Output};
use crate::{
    cluster::{
        FenceReason, LocalStatus, PeerInfo, ProcessEpoch, Rule, State, Tables,
        limits::suspicion::{TIMEOUT, TRUST},
    },
    domain::{Clock, Incarnation, Timestamp},
};

/// The accusation of one member against this node.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Suspicion {
    reason: FenceReason,
    since: Duration,
    /// The first answer that confirmed it: its process, and the number of its greeting.
    confirmed: Option<(ProcessEpoch, u64)>,
    stage: Stage,
}

/// How far a suspicion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
enum Stage {
    /// The member is being asked.
    Asked,
    /// It did not answer.
    Unanswered,
    /// The member confirmed the suspicion, and no other node could give this one a snapshot.
    Proven,
}

/// All suspicions, by the member in whose name they came.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Suspicions {
    open: BTreeMap<Incarnation, Suspicion>,
    /// Until when greetings in a member's name raise none.
    trusted: BTreeMap<Incarnation, Duration>,
    /// Whether it was logged that this node waits for the cluster admin.
    told: bool,
}

impl Engine {
    /// Whether no node may rely on this one just now.
    pub(super) fn is_suspended(&self) -> bool {
        let mut open = self.suspicions.open.values();
        open.any(|suspicion| suspicion.stage != Stage::Unanswered)
    }

    /// The first stamp of a live row that this node feeds others while it may lack deletes; `None` while it lacks none. A row
    /// younger than the grace period cannot have been deleted and purged.
    pub(super) fn oldest_to_feed(&self, now: Now) -> Option<Clock> {
        let grace = i64::try_from(self.setup.grace.as_micros()).unwrap_or(i64::MAX);
        let since = Timestamp::from_micros(now.wall.as_micros().saturating_sub(grace));
        let holds_back = !self.suspicions.open.is_empty()
            && self.setup.rules.hold(Rule::SuspectsGiveNoSnapshots);
        holds_back.then(|| Clock::at(since))
    }

    /// Whether this node may lack deletes, its own writes, or what others never deleted.
    pub(super) fn is_suspected(&self) -> bool {
        !self.suspicions.open.is_empty() || self.rests_on_void_purges()
    }

    /// Whether this node waits for the cluster admin: it must load a snapshot, and no node could give one.
    pub(super) fn waits_for_owner(&self) -> bool {
        self.why_waiting().is_some()
    }

    /// Why this node must load a snapshot that no node could give.
    pub(super) fn why_waiting(&self) -> Option<FenceReason> {
        let mut open = self.suspicions.open.values();
        open.find(|suspicion| suspicion.stage == Stage::Proven)
            .map(|suspicion| suspicion.reason)
    }

    /// Why no node relies on this one, for people.
    pub(super) fn why_suspended(&self) -> Option<String> {
        if let Some(reason) = self.why_waiting() {
            let or_unfence = if reason.is_forgivable() {
                ", or run osc-node unfence"
            } else {
                ""
            };
            return Some(format!(
                "{}, and no other node could give it a snapshot: start a member that can{or_unfence}",
                reason.text()
            ));
        }
        let (name, reason) = self.first_suspicion()?;
        Some(format!(
            "a greeting of '{name}' says: {}; that node is asked",
            reason.text()
        ))
    }

    /// Why this node does not become a member, for people.
    pub(super) fn why_joining(&self) -> Option<String> {
        if self.waits_for_owner() {
            return self.why_suspended();
        }
        let (name, reason) = self.first_suspicion()?;
        Some(format!(
            "a greeting of '{name}' says: {}; it becomes a member once that node denies it, and joins anew once that node confirms \
             it; where '{name}' is gone for good: osc-node members remove {name} --force",
            reason.text()
        ))
    }

    fn first_suspicion(&self) -> Option<(String, FenceReason)> {
        let (member, suspicion) = self.suspicions.open.iter().next()?;
        let entry = self.roster.entry(*member);
        let name = entry.map(|entry| entry.name.to_string());
        Some((name.unwrap_or_default(), suspicion.reason))
    }

    /// Whether this node must ask a member about a suspicion.
    pub(super) fn asks_about(&self, member: Incarnation) -> bool {
        let suspicion = self.suspicions.open.get(&member);
        suspicion.is_some_and(|suspicion| suspicion.stage == Stage::Asked)
    }

    /// Weighs the accusation of a greeting. `asked` is the time of the request that it answers; `None` where it arrived by
    /// itself.
    pub(super) fn weigh<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        accusation: Option<FenceReason>,
        asked: Option<Duration>,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if !self.setup.rules.hold(Rule::GreetingsAreAskedFor) {
            return match accusation {
                Some(reason) => self.fence(tables, reason, out),
                None => Ok(()),
            };
        }
        let member = hello.incarnation;
        match (accusation, asked) {
            (None, None) => {}
            (Some(reason), None) => self.suspect(now, hello, reason, out),
            (None, Some(began)) => {
                if self.settle(now, member, began) {
                    out.push(Output::Event(Event::Acquitted {
                        name: hello.name.clone(),
                    }));
                }
            }
            (Some(reason), Some(began)) => {
                if self.confirm(now, hello, reason, began, out) {
                    self.fence_or_wait(tables, out)?;
                }
            }
        }
        Ok(())
    }

    /// Ends a suspicion by an answer to a later request; returns whether there was one.
    pub(super) fn settle(&mut self, now: Now, member: Incarnation, began: Duration) -> bool {
        let suspicion = self.suspicions.open.get(&member);
        let is_settled = suspicion.is_some_and(|suspicion| began >= suspicion.since);
        if is_settled {
            self.suspicions.open.remove(&member);
            self.suspicions.trusted.insert(member, now.elapsed + TRUST);
        }
        is_settled
    }

    /// Records the accusation of a greeting that arrived by itself.
    fn suspect(&mut self, now: Now, hello: &PeerInfo, reason: FenceReason, out: &mut Vec<Output>) {
        let member = hello.incarnation;
        let is_member = self
            .states
            .get(&member)
            .is_some_and(|state| state.counts() || *state == State::Left);
        let is_trusted = self.suspicions.trusted.get(&member) > Some(&now.elapsed);
        if is_member && !is_trusted && !self.suspicions.open.contains_key(&member) {
            self.open_suspicion(now, hello, reason, None, out);
        }
    }

    fn open_suspicion(
        &mut self,
        now: Now,
        hello: &PeerInfo,
        reason: FenceReason,
        confirmed: Option<(ProcessEpoch, u64)>,
        out: &mut Vec<Output>,
    ) {
        self.make_room_for(hello.incarnation);
        self.suspicions.open.insert(
            hello.incarnation,
            Suspicion {
                reason,
                since: now.elapsed,
                confirmed,
                stage: Stage::Asked,
            },
        );
        out.push(Output::Event(Event::Suspected {
            name: hello.name.clone(),
            reason,
        }));
    }

    /// Drops the oldest suspicions of nodes that the roster does not know: there is one node at each address that is asked. A
    /// database that went back may not know a true accuser, so they are dropped only for younger ones.
    fn make_room_for(&mut self, member: Incarnation) {
        let Self {
            suspicions: Suspicions { open, .. },
            states,
            peers,
            ..
        } = self;
        let is_stranger = |member: &Incarnation| !states.contains_key(member);
        if !is_stranger(&member) {
            return;
        }
        let most = peers.routes.len().max(1);
        loop {
            let strangers = open.iter().filter(|(member, _)| is_stranger(member));
            if strangers.clone().count() < most {
                return;
            }
            let oldest = strangers.min_by_key(|(_, suspicion)| suspicion.since);
            let Some(oldest) = oldest.map(|(member, _)| *member) else {
                return;
            };
            open.remove(&oldest);
        }
    }

    /// Records an answer that confirms a suspicion; returns whether it is the second one of that process.
    fn confirm(
        &mut self,
        now: Now,
        hello: &PeerInfo,
        reason: FenceReason,
        began: Duration,
        out: &mut Vec<Output>,
    ) -> bool {
        let said = (hello.process_epoch, hello.turn);
        let Some(suspicion) = self.suspicions.open.get_mut(&hello.incarnation) else {
            self.open_suspicion(now, hello, reason, Some(said), out);
            return false;
        };
        if began < suspicion.since {
            return false;
        }
        suspicion.reason = reason;
        match suspicion.confirmed {
            Some((process_epoch, turn)) if process_epoch == said.0 => {
                if said.1 > turn {
                    suspicion.stage = Stage::Proven;
                    return true;
                }
            }
            _ => suspicion.confirmed = Some(said),
        }
        false
    }

    /// Fences this node where a suspicion is proven and another node can give it a snapshot; otherwise this node waits.
    fn fence_or_wait<T: Tables>(
        &mut self,
        tables: &mut T,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let proven = self
            .suspicions
            .open
            .values()
            .find(|suspicion| suspicion.stage == Stage::Proven)
            .map(|suspicion| (suspicion.reason, suspicion.since));
        let Some((reason, since)) = proven else {
            self.suspicions.told = false;
            // It serves and feeds as before: writes that it acknowledged are to be with all others before it begins anew.
            let may_go = self.all_hold_mine()
                && self
                    .removed_in_vain()
                    .any(|member| self.gives_snapshots(member, Duration::ZERO));
            return if may_go {
                self.fence(tables, FenceReason::BelowPurgeMark, out)
            } else {
                Ok(())
            };
        };
        if self.is_another_source(since) || !self.setup.rules.hold(Rule::LastSourcesWait) {
            return self.fence(tables, reason, out);
        }
        if !self.suspicions.told {
            self.suspicions.told = true;
            out.extend(self.abandon());
            out.push(Output::Event(Event::WaitsForOwner(reason)));
        }
        Ok(())
    }

    /// Whether there are other members, and each of them holds this node's rows.
    fn all_hold_mine(&self) -> bool {
        let mut others = self.other_members().peekable();
        others.peek().is_some() && others.all(|other| self.held_by(other) >= Some(self.last))
    }

    /// Whether a member answered after a moment that it gives snapshots.
    pub(super) fn is_another_source(&self, since: Duration) -> bool {
        let mut others = self.peers.known.keys();
        others.any(|member| self.gives_snapshots(*member, since))
    }

    /// Whether this member answered after a moment that it gives snapshots.
    fn gives_snapshots(&self, member: Incarnation, since: Duration) -> bool {
        self.peers.known.get(&member).is_some_and(|contact| {
            // A member that an older database does not know is a member all the same.
            !matches!(
                self.states.get(&member),
                Some(State::Removed | State::Superseded)
            ) && contact
                .answered
                .is_some_and(|answered| answered.source && answered.began >= since)
                && !contact.unreachable
                && contact.hello.cluster_uid == self.membership.cluster_uid
        })
    }

    /// Updates the suspicions as time passes.
    pub(super) fn check_suspicions<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let trusted = &mut self.suspicions.trusted;
        trusted.retain(|_, until| *until > now.elapsed);
        if !self.is_suspected() {
            return Ok(());
        }
        // Accusations of a node that no longer belongs do not count.
        let (states, peers) = (&self.states, &self.peers);
        self.suspicions
            .open
            .retain(|member, _| match states.get(member) {
                Some(State::Removed | State::Superseded) => false,
                Some(_) => true,
                // At each address another node answers now.
                None => !peers.is_nowhere(*member),
            });
        for suspicion in self.suspicions.open.values_mut() {
            let waited = now.elapsed.saturating_sub(suspicion.since);
            if suspicion.stage == Stage::Asked && waited >= TIMEOUT {
                suspicion.stage = Stage::Unanswered;
            }
        }
        self.fence_or_wait(tables, out)
    }

    /// Forgets all suspicions: this node begins anew, or its owner decided.
    pub(super) fn forget_suspicions(&mut self) {
        self.suspicions.open.clear();
        self.suspicions.told = false;
    }

    /// The members that one behind this node's snapshot had removed in vain before it purged: they still have what this node lacks.
    fn removed_in_vain(&self) -> impl Iterator<Item = Incarnation> {
        let membership = &self.membership;
        let applies = membership.status == LocalStatus::Member
            && self.setup.rules.hold(Rule::VoidPurgesAreUndone);
        let members = membership.joined_without.iter().copied();
        members.filter(move |member| {
            let state = self.states.get(member);
            applies && state.is_some_and(|state| state.counts() || *state == State::Left)
        })
    }

    /// Whether this node lacks what one of them still serves, or may serve: one that is fenced serves nothing more.
    fn rests_on_void_purges(&self) -> bool {
        self.removed_in_vain().any(|member| {
            let contact = self.peers.known.get(&member);
            let answered = contact.filter(|contact| !contact.unreachable);
            let answered = answered.and_then(|contact| contact.answered);
            answered.is_none_or(|answered| answered.source)
        })
    }
}
