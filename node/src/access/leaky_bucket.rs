//! Counts the events of a minute in one number. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

pub(crate) const MINUTE: Duration = Duration::from_mins(1);

/// Accepts `per_minute` events at once, then one for each `minute / per_minute`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LeakyBucket {
    empty_at: Option<Instant>,
}

impl LeakyBucket {
    /// How long it takes until one more event fits; `None` where it fits now, or where there is no limit (0).
    pub(crate) fn wait(&self, per_minute: u32, now: Instant) -> Option<Duration> {
        let interval = MINUTE.checked_div(per_minute)?;
        (self.empty_at? + interval)
            .checked_duration_since(now + MINUTE)
            .filter(|wait| !wait.is_zero())
    }

    /// Notes an event. Events beyond the limit do not add up: all is forgiven after little more than a minute.
    pub(crate) fn add(&mut self, per_minute: u32, now: Instant) {
        if let Some(interval) = MINUTE.checked_div(per_minute) {
            let empty_at = self.empty_at.map_or(now, |empty_at| empty_at.max(now));
            self.empty_at = Some((empty_at + interval).min(now + MINUTE));
        }
    }

    /// Whether it remembers no event any more.
    pub(crate) fn is_empty(&self, now: Instant) -> bool {
        self.empty_at.is_none_or(|empty_at| empty_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_full_after_its_events_and_leaks_one_by_one() {
        let (start, mut bucket) = (Instant::now(), LeakyBucket::default());
        for _ in 0..30 {
            assert_eq!(bucket.wait(30, start), None);
            bucket.add(30, start);
        }
        let wait = bucket.wait(30, start).unwrap();
        assert_eq!(wait, Duration::from_secs(2));
        assert_eq!(bucket.wait(30, start + wait), None);
        bucket.add(30, start + wait);
        assert!(bucket.wait(30, start + wait).is_some());
        assert!(bucket.is_empty(start + wait + MINUTE));
    }

    proptest! {
        #[test]
        fn no_flood_fills_it_for_longer_than_one_interval(events in 0..5000_u32, per_minute in 1..2000_u32) {
            let (start, mut bucket) = (Instant::now(), LeakyBucket::default());
            for _ in 0..events {
                bucket.add(per_minute, start);
            }
            prop_assert_eq!(bucket.wait(per_minute, start + MINUTE / per_minute), None);
            prop_assert!(bucket.is_empty(start + MINUTE));
        }
    }
}
