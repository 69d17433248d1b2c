//! Writes of a batch in transactions of their own, where they cannot be made together.
//!
//! Each has its share of the time. A row that another session holds is left after its share, and tried again once all others had
//! their turn.

use tokio::time::{Duration, Instant};

use super::{PostgresError, PostgresStore, now, transaction::WriteTime};
use crate::{
    cluster::{Write, Written},
    store::WriteError,
};

/// What a write needs at least, whatever its share.
const LEAST: Duration = Duration::from_millis(5);

/// The turns of the writes that are not made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Half of the time, and a quarter of what is left for a row that keeps the server busy.
    First,
    /// All that is left.
    Second,
}

impl Turn {
    /// The time of the next of so many writes.
    fn share(self, begun: Instant, deadline: Instant, writes: usize) -> WriteTime {
        let writes = u32::try_from(writes).unwrap_or(u32::MAX).max(1);
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let share = |until: Instant| until.saturating_duration_since(now) / writes;
        let (for_locks, for_work) = match self {
            Self::First => {
                let half = begun + deadline.saturating_duration_since(begun) / 2;
                (share(half), left / 4)
            }
            Self::Second => (share(deadline), share(deadline)),
        };
        WriteTime {
            deadline,
            for_locks: for_locks.max(LEAST),
            for_work: for_work.max(LEAST),
        }
    }
}

impl PostgresStore {
    /// Commits writes one after the other, until the database does not answer or the time is over. Those without a turn are not
    /// made.
    pub(super) async fn commit_one_by_one(
        &self,
        writes: &[Write],
        deadline: Instant,
    ) -> Vec<Result<Written, WriteError>> {
        let begun = Instant::now();
        let untried = "the database did not make the write before it in this batch".to_owned();
        let mut outcomes = vec![Err(WriteError::Failed(untried)); writes.len()];
        let mut places: Vec<_> = (0..writes.len()).collect();
        'turns: for turn in [Turn::First, Turn::Second] {
            let mut held = Vec::new();
            for (before, place) in places.iter().copied().enumerate() {
                let (Some(write), Some(told)) = (writes.get(place), outcomes.get_mut(place)) else {
                    continue;
                };
                let time = turn.share(begun, deadline, places.len() - before);
                let outcome = match self.commit_write_within(write, None, now(), time).await {
                    Ok(Some(written)) => Ok(written),
                    Ok(None) => Err(WriteError::Changed),
                    Err(error) => {
                        if matches!(error, PostgresError::Locked) {
                            held.push(place);
                        }
                        Err(error.into())
                    }
                };
                // The database is away, or does not report its outcome: the others would wait as long for the same.
                let is_over = matches!(
                    &outcome,
                    Err(WriteError::Unknown | WriteError::Away(_) | WriteError::Lost(_))
                );
                let has_no_time = outcome.is_err() && Instant::now() >= deadline;
                *told = outcome;
                if is_over || has_no_time {
                    break 'turns;
                }
            }
            places = held;
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_all_held_leave_time_for_a_second_turn() {
        let begun = Instant::now();
        let deadline = begun + Duration::from_hours(1);
        let first = Turn::First.share(begun, deadline, 64);
        let second = Turn::Second.share(begun, deadline, 64);
        assert!(first.for_locks * 64 <= Duration::from_mins(30));
        assert!(first.for_work > first.for_locks);
        assert!(second.for_locks > Duration::from_secs(50));
        assert!(second.for_locks * 64 <= Duration::from_hours(1));
        // Time that is over is no limit of 0, which the server takes for none.
        let over = Turn::Second.share(begun, begun, 64);
        assert_eq!((over.for_locks, over.for_work), (LEAST, LEAST));
    }
}
