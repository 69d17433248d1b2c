//! Writes that wait until other nodes hold them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{AckLevel, ReplyId, Seq, Written};
use crate::domain::{Identity, Incarnation};

/// A write that is durable here and not answered yet.
#[derive(Debug)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Waiting {
    written: Written,
    identity: Identity,
    level: AckLevel,
    /// The members that do not hold it yet.
    missing: BTreeSet<Incarnation>,
    /// Members that cannot be asked, because no node knows their incarnation.
    unknown: usize,
    until: Duration,
}

/// The change that a member must hold, and the caller that waits.
type Place = (Seq, ReplyId);

/// All writes that wait. Batches bring a thousand at a time: none is looked for among all of them.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct WaitingWrites {
    writes: BTreeMap<Place, Waiting>,
    /// The latest change of each entry of which a write waits: all writes of the entry wait there.
    latest: BTreeMap<Identity, Seq>,
}

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
        self.replaced(&identity, seq);
        self.latest.insert(identity.clone(), seq);
        let waiting = Waiting {
            written,
            identity,
            level,
            missing: members,
            unknown,
            until: now + level.timeout(),
        };
        self.writes.insert((seq, reply), waiting);
        None
    }

    /// An entry has a later version. Its earlier ones are no longer in the feed, so a member that holds the feed up to an
    /// earlier sequence may hold none of them.
    pub(super) fn replaced(&mut self, identity: &Identity, seq: Seq) {
        let Some(latest) = self.latest.get_mut(identity) else {
            return;
        };
        let before = std::mem::replace(latest, seq);
        let of_entry = self.writes.range(all_at(before));
        let of_entry = of_entry.filter(|(_, waiting)| waiting.identity == *identity);
        let places: Vec<_> = of_entry.map(|(place, _)| *place).collect();
        for place in places {
            if let Some(waiting) = self.writes.remove(&place) {
                self.writes.insert((seq, place.1), waiting);
            }
        }
    }

    /// A member holds all changes up to a sequence; gives the writes that waited for that alone.
    pub(super) fn acknowledged(
        &mut self,
        member: Incarnation,
        up_to: Seq,
    ) -> Vec<(ReplyId, Written)> {
        let mut held = Vec::new();
        for (place, waiting) in self.writes.range_mut(..=(up_to, ReplyId(u64::MAX))) {
            if waiting.missing.remove(&member) {
                waiting.written.held_by += 1;
            }
            if waiting.missing.is_empty() && waiting.unknown == 0 {
                held.push(*place);
            }
        }
        let held = held.into_iter().filter_map(|place| self.take(place));
        held.map(|(reply, waiting)| (reply, waiting.written))
            .collect()
    }

    /// Gives the writes that waited long enough, and the members that a write for healthy nodes only missed.
    pub(super) fn expire(
        &mut self,
        now: Duration,
    ) -> (Vec<(ReplyId, Written)>, BTreeSet<Incarnation>) {
        let expired = self
            .writes
            .iter()
            .filter(|(_, waiting)| waiting.until <= now);
        let expired: Vec<_> = expired.map(|(place, _)| *place).collect();
        let (mut answers, mut missed) = (Vec::new(), BTreeSet::new());
        for (reply, waiting) in expired.into_iter().filter_map(|place| self.take(place)) {
            if waiting.level == AckLevel::Healthy {
                missed.extend(waiting.missing);
            }
            answers.push((reply, waiting.written));
        }
        (answers, missed)
    }

    /// Gives all waiting writes, as they are.
    pub(super) fn drain(&mut self) -> Vec<(ReplyId, Written)> {
        self.latest.clear();
        std::mem::take(&mut self.writes)
            .into_iter()
            .map(|((_, reply), waiting)| (reply, waiting.written))
            .collect()
    }

    fn take(&mut self, place: Place) -> Option<(ReplyId, Waiting)> {
        let waiting = self.writes.remove(&place)?;
        let mut others = self.writes.range(all_at(place.0));
        if !others.any(|(_, other)| other.identity == waiting.identity) {
            self.latest.remove(&waiting.identity);
        }
        Some((place.1, waiting))
    }
}

/// All places of a change.
fn all_at(seq: Seq) -> std::ops::RangeInclusive<Place> {
    (seq, ReplyId(0))..=(seq, ReplyId(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, Timestamp, Version};

    const MEMBER: Incarnation = Incarnation::from_raw(2);

    fn add(waiting: &mut WaitingWrites, reply: u64, key: &str, seq: i64) {
        let written = Written {
            version: Version {
                clock: Clock::from_raw(seq),
                incarnation: Incarnation::from_raw(1),
            },
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            held_by: 1,
            wanted: 1,
        };
        let place = (Identity::of("", key).unwrap(), Seq::from_raw(seq));
        let audience = AckTargets {
            members: [MEMBER].into(),
            unknown: 0,
        };
        let (reply, level) = (ReplyId(reply), AckLevel::Healthy);
        let answered = waiting.add(reply, written, place, level, audience, Duration::ZERO);
        assert_eq!(answered, None);
    }

    fn acknowledged(waiting: &mut WaitingWrites, up_to: i64) -> Vec<u64> {
        let held = waiting.acknowledged(MEMBER, Seq::from_raw(up_to));
        held.into_iter().map(|(reply, _)| reply.0).collect()
    }

    #[test]
    fn a_write_waits_for_the_latest_version_of_its_entry_and_no_write_is_kept_once_it_is_answered()
    {
        let mut waiting = WaitingWrites::default();
        add(&mut waiting, 1, "a", 1);
        add(&mut waiting, 2, "b", 2);
        // Written again here, and then by another node.
        add(&mut waiting, 3, "a", 3);
        waiting.replaced(&Identity::of("", "a").unwrap(), Seq::from_raw(4));
        assert_eq!(acknowledged(&mut waiting, 3), [2]);
        assert_eq!(acknowledged(&mut waiting, 4), [1, 3]);
        assert!(waiting.writes.is_empty() && waiting.latest.is_empty());
        add(&mut waiting, 4, "a", 5);
        add(&mut waiting, 5, "c", 6);
        let (answers, missed) = waiting.expire(AckLevel::Healthy.timeout());
        assert_eq!((answers.len(), missed), (2, [MEMBER].into()));
        assert!(waiting.writes.is_empty() && waiting.latest.is_empty());
    }
}
