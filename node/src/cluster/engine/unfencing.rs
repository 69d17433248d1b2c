//! The end of a fence by order of the cluster admin: this node goes on with its rows, because no node could give it a snapshot.

use std::time::Duration;

use super::{AdminOutcome, AdminRefusal, Engine, Event, Output};
use crate::{
    cluster::{FenceReason, LocalStatus, Seq, Tables},
    domain::Incarnation,
};

impl Engine {
    /// Goes on with this node's rows, as the cluster admin orders: no node could give it a snapshot. Deletes that members have
    /// purged by now count as known.
    pub(super) fn unfence<T: Tables>(
        &mut self,
        tables: &mut T,
        dry_run: bool,
        out: &mut Vec<Output>,
    ) -> Result<Result<AdminOutcome, AdminRefusal>, T::Error> {
        let reason = match self.membership.status {
            LocalStatus::Fenced(reason) => reason,
            LocalStatus::Member => match self.why_waiting() {
                Some(reason) => reason,
                None if self.is_suspected() => FenceReason::BelowPurgeMark,
                None => return Ok(Err(AdminRefusal::NotFenced)),
            },
            LocalStatus::Blank => return Ok(Err(AdminRefusal::NotFenced)),
        };
        if !reason.is_forgivable() {
            return Ok(Err(AdminRefusal::CannotUnfence(reason)));
        }
        if self.is_another_source(Duration::ZERO) {
            return Ok(Err(AdminRefusal::OtherSource));
        }
        if dry_run {
            return Ok(Ok(AdminOutcome::Unfenced));
        }
        let marks: Vec<_> = self
            .peers
            .known
            .iter()
            .filter(|(_, contact)| contact.answered.is_some())
            .flat_map(|(member, contact)| {
                let inherited = contact.hello.inherited.iter().copied();
                inherited.chain([(*member, contact.hello.purged)])
            })
            .filter(|(member, purged)| !self.is_above_head(*member, *purged))
            .collect();
        for (member, purged) in marks {
            if purged > self.forgiven(member) {
                self.membership.forgiven.retain(|(of, _)| *of != member);
                self.membership.forgiven.push((member, purged));
            }
        }
        self.membership.status = LocalStatus::Member;
        self.membership.joined_without = Vec::new();
        self.abort_join(tables)?;
        self.put_membership(tables)?;
        self.forget_suspicions();
        out.push(Output::Event(Event::Unfenced));
        Ok(Ok(AdminOutcome::Unfenced))
    }

    /// Whether a purge mark is above the head that its node reported in an answer.
    fn is_above_head(&self, member: Incarnation, purged: Seq) -> bool {
        let answered = self
            .peers
            .known
            .get(&member)
            .and_then(|contact| contact.answered);
        answered.is_some_and(|answered| purged > answered.head)
    }
}
