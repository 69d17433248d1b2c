//! How many wrong keys one client address may try. The limit is pure: time comes in as an argument.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_mins(1);
/// Addresses remembered at most; beyond it the forgiven ones are dropped, then all: a flood from everywhere is no reason to grow.
const REMEMBERED: usize = 100_000;

/// Counts failures by client address, leaking: `per_minute` at once, then one for each `minute / per_minute`.
#[derive(Debug)]
pub(super) struct FailureLimit {
    /// How long one failure counts; `None` switches the limit off.
    interval: Option<Duration>,
    /// When the failures of an address are forgiven.
    forgiven_at: HashMap<IpAddr, Instant>,
}

impl FailureLimit {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            interval: MINUTE.checked_div(per_minute),
            forgiven_at: HashMap::new(),
        }
    }

    /// How long this address has to wait before it may try another key; `None` when it may now.
    pub(super) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let interval = self.interval?;
        let forgiven_at = self.forgiven_at.get(&block(address))?;
        // One more failure must fit into the minute.
        (*forgiven_at + interval)
            .checked_duration_since(now + MINUTE)
            .filter(|wait| !wait.is_zero())
    }

    /// Notes a wrong key; gives the time until when it counts.
    pub(super) fn failed(&mut self, address: IpAddr, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        if self.forgiven_at.len() >= REMEMBERED {
            self.forgiven_at.retain(|_, forgiven_at| *forgiven_at > now);
            if self.forgiven_at.len() >= REMEMBERED {
                self.forgiven_at.clear();
            }
        }
        let forgiven_at = self.forgiven_at.entry(block(address)).or_insert(now);
        // Requests that were under way when the limit was reached add no more than a minute.
        *forgiven_at = ((*forgiven_at).max(now) + interval).min(now + MINUTE + interval);
        Some(*forgiven_at)
    }

    /// Takes a failure back that was noted in advance, as far as it still counts.
    pub(super) fn give_back(&mut self, address: IpAddr, until: Instant, now: Instant) {
        let Some(interval) = self.interval else {
            return;
        };
        if let Some(forgiven_at) = self.forgiven_at.get_mut(&block(address)) {
            let left = until.saturating_duration_since(now).min(interval);
            *forgiven_at = forgiven_at.checked_sub(left).unwrap_or(now);
        }
    }
}

/// One host of IPv6 usually has a network of 64 bits for itself.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_the_allowed_failures_an_address_waits_and_others_do_not() {
        let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
        let guesser = address("192.0.2.1");
        for _ in 0..30 {
            assert_eq!(limit.wait(guesser, start), None);
            limit.failed(guesser, start);
        }
        let wait = limit.wait(guesser, start).unwrap();
        assert_eq!(wait, Duration::from_secs(2));
        assert_eq!(limit.wait(address("192.0.2.2"), start), None);
        assert_eq!(limit.wait(guesser, start + wait), None);
        limit.failed(guesser, start + wait);
        assert!(limit.wait(guesser, start + wait).is_some());
        assert_eq!(limit.wait(guesser, start + wait + MINUTE), None);
    }

    #[test]
    fn a_flood_is_forgiven_after_little_more_than_a_minute() {
        let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
        let guesser = address("2001:db8::1");
        for _ in 0..10_000 {
            limit.failed(guesser, start);
        }
        let neighbour = address("2001:db8::2");
        assert!(limit.wait(neighbour, start).is_some(), "same network");
        assert_eq!(limit.wait(guesser, start + Duration::from_secs(5)), None);
    }

    #[test]
    fn what_was_counted_in_advance_is_given_back_as_far_as_it_still_counts() {
        let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
        let guesser = address("192.0.2.1");
        let charges: Vec<_> = (0..30)
            .filter_map(|_| limit.failed(guesser, start))
            .collect();
        assert!(limit.wait(guesser, start).is_some());
        limit.give_back(guesser, charges[29], start);
        assert_eq!(limit.wait(guesser, start), None);
        limit.failed(guesser, start);
        // The first half is forgiven by now: given back, it is no room for more.
        let later = start + MINUTE / 2;
        for _ in 0..15 {
            limit.failed(guesser, later);
        }
        for until in &charges[..15] {
            limit.give_back(guesser, *until, later);
        }
        assert!(limit.wait(guesser, later).is_some());
    }

    #[test]
    fn addresses_are_forgotten_before_they_fill_the_memory() {
        let (start, mut limit) = (Instant::now(), FailureLimit::new(1));
        for n in 0..u32::try_from(REMEMBERED).unwrap() * 2 {
            limit.failed(std::net::Ipv4Addr::from_bits(n).into(), start);
        }
        assert!(limit.forgiven_at.len() <= REMEMBERED);
    }

    #[test]
    fn zero_switches_the_limit_off() {
        let (start, mut limit) = (Instant::now(), FailureLimit::new(0));
        for _ in 0..1000 {
            limit.failed(address("192.0.2.1"), start);
        }
        assert_eq!(limit.wait(address("192.0.2.1"), start), None);
    }
}
