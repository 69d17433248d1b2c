//! How fast a client takes an answer: measured for each answer, whatever carries it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{budget::CutOff, config::Patience};

/// How fast an answer must be taken after its grace, in bytes per second.
const BYTES_PER_SECOND: u64 = 64 << 10;
/// Maps that are locked one by one, so that requests do not wait for each other.
const SHARDS: u8 = 16;

/// What a client owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The answer was all there: the client takes it at the rate above, within two minutes.
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
    number: u64,
    open: Weak<OpenAnswers>,
}

impl Meter {
    pub(super) fn begin(rule: Rule, cut_off: Option<CutOff>, open: &Arc<OpenAnswers>) -> Arc<Self> {
        let number = open.next.fetch_add(1, Relaxed);
        let meter = Arc::new(Self {
            rule,
            began: Instant::now(),
            handed_over: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            cut_off,
            number,
            open: Arc::downgrade(open),
        });
        open.with(number, |answers| {
            answers.insert(number, Arc::downgrade(&meter))
        });
        meter
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

    /// Whether its client has been too slow at this time since its beginning.
    fn is_overdue(&self, elapsed: Duration, patience: &Patience) -> bool {
        if self.waiting() == 0 {
            return false;
        }
        match self.rule {
            Rule::Whole => {
                let taken = u64::try_from(self.taken.load(Relaxed)).unwrap_or(u64::MAX);
                let time = Duration::from_millis(taken.saturating_mul(1000) / BYTES_PER_SECOND);
                elapsed > (patience.stall + time).min(patience.list)
            }
            Rule::Streamed => {
                let moved = Duration::from_millis(self.moved.load(Relaxed));
                elapsed.saturating_sub(moved) > patience.stall
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(open) = self.open.upgrade() {
            open.with(self.number, |answers| answers.remove(&self.number));
        }
    }
}

/// All answers that are under way.
#[derive(Debug)]
pub(super) struct OpenAnswers {
    next: AtomicU64,
    shards: [Mutex<HashMap<u64, Weak<Meter>>>; SHARDS as usize],
}

impl Default for OpenAnswers {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl OpenAnswers {
    fn with<T>(&self, number: u64, act: impl FnOnce(&mut HashMap<u64, Weak<Meter>>) -> T) {
        let place = usize::try_from(number % u64::from(SHARDS)).unwrap_or_default();
        if let Some(shard) = self.shards.get(place) {
            act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Ends the connections of overdue answers; tells how many answers those are.
    pub(super) fn end_overdue(&self, patience: &Patience) -> usize {
        let mut ended = 0;
        for shard in &self.shards {
            // Dropped outside the lock: the last reference takes it.
            let meters: Vec<_> = shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .filter_map(Weak::upgrade)
                .collect();
            for meter in meters {
                if meter.is_overdue(meter.began.elapsed(), patience)
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
        meter.is_overdue(Duration::from_secs(seconds), &Patience::default())
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
        let count = || -> usize {
            open.shards
                .iter()
                .map(|shard| shard.lock().unwrap().len())
                .sum()
        };
        assert_eq!(count(), 40);
        drop(meters);
        assert_eq!(count(), 0);
    }

    #[test]
    fn the_connection_of_an_overdue_answer_is_cut_once() {
        let (open, cut_off) = (Arc::new(OpenAnswers::default()), CutOff::default());
        let meter = Meter::begin(Rule::Whole, Some(cut_off.clone()), &open);
        meter.handed_over(1);
        let impatient = Patience {
            stall: Duration::ZERO,
            ..Patience::default()
        };
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(open.end_overdue(&impatient), 1);
        assert_eq!(open.end_overdue(&impatient), 0);
        assert!(cut_off.is_cut());
    }
}
