//! The challenges that a caller holds: each answer brings one, which the next request to the same address uses up.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::head::Offer;

/// A challenge that is older is left alone: it may have run out before it arrives.
const FRESH: Duration = Duration::from_secs(45);
/// Challenges held for one address: as many as requests that can be sent at one time without asking for a challenge first.
const EACH: usize = 64;
/// Addresses of which challenges are held; more than any list has.
const ADDRESSES: usize = 1024;

/// The challenges to sign next, by address.
#[derive(Debug, Default)]
pub(crate) struct HeldChallenges(Mutex<HashMap<String, Vec<(Offer, Instant)>>>);

impl HeldChallenges {
    /// The newest challenge of an address, used up by that.
    pub(crate) fn take(&self, address: &str, now: Instant) -> Option<Offer> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offers = held.get_mut(address)?;
        let newest = offers
            .pop()
            .filter(|(_, since)| now.saturating_duration_since(*since) < FRESH);
        if newest.is_none() {
            // The others are older still.
            held.remove(address);
        }
        newest.map(|(offer, _)| offer)
    }

    /// Holds a challenge that an answer brought.
    pub(crate) fn keep(&self, address: &str, offer: Offer, now: Instant) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= ADDRESSES && !held.contains_key(address) {
            held.clear();
        }
        let offers = held.entry(address.to_owned()).or_default();
        // Another process answers there now: challenges of its predecessor are worthless.
        offers.retain(|(held, _)| held.answerer == offer.answerer);
        if offers.len() < EACH {
            offers.push((offer, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(answerer: u64, challenge: u8) -> Offer {
        Offer {
            answerer,
            challenge: vec![challenge],
        }
    }

    #[test]
    fn each_is_used_once_and_only_while_it_is_fresh() {
        let (held, now) = (HeldChallenges::default(), Instant::now());
        held.keep("a:1", offer(1, 1), now);
        held.keep("a:1", offer(1, 2), now + FRESH / 2);
        assert_eq!(held.take("b:1", now), None);
        assert_eq!(held.take("a:1", now + FRESH), Some(offer(1, 2)));
        assert_eq!(held.take("a:1", now + FRESH), None);
        held.keep("a:1", offer(1, 3), now);
        assert_eq!(held.take("a:1", now), Some(offer(1, 3)));
    }

    #[test]
    fn those_of_an_earlier_process_are_dropped() {
        let (held, now) = (HeldChallenges::default(), Instant::now());
        held.keep("a:1", offer(1, 1), now);
        held.keep("a:1", offer(2, 2), now);
        assert_eq!(held.take("a:1", now), Some(offer(2, 2)));
        assert_eq!(held.take("a:1", now), None);
    }
}
