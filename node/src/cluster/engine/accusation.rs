//! The accusations of greetings against this node: that it went back, or missed deletes that are purged. What they weigh is
//! in `suspicion`.

use std::time::Duration;

use super::Engine;
use crate::{
    cluster::{FenceReason, PeerInfo, PurgeMarks, Rule, Seq, State},
    domain::Incarnation,
};

impl Engine {
    /// The purge mark of a member up to which the cluster admin lets this node go on without the deletes.
    pub(super) fn forgiven(&self, member: Incarnation) -> Seq {
        let mut forgiven = self.membership.forgiven.iter();
        forgiven
            .find(|(of, _)| *of == member)
            .map_or(Seq::START, |(_, seq)| *seq)
    }

    /// The accusation of a greeting against this node.
    pub(super) fn accusation(
        &self,
        hello: &PeerInfo,
        asked: Option<Duration>,
    ) -> Option<FenceReason> {
        let rules = self.setup.rules;
        let holds_more_than_there_is = hello
            .received
            .is_some_and(|(of, seq)| of == self.incarnation && seq > self.last);
        if holds_more_than_there_is && rules.hold(Rule::FenceRolledBack) {
            return Some(FenceReason::RolledBack);
        }
        // A mark above the head that this process reported in an answer is damage.
        let is_damage = asked.is_none()
            && rules.hold(Rule::GreetingsAreAskedFor)
            && self
                .peers
                .known
                .get(&hello.incarnation)
                .is_some_and(|contact| {
                    contact.answered.is_some_and(|answered| {
                        answered.process_epoch == hello.process_epoch
                            && hello.purged > answered.head
                    })
                });
        let missed = self.missed_what_it_purged(hello) && !is_damage;
        let missed_before =
            self.missed_any(&hello.inherited) && rules.hold(Rule::PurgeMarksAreInherited);
        // No node waits for a node that has left, which itself waits for its removal.
        ((missed || missed_before) && self.my_state() != Some(State::Left))
            .then_some(FenceReason::BelowPurgeMark)
    }

    /// Whether a member purged rows of its feed that this node has not read.
    pub(super) fn missed_what_it_purged(&self, hello: &PeerInfo) -> bool {
        let known = self
            .received_from(hello)
            .max(self.forgiven(hello.incarnation));
        hello.purged > known && self.setup.rules.hold(Rule::HonourPurgeMarks)
    }

    /// Whether this node misses deletes that were purged before the snapshot of another node was made. Purges of a removed
    /// member do not count: it did not wait for the nodes that had removed it.
    fn missed_any(&self, inherited: &PurgeMarks) -> bool {
        inherited.iter().any(|(of, purged)| {
            let held = self.cursors.get(of).map(|cursor| cursor.received);
            *of != self.incarnation
                && self.states.get(of) != Some(&State::Removed)
                && held.unwrap_or_default().max(self.forgiven(*of)) < *purged
        })
    }
}
