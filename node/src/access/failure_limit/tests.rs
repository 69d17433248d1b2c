use std::{collections::BTreeMap, net::IpAddr};

use proptest::prelude::*;

use super::*;
use crate::keys::KeyPlace;

fn place(from: u8, key: u32) -> KeyPlace {
    KeyPlace::of_test(key, IpAddr::from([192, 0, 2, from]).into())
}

#[test]
fn after_its_keys_an_origin_waits_and_others_do_not() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
    for key in 0..30 {
        limit.count(&place(1, key), start).unwrap();
        limit.failed(&place(1, key), start);
    }
    let wait = limit.count(&place(1, 99), start).unwrap_err();
    assert_eq!(wait, MINUTE);
    assert_eq!(
        limit.count(&place(1, 5), start),
        Err(wait),
        "it was tried already, and did not open"
    );
    limit.count(&place(2, 99), start).unwrap();
    limit.count(&place(1, 99), start + wait).unwrap();
}

#[test]
fn a_key_counts_once_a_minute_and_requests_at_the_same_time_are_one() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(1));
    for _ in 0..50 {
        limit.count(&place(1, 7), start).unwrap();
    }
    assert!(limit.count(&place(1, 8), start).is_err());
    limit.give_back(&place(1, 7), start);
    limit.count(&place(1, 8), start).unwrap();
}

/// Keys that count from the beginning of a minute, and are tried at its end, leave no room for others behind it.
#[test]
fn two_minutes_meet_without_twice_as_many_guesses() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
    for key in 0..30 {
        // Its request goes away before it has an outcome.
        limit.count(&place(1, key), start).unwrap();
    }
    let late = start + Duration::from_secs(59);
    for key in 0..30 {
        limit.count(&place(1, key), late).unwrap();
        limit.failed(&place(1, key), late);
    }
    for (key, at) in [(30, start + MINUTE), (31, late + MINUTE / 2)] {
        limit.count(&place(1, key), at).unwrap_err();
    }
    limit.count(&place(1, 30), late + MINUTE).unwrap();
}

#[test]
fn a_wrong_key_that_is_tried_now_and_then_is_refused_as_wrong_for_ever() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
    for minute in 0..10 {
        for step in 0..OF_ONE_KEY {
            let now = start + MINUTE * minute + MINUTE / OF_ONE_KEY * step;
            limit.count(&place(1, 1), now).unwrap();
            limit.failed(&place(1, 1), now);
        }
    }
}

#[test]
fn what_another_request_keeps_counted_is_not_given_back() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(1));
    limit.count(&place(1, 7), start).unwrap();
    limit.hold(&place(1, 7), start);
    limit.give_back(&place(1, 7), start);
    assert!(limit.count(&place(1, 8), start).is_err());
    limit.hold(&place(1, 7), start);
    limit.release(&place(1, 7), start);
    assert!(
        limit.count(&place(1, 8), start).is_err(),
        "one of two creates"
    );
    limit.release(&place(1, 7), start);
    limit.count(&place(1, 8), start).unwrap();
}

#[test]
fn a_key_that_goes_on_opening_entries_is_free_a_minute_after_it_created_or_failed() {
    for failed in [false, true] {
        let (start, mut limit) = (Instant::now(), FailureLimit::new(1));
        limit.count(&place(1, 7), start).unwrap();
        if failed {
            limit.failed(&place(1, 7), start);
        } else {
            limit.hold(&place(1, 7), start);
        }
        for seconds in [20, 40] {
            // Once it has failed its origin waits, but for what is under way.
            let now = start + Duration::from_secs(seconds);
            assert_eq!(limit.count(&place(1, 7), now).is_ok(), !failed);
            limit.give_back(&place(1, 7), now);
            assert!(limit.count(&place(1, 8), now).is_err());
        }
        limit.count(&place(1, 8), start + MINUTE).unwrap();
    }
}

#[test]
fn an_exempt_key_that_does_not_open_counts_and_is_refused_where_others_are() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(2));
    limit.exempt_failed(&place(1, 1), start).unwrap();
    limit.exempt_failed(&place(1, 1), start).unwrap();
    limit.count(&place(1, 2), start).unwrap();
    assert!(limit.exempt_failed(&place(1, 1), start).is_err());
}

