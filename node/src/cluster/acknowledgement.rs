//! Writes that wait until other nodes hold them.

use std::{collections::BTreeSet, time::Duration};

use super::{AckLevel, ReplyId, Seq, Written};
use crate::domain::{Identity, Incarnation};

/// A write that is durable here and not answered yet.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Waiting {
    reply: ReplyId,
    written: Written,
    identity: Identity,
    seq: Seq,
    level: AckLevel,
    /// The members that do not hold it yet.
    missing: BTreeSet<Incarnation>,
    /// Members that cannot be asked, because no node knows their incarnation.
    unknown: usize,
    until: Duration,
}

/// All writes that wait.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct WaitingWrites(Vec<Waiting>);

/// The nodes that a write waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct AckTargets {
    /// Incarnations that must hold it.
    pub(super) members: BTreeSet<Incarnation>,
    /// Listed nodes whose incarnation is unknown: they count, but cannot acknowledge.
    pub(super) unknown: usize,
}

impl WaitingWrites {
    /// Adds a write that waits, or gives it back where it waits for no member.
    pub(super) fn add(
        &mut self,
        reply: ReplyId,
        mut written: Written,
        (identity, seq): (Identity, Seq),
        level: AckLevel,
        audience: AckTargets,
        now: Duration,
    ) -> Option<(ReplyId, Written)> {
        let AckTargets { members, unknown } = audience;
        written.wanted = 1 + members.len() + unknown;
        if members.is_empty() {
            return Some((reply, written));
        }
        self.0.push(Waiting {
            reply,
            written,
            identity,
            seq,
            level,
            missing: members,
            unknown,
            until: now + level.timeout(),
        });
        None
    }

    /// An entry has a later version. Its earlier ones are no longer in the feed, so a member that holds the feed up to an
    /// earlier sequence may hold none of them.
    pub(super) fn replaced(&mut self, identity: &Identity, seq: Seq) {
        for waiting in self
            .0
            .iter_mut()
            .filter(|waiting| waiting.identity == *identity)
        {
            waiting.seq = seq;
        }
    }

    /// A member holds all changes up to a sequence; gives the writes that waited for that alone.
    pub(super) fn acknowledged(
        &mut self,
        member: Incarnation,
        up_to: Seq,
    ) -> Vec<(ReplyId, Written)> {
        for waiting in self.0.iter_mut().filter(|waiting| waiting.seq <= up_to) {
            if waiting.missing.remove(&member) {
                waiting.written.held_by += 1;
            }
        }
        self.take(|waiting| waiting.missing.is_empty() && waiting.unknown == 0)
            .map(|waiting| (waiting.reply, waiting.written))
            .collect()
    }

    /// Gives the writes that waited long enough, and the members that a write for healthy nodes only missed.
    pub(super) fn expire(
        &mut self,
        now: Duration,
    ) -> (Vec<(ReplyId, Written)>, BTreeSet<Incarnation>) {
        let expired: Vec<_> = self.take(|waiting| waiting.until <= now).collect();
        let missed = expired
            .iter()
            .filter(|waiting| waiting.level == AckLevel::Healthy)
            .flat_map(|waiting| waiting.missing.iter().copied())
            .collect();
        let answers = expired
            .into_iter()
            .map(|waiting| (waiting.reply, waiting.written))
            .collect();
        (answers, missed)
    }

    /// Gives all waiting writes, as they are.
    pub(super) fn drain(&mut self) -> Vec<(ReplyId, Written)> {
        self.take(|_| true)
            .map(|waiting| (waiting.reply, waiting.written))
            .collect()
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> impl Iterator<Item = Waiting> {
        let (taken, kept) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<Vec<_>, _>(|waiting| which(waiting));
        self.0 = kept;
        taken.into_iter()
    }
}
