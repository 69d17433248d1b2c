//! How fast a client takes an answer: measured for each answer, whatever carries it.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use slab::Slab;

use crate::{budget::CutOff, config::Timeouts};

/// Maps that are locked one by one, so that requests do not wait for each other.
const SHARDS: usize = 16;

/// What a client owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The answer was all there: the client takes it at its rate, and within a time.
    Whole,
    /// It is made while it is sent: the client takes what waits for it.
    Streamed,
}

/// One answer, from when it is there until the last of it has left the node.
#[derive(Debug)]
pub(super) struct Meter {
    rule: Rule,
    began: Instant,
    handed_over: AtomicUsize,
    taken: AtomicUsize,
    /// Milliseconds from the beginning to when the client last took something, or had nothing to take.
    moved: AtomicU64,
    cut_off: Option<CutOff>,
    place: Place,
    open: Weak<OpenAnswers>,
}

/// Where an answer is among those that are under way.
#[derive(Debug, Clone, Copy)]
struct Place {
    shard: usize,
    key: usize,
}

impl Meter {
    pub(super) fn begin(rule: Rule, cut_off: Option<CutOff>, open: &Arc<OpenAnswers>) -> Arc<Self> {
        let (began, shard) = (Instant::now(), open.next.fetch_add(1, Relaxed) % SHARDS);
        open.with(shard, |answers| {
            let entry = answers.vacant_entry();
            let meter = Arc::new(Self {
                rule,
                began,
                handed_over: AtomicUsize::new(0),
                taken: AtomicUsize::new(0),
                moved: AtomicU64::new(0),
                cut_off,
                place: Place {
                    shard,
                    key: entry.key(),
                },
                open: Arc::downgrade(open),
            });
            entry.insert(Arc::downgrade(&meter));
            meter
        })
    }

    pub(super) fn handed_over(&self, bytes: usize) {
        if self.waiting() == 0 {
            self.moves();
        }
        self.handed_over.fetch_add(bytes, Relaxed);
    }

    pub(super) fn taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Relaxed);
        self.moves();
    }

    fn waiting(&self) -> usize {
        self.handed_over
            .load(Relaxed)
            .saturating_sub(self.taken.load(Relaxed))
    }

    fn moves(&self) {
        if self.rule == Rule::Streamed {
            let elapsed = self.began.elapsed().as_millis();
            self.moved
                .store(u64::try_from(elapsed).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// For how long the client has taken nothing of a streamed answer, although something waits for it.
    pub(super) fn idle(&self) -> Duration {
        if self.waiting() == 0 {
            return Duration::ZERO;
        }
        self.since_moved(self.began.elapsed())
    }

    fn since_moved(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(Duration::from_millis(self.moved.load(Relaxed)))
    }

    /// Whether its client has been too slow at this time since its beginning.
    fn is_overdue(&self, elapsed: Duration, timeouts: &Timeouts) -> bool {
        if self.waiting() == 0 {
            return false;
        }
        match self.rule {
            Rule::Whole => {
                let time = timeouts.time_of_answer(self.taken.load(Relaxed));
                elapsed > (timeouts.stall + time).min(timeouts.list)
            }
            Rule::Streamed => self.since_moved(elapsed) > timeouts.stall,
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(open) = self.open.upgrade() {
            let Place { shard, key } = self.place;
            open.with(shard, |answers| answers.try_remove(key));
        }
    }
}

/// All answers that are under way.
#[derive(Debug, Default)]
pub(super) struct OpenAnswers {
    next: AtomicUsize,
    first: Shard,
    others: [Shard; SHARDS - 1],
}

type Shard = Mutex<Slab<Weak<Meter>>>;

impl OpenAnswers {
    fn with<T>(&self, shard: usize, act: impl FnOnce(&mut Slab<Weak<Meter>>) -> T) -> T {
        let shard = self.others.get(shard).unwrap_or(&self.first);
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Ends the connections of overdue answers; returns how many answers those are.
    pub(super) fn end_overdue(&self, timeouts: &Timeouts) -> usize {
        let mut ended = 0;
        for shard in self.shards() {
            // Dropped outside the lock: the last reference takes it.
            let meters: Vec<_> = shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .filter_map(|(_, meter)| meter.upgrade())
                .collect();
            for meter in meters {
                if meter.is_overdue(meter.began.elapsed(), timeouts)
                    && let Some(cut_off) = &meter.cut_off
                    && cut_off.cut()
                {
                    ended += 1;
                }
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(rule: Rule) -> Arc<Meter> {
        Meter::begin(rule, None, &Arc::default())
    }

    fn overdue_after(meter: &Meter, seconds: u64) -> bool {
        meter.is_overdue(Duration::from_secs(seconds), &Timeouts::default())
    }

    #[test]
    fn an_answer_must_be_taken_at_its_rate_after_its_grace() {
        let meter = meter(Rule::Whole);
        meter.handed_over(100 << 20);
        assert!(!overdue_after(&meter, 9));
        assert!(overdue_after(&meter, 11));
        meter.taken(640 << 10);
        assert!(!overdue_after(&meter, 19));
        assert!(overdue_after(&meter, 21));
        meter.taken(50 << 20);
        assert!(overdue_after(&meter, 121), "two minutes at most");
    }

    #[test]
    fn the_rate_of_an_answer_and_its_longest_time_are_settings() {
        let meter = meter(Rule::Whole);
        meter.handed_over(100 << 20);
        meter.taken(640 << 10);
        let timeouts = Timeouts {
            answer_rate: 16 << 10,
            list: Duration::from_secs(40),
            ..Timeouts::default()
        };
        // Ten seconds, and forty for what was taken; but no more than forty together.
        for (seconds, list, overdue) in [
            (39, 40, false),
            (41, 40, true),
            (49, 120, false),
            (51, 120, true),
        ] {
            let timeouts = Timeouts {
                list: Duration::from_secs(list),
                ..timeouts
            };
            let is_overdue = meter.is_overdue(Duration::from_secs(seconds), &timeouts);
            assert_eq!(is_overdue, overdue, "{seconds} of {list}");
        }
    }

    #[test]
    fn an_answer_that_was_taken_is_never_overdue() {
        let meter = meter(Rule::Whole);
        meter.handed_over(10);
        meter.taken(10);
        assert!(!overdue_after(&meter, 1000));
    }

    #[test]
    fn who_has_nothing_to_take_is_not_slow() {
        let meter = meter(Rule::Streamed);
        assert!(!overdue_after(&meter, 100));
        meter.handed_over(10);
        assert!(overdue_after(&meter, 11));
    }

    #[test]
    fn answers_that_are_gone_are_forgotten() {
        let open = Arc::new(OpenAnswers::default());
        let meters: Vec<_> = (0..40)
            .map(|_| Meter::begin(Rule::Whole, None, &open))
            .collect();
        let count = || -> usize { open.shards().map(|shard| shard.lock().unwrap().len()).sum() };
        assert_eq!(count(), 40);
        drop(meters);
        assert_eq!(count(), 0);
    }

    #[test]
    fn the_connection_of_an_overdue_answer_is_cut_once() {
        let (open, cut_off) = (Arc::new(OpenAnswers::default()), CutOff::default());
        let meter = Meter::begin(Rule::Whole, Some(cut_off.clone()), &open);
        meter.handed_over(1);
        let impatient = Timeouts {
            stall: Duration::ZERO,
            ..Timeouts::default()
        };
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(open.end_overdue(&impatient), 1);
        assert_eq!(open.end_overdue(&impatient), 0);
        assert!(cut_off.is_cut());
    }
}