#[test]
fn one_wrong_key_is_not_tried_without_end() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
    for _ in 0..OF_ONE_KEY {
        limit.count(&place(1, 1), start).unwrap();
        limit.failed(&place(1, 1), start);
    }
    assert!(limit.count(&place(1, 1), start).is_err());
    limit.count(&place(1, 2), start).unwrap();
}

#[test]
fn after_a_thousand_refusals_an_origin_is_flooding_for_as_long_as_they_go_on() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(30));
    let origin = place(1, 0).origin();
    for _ in 0..999 {
        assert!(!limit.refused(origin, start));
    }
    assert!(!limit.is_any_flooding(start));
    assert!(limit.refused(origin, start));
    assert!(limit.is_flooding(origin, start) && limit.is_any_flooding(start));
    assert!(!limit.is_flooding(place(2, 0).origin(), start));
    assert!(!limit.is_flooding(origin, start + MINUTE));
}

#[test]
fn origins_are_forgotten_before_they_fill_the_memory() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(1));
    for n in 0..40_000_u32 {
        let origin = IpAddr::from(std::net::Ipv4Addr::from_bits(n)).into();
        limit.hold(&KeyPlace::of_test(1, origin), start);
    }
    assert!(limit.origins.len() <= REMEMBERED / OF_ONE_ORIGIN);
}

#[test]
fn a_generous_limit_holds_for_many_addresses_and_the_memory_has_its_bound_all_the_same() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(100_000));
    for from in 0..100 {
        limit.failed(&place(from, 1), start);
    }
    assert!((0..100).all(|from| limit.has_failed(&place(from, 1), start)));
    let mut limit = FailureLimit::new(40);
    for from in 0..15_000_u32 {
        let origin = IpAddr::from(from.to_be_bytes()).into();
        for key in 0..40 {
            limit.hold(&KeyPlace::of_test(key, origin), start);
        }
    }
    let keys: usize = limit.origins.values().map(|tried| tried.keys.len()).sum();
    assert!(keys <= REMEMBERED, "{keys}");
}

#[test]
fn zero_switches_the_limit_off() {
    let (start, mut limit) = (Instant::now(), FailureLimit::new(0));
    for key in 0..1000 {
        limit.count(&place(1, key), start).unwrap();
        limit.failed(&place(1, key), start);
        limit.exempt_failed(&place(1, key), start).unwrap();
        assert!(!limit.refused(place(1, key).origin(), start));
    }
    assert!(limit.origins.is_empty());
}

/// The outcome of a key that may be tried.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Opens,
    Fails,
    Creates,
    CouldNotCreate,
    GoesAway,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Opens),
        Just(Outcome::Fails),
        Just(Outcome::Creates),
        Just(Outcome::CouldNotCreate),
        Just(Outcome::GoesAway),
    ]
}

proptest! {
    /// In any order of tries, no minute shows an origin more wrong keys than the limit.
    #[test]
    fn no_minute_has_more_guesses_than_the_limit(
        per_minute in 1..40_u32,
        steps in proptest::collection::vec((1..3_u8, 0..60_u32, 0..9_000_u64, outcome()), 0..400),
    ) {
        let (mut now, mut limit) = (Instant::now(), FailureLimit::new(per_minute));
        let mut learned: BTreeMap<u8, Vec<(Instant, u32)>> = BTreeMap::new();
        for (from, key, milliseconds, outcome) in steps {
            now += Duration::from_millis(milliseconds);
            let place = place(from, key);
            if limit.count(&place, now).is_err() {
                continue;
            }
            match outcome {
                Outcome::Opens => limit.give_back(&place, now),
                Outcome::Fails => limit.failed(&place, now),
                Outcome::Creates => limit.hold(&place, now),
                Outcome::CouldNotCreate => {
                    limit.hold(&place, now);
                    limit.release(&place, now);
                }
                Outcome::GoesAway => {}
            }
            if matches!(outcome, Outcome::Fails | Outcome::Creates) {
                let learned = learned.entry(from).or_default();
                learned.push((now, key));
                learned.retain(|(at, _)| now - *at < MINUTE);
                let mut keys: Vec<_> = learned.iter().map(|(_, key)| *key).collect();
                keys.sort_unstable();
                keys.dedup();
                prop_assert!(keys.len() <= per_minute as usize, "{keys:?}");
                let counted = limit.origins[&place.origin()].alive(now).count();
                prop_assert!(counted <= per_minute as usize);
            }
        }
    }
}
