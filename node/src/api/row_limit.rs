//! How many rows the lists of one origin may look at. Pure: time comes in as an argument.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{access::MINUTE, domain::Origin};

/// Origins remembered at most. Beyond it those are dropped that may look at all their rows again, then all: a flood from
/// everywhere is no reason to grow.
const REMEMBERED: usize = 16_384;
/// No client waits longer, however long a list was.
const LONGEST: Duration = Duration::from_hours(1);

/// The rows that origins looked at. What a list looks at beyond the limit adds up: its origin waits for that, too.
#[derive(Debug)]
pub(super) struct RowLimit {
    /// Rows within a minute; 0 switches the limit off.
    per_minute: u64,
    /// When each origin may look at all its rows again.
    free_at: HashMap<Origin, Instant>,
}

impl RowLimit {
    pub(super) fn new(per_minute: u64) -> Self {
        Self {
            per_minute,
            free_at: HashMap::new(),
        }
    }

    /// Whether an origin may look at rows now; else how long it has to wait.
    pub(super) fn may_look(&self, origin: Origin, now: Instant) -> Result<(), Duration> {
        let wait = self
            .free_at
            .get(&origin)
            .and_then(|free_at| free_at.checked_duration_since(now + MINUTE));
        wait.map_or(Ok(()), Err)
    }

    /// Notes that an origin looked at so many rows.
    pub(super) fn looked(&mut self, origin: Origin, rows: usize, now: Instant) {
        let rows = u128::try_from(rows).unwrap_or(u128::MAX);
        let nanos = MINUTE.as_nanos().saturating_mul(rows);
        let Some(nanos) = nanos.checked_div(u128::from(self.per_minute)) else {
            return;
        };
        let time = u64::try_from(nanos).map_or(LONGEST, Duration::from_nanos);
        self.make_room(now);
        let free_at = self.free_at.entry(origin).or_insert(now);
        *free_at = ((*free_at).max(now) + time.min(LONGEST)).min(now + MINUTE + LONGEST);
    }

    fn make_room(&mut self, now: Instant) {
        if self.free_at.len() < REMEMBERED {
            return;
        }
        self.free_at.retain(|_, free_at| *free_at > now);
        if self.free_at.len() >= REMEMBERED {
            self.free_at.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn origin(n: u32) -> Origin {
        IpAddr::from(Ipv4Addr::from_bits(n)).into()
    }

    #[test]
    fn an_origin_waits_after_its_rows_and_only_that_one() {
        let (start, mut limit) = (Instant::now(), RowLimit::new(600));
        limit.looked(origin(1), 599, start);
        limit.may_look(origin(1), start).unwrap();
        limit.looked(origin(1), 11, start);
        let wait = limit.may_look(origin(1), start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        limit.may_look(origin(2), start).unwrap();
        let later = start + wait + Duration::from_nanos(1);
        limit.may_look(origin(1), later).unwrap();
    }

    #[test]
    fn a_list_beyond_the_limit_is_waited_for_an_hour_at_most() {
        let (start, mut limit) = (Instant::now(), RowLimit::new(10));
        limit.looked(origin(1), 30, start);
        let wait = limit.may_look(origin(1), start).unwrap_err();
        assert_eq!(wait, Duration::from_mins(2));
        limit.looked(origin(1), usize::MAX, start);
        let wait = limit.may_look(origin(1), start).unwrap_err();
        assert_eq!(wait, Duration::from_hours(1));
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let (start, mut limit) = (Instant::now(), RowLimit::new(0));
        limit.looked(origin(1), usize::MAX, start);
        limit.may_look(origin(1), start).unwrap();
    }

    #[test]
    fn a_flood_from_everywhere_does_not_fill_the_memory() {
        let (start, mut limit) = (Instant::now(), RowLimit::new(10));
        for n in 0..u32::try_from(REMEMBERED).unwrap() * 2 {
            limit.looked(origin(n), 1, start);
        }
        assert!(limit.free_at.len() <= REMEMBERED);
    }

    proptest! {
        #[test]
        fn no_minute_looks_at_many_more_rows_than_the_limit(pauses in proptest::collection::vec(0..500_u64, 0..1000)) {
            let (start, mut limit) = (Instant::now(), RowLimit::new(1_000));
            let (mut now, mut looked) = (start, 0_usize);
            for pause in pauses {
                now += Duration::from_millis(pause);
                if limit.may_look(origin(1), now).is_ok() {
                    limit.looked(origin(1), 10, now);
                    looked += 10;
                }
            }
            let leaked = (now - start).as_millis() / 60;
            prop_assert!(looked as u128 <= 1_020 + leaked);
        }
    }
}
