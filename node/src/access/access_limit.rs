//! How many wrong API and cluster keys one origin may show. Pure: time comes in as an argument.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    AccessKey,
    leaky_bucket::{LeakyBucket, MINUTE},
};
use crate::domain::Origin;

/// Failures a minute after which only keys that were accepted before are compared: a guess more is a guess too many, and
/// honest callers with an old key are few.
const FAILURES: u32 = 1_000;
/// Accepted keys remembered of one origin.
const ACCEPTED: usize = 16;
/// How long they are remembered.
const LATELY: Duration = Duration::from_hours(1);
/// Origins remembered at most: about 16 MB where the node remembers the most keys of each.
const REMEMBERED: usize = 16_384;

/// The keys that origins showed.
#[derive(Debug)]
pub(crate) struct AccessLimit {
    /// Failures after which the node answers that there were too many; 0 switches the limits off.
    per_minute: u32,
    origins: HashMap<Origin, Shown>,
    /// Until when keys of some origin may not be compared.
    flooding_until: Option<Instant>,
}

/// The keys that one origin showed.
#[derive(Debug, Default)]
struct Shown {
    told: LeakyBucket,
    failed: LeakyBucket,
    accepted: Vec<(AccessKey, Instant)>,
}

impl AccessLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            origins: HashMap::new(),
            flooding_until: None,
        }
    }

    /// Whether a key may be compared with the accepted ones; otherwise how long to wait.
    pub(crate) fn may_compare(
        &self,
        origin: Origin,
        key: &AccessKey,
        now: Instant,
    ) -> Result<(), Duration> {
        let Some(wait) = self.wait(origin, now) else {
            return Ok(());
        };
        let lately = |(known, at): &(AccessKey, Instant)| {
            known == key && now.saturating_duration_since(*at) < LATELY
        };
        let shown = self.origins.get(&origin);
        if shown.is_some_and(|shown| shown.accepted.iter().any(lately)) {
            return Ok(());
        }
        Err(wait)
    }

    /// How long an origin must wait until the node compares a new key of it; `None` where it need not.
    pub(crate) fn wait(&self, origin: Origin, now: Instant) -> Option<Duration> {
        self.origins.get(&origin)?.failed.wait(FAILURES, now)
    }

    /// Notes that a key was accepted.
    pub(crate) fn accepted(&mut self, origin: Origin, key: &AccessKey, now: Instant) {
        if self.per_minute == 0 {
            return;
        }
        self.make_room(now);
        let accepted = &mut self.origins.entry(origin).or_default().accepted;
        accepted.retain(|(known, _)| known != key);
        if accepted.len() >= ACCEPTED {
            accepted.remove(0);
        }
        accepted.push((key.clone(), now));
    }

    /// Notes a wrong key; returns how long to wait where that is all that its caller gets to know, and whether the origin
    /// shows so many that they are not compared any more.
    pub(crate) fn failed(&mut self, origin: Origin, now: Instant) -> (Option<Duration>, bool) {
        if self.per_minute == 0 {
            return (None, false);
        }
        self.make_room(now);
        let shown = self.origins.entry(origin).or_default();
        let wait = shown.told.wait(self.per_minute, now);
        shown.told.add(self.per_minute, now);
        shown.failed.add(FAILURES, now);
        let too_many = shown.failed.wait(FAILURES, now).is_some();
        if too_many {
            self.flooding_until = Some(now + MINUTE);
        }
        (wait, too_many)
    }

    /// Whether keys of any origin are not compared.
    pub(crate) fn is_any_flooding(&self, now: Instant) -> bool {
        self.flooding_until.is_some_and(|until| until > now)
    }

    fn make_room(&mut self, now: Instant) {
        if self.origins.len() < REMEMBERED {
            return;
        }
        self.origins.retain(|_, shown| {
            shown
                .accepted
                .retain(|(_, at)| now.saturating_duration_since(*at) < LATELY);
            !shown.accepted.is_empty() || !shown.failed.is_empty(now)
        });
        // A flood from everywhere: origins stay that showed an accepted key.
        if self.origins.len() >= REMEMBERED {
            self.origins.retain(|_, shown| !shown.accepted.is_empty());
        }
        if self.origins.len() >= REMEMBERED {
            self.origins.clear();
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

    fn key(n: u32) -> AccessKey {
        AccessKey::new(&n.to_be_bytes())
    }

    #[test]
    fn after_a_thousand_failures_only_keys_that_were_accepted_there_are_compared() {
        let (start, mut limit) = (Instant::now(), AccessLimit::new(30));
        limit.accepted(origin(1), &key(1), start);
        for n in 0..1000 {
            limit.may_compare(origin(1), &key(2), start).unwrap();
            let (wait, too_many) = limit.failed(origin(1), start);
            assert_eq!((wait.is_some(), too_many), (n >= 30, n == 999));
        }
        limit.may_compare(origin(1), &key(1), start).unwrap();
        limit.may_compare(origin(1), &key(2), start).unwrap_err();
        limit.may_compare(origin(2), &key(2), start).unwrap();
        let later = start + Duration::from_mins(1);
        limit.may_compare(origin(1), &key(2), later).unwrap();
        let next_day = start + LATELY;
        for _ in 0..1000 {
            limit.failed(origin(1), next_day);
        }
        limit.may_compare(origin(1), &key(1), next_day).unwrap_err();
    }

    #[test]
    fn the_last_sixteen_keys_of_an_origin_are_remembered() {
        let (start, mut limit) = (Instant::now(), AccessLimit::new(30));
        for n in 0..17 {
            limit.accepted(origin(1), &key(n), start);
            limit.accepted(origin(1), &key(16), start);
        }
        for _ in 0..1000 {
            limit.failed(origin(1), start);
        }
        limit.may_compare(origin(1), &key(16), start).unwrap();
        limit.may_compare(origin(1), &key(15), start).unwrap();
        limit.may_compare(origin(1), &key(0), start).unwrap_err();
    }

    #[test]
    fn a_flood_from_everywhere_neither_fills_the_memory_nor_forgets_who_had_a_key() {
        let (start, mut limit) = (Instant::now(), AccessLimit::new(30));
        limit.accepted(origin(1), &key(1), start);
        for n in 2..u32::try_from(REMEMBERED).unwrap() * 2 {
            limit.failed(origin(n), start);
        }
        assert!(limit.origins.len() <= REMEMBERED);
        assert!(!limit.origins[&origin(1)].accepted.is_empty());
    }

    proptest! {
        #[test]
        fn no_minute_compares_many_more_wrong_keys_than_the_limit(pauses in proptest::collection::vec(0..40_u64, 0..4000)) {
            let (start, mut limit) = (Instant::now(), AccessLimit::new(30));
            let (mut now, mut compared) = (start, 0_u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                if limit.may_compare(origin(1), &key(1), now).is_ok() {
                    limit.failed(origin(1), now);
                    compared += 1;
                }
            }
            let leaked = (now - start).as_millis() / 60;
            prop_assert!(u128::from(compared) <= 1001 + leaked);
        }
    }
}
