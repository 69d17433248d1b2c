//! Changes that came from the node that made them, which tells them to every other member, too: few of them are passed on.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    cluster::{
        PassedOver, Seq,
        limits::feed::{RELAY_PAUSE, TOLD},
    },
    domain::Incarnation,
};

/// Changes of this node's feed without a gap, all from one message of the node that made them.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
struct Told {
    last: Seq,
    /// Where the writer's feed has them.
    source: PassedOver,
    at: Duration,
}

/// What is known of the changes that writers told themselves: of some of the latest. Forgotten ones are passed on.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct ToldByWriters(BTreeMap<Seq, Told>);

/// The beginning of the feed that a member does not need from this node.
#[derive(Debug)]
pub(super) struct Prefix {
    /// Where it ends.
    pub(super) to: Seq,
    /// The feeds that have its changes: the member may pass them over where it has read those.
    pub(super) elsewhere: Vec<PassedOver>,
    /// Whether its writer told the next change so lately that it may be telling the member just now.
    pub(super) waits: bool,
}

impl ToldByWriters {
    /// Notes that a change came from its writer, in a message with these changes of the writer's feed.
    pub(super) fn note(&mut self, seq: Seq, source: PassedOver, at: Duration) {
        if let Some(mut latest) = self.0.last_entry()
            && latest.get().last.next() == seq
            && latest.get().source == source
        {
            latest.get_mut().last = seq;
            return;
        }
        let told = Told {
            last: seq,
            source,
            at,
        };
        self.0.insert(seq, told);
        while self.0.len() > TOLD {
            self.0.pop_first();
        }
    }

    /// Whether a change came from its writer.
    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.at(seq).is_some()
    }

    fn at(&self, seq: Seq) -> Option<&Told> {
        let (_, told) = self.0.range(..=seq).next_back()?;
        (seq <= told.last).then_some(told)
    }

    /// The changes after a sequence that a member does not need from this node: its own, and where it can judge that itself those that
    /// their writers told a while ago.
    pub(super) fn prefix(
        &self,
        after: Seq,
        reader: Incarnation,
        judges: bool,
        now: Duration,
    ) -> Prefix {
        let mut prefix = Prefix::empty(after);
        while let Some(told) = self.at(prefix.to.next()) {
            if told.source.writer != reader {
                if !judges {
                    break;
                }
                if now.saturating_sub(told.at) < RELAY_PAUSE {
                    prefix.waits = true;
                    break;
                }
                prefix.pass_over(told.source);
            }
            prefix.to = told.last;
        }
        prefix
    }
}

impl Prefix {
    /// None of the feed after a sequence.
    pub(super) fn empty(after: Seq) -> Self {
        Self {
            to: after,
            elsewhere: Vec::new(),
            waits: false,
        }
    }

    fn pass_over(&mut self, source: PassedOver) {
        let of_writer = self.elsewhere.iter_mut().find(|other| {
            other.writer == source.writer && other.process_epoch == source.process_epoch
        });
        match of_writer {
            Some(other) => other.up_to = other.up_to.max(source.up_to),
            None => self.elsewhere.push(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ProcessEpoch;

    const WRITER: Incarnation = Incarnation::from_raw(1);
    const READER: Incarnation = Incarnation::from_raw(2);
    const TOLD_AT: Duration = Duration::from_secs(1);

    fn seq(raw: i64) -> Seq {
        Seq::from_raw(raw)
    }

    fn source(writer: Incarnation, up_to: i64) -> PassedOver {
        PassedOver {
            writer,
            process_epoch: ProcessEpoch::from_random(7),
            up_to: seq(up_to),
        }
    }

    /// Writers told changes 1 to 4 and 6, and none told 5.
    fn told() -> ToldByWriters {
        let mut told = ToldByWriters::default();
        told.note(seq(1), source(WRITER, 11), TOLD_AT);
        told.note(seq(2), source(WRITER, 11), TOLD_AT);
        told.note(seq(3), source(READER, 21), TOLD_AT);
        told.note(seq(4), source(WRITER, 12), TOLD_AT);
        told.note(seq(6), source(WRITER, 13), TOLD_AT);
        told
    }

    #[test]
    fn what_writers_told_a_while_ago_is_left_out_up_to_the_first_change_that_none_told() {
        let prefix = told().prefix(Seq::START, READER, true, TOLD_AT + RELAY_PAUSE);
        assert_eq!((prefix.to, prefix.waits), (seq(4), false));
        assert_eq!(prefix.elsewhere, [source(WRITER, 12)]);
        assert!(told().contains(seq(6)) && !told().contains(seq(5)));
    }

    #[test]
    fn what_a_writer_may_be_telling_just_now_waits() {
        let now = TOLD_AT + RELAY_PAUSE / 2;
        let prefix = told().prefix(Seq::START, READER, true, now);
        assert_eq!((prefix.to, prefix.waits), (Seq::START, true));
        assert_eq!(prefix.elsewhere, []);
    }

    #[test]
    fn a_member_that_does_not_judge_goes_without_its_own_changes_alone() {
        let now = TOLD_AT + RELAY_PAUSE;
        let prefix = told().prefix(Seq::START, READER, false, now);
        assert_eq!((prefix.to, prefix.waits), (Seq::START, false));
        let prefix = told().prefix(seq(2), READER, false, now);
        assert_eq!(prefix.to, seq(3));
        assert_eq!(prefix.elsewhere, []);
    }

    #[test]
    fn the_oldest_runs_are_forgotten() {
        let mut told = ToldByWriters::default();
        for number in (1..).take(TOLD + 1) {
            told.note(seq(number), source(WRITER, number), TOLD_AT);
        }
        assert!(!told.contains(seq(1)) && told.contains(seq(2)));
    }
}
