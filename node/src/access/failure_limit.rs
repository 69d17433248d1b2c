//! How many user keys one origin may try that have opened nothing there. Pure: time comes in as an argument.
//!
//! A key counts from the moment when it is tried, so that guesses at the same time do not pass together, until a minute after it
//! was tried last, whatever entry it is tried on. So of any minute, wherever it begins, no more keys have an outcome than the
//! limit says. Only a key that opens an entry gets its count back: at once, or a minute after it last failed or created.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::leaky_bucket::{LeakyBucket, MINUTE};
use crate::{domain::Origin, keys::KeyPlace};

/// Keys remembered of all origins together: about 16 MB. Beyond it the node drops the forgiven keys, then all: a flood from
/// everywhere must not let the memory grow.
const REMEMBERED: usize = 500_000;
/// Keys remembered of one origin, which may not try more anyway unless the setting says so.
const OF_ONE_ORIGIN: usize = 32;
/// Origins remembered at most.
const ORIGINS: usize = REMEMBERED / OF_ONE_ORIGIN;
/// Failures of one key a minute; each of them may have cost a derivation.
const OF_ONE_KEY: u32 = 30;
/// Refusals a minute after which the node assumes that an origin guesses beside honest clients.
const FLOOD: u32 = 1_000;

/// The keys that origins tried within the last minute.
#[derive(Debug)]
pub(crate) struct FailureLimit {
    /// Keys that an origin may try; 0 switches the limit off.
    per_minute: usize,
    origins: HashMap<Origin, Tried>,
    /// Keys of all of them, and those that were forgotten since they were counted last.
    remembered: usize,
    /// Until when some origin may be flooding.
    flooding_until: Option<Instant>,
}

/// The keys that one origin tried.
#[derive(Debug, Default)]
struct Tried {
    keys: Vec<TriedKey>,
    refused: LeakyBucket,
}

/// A key that counts.
#[derive(Debug)]
struct TriedKey {
    number: u64,
    /// A minute after it was tried last.
    until: Instant,
    /// How many requests with it had an outcome that keeps it counted.
    held: u32,
    /// A minute after the last of these.
    held_until: Instant,
    failures: u32,
    /// Until when these failures add up.
    failures_until: Instant,
}

impl Tried {
    fn alive(&self, now: Instant) -> impl Iterator<Item = &TriedKey> {
        self.keys.iter().filter(move |key| key.until > now)
    }

    /// How long to wait where so many keys are too many.
    fn used_up(&self, per_minute: usize, now: Instant) -> Option<Duration> {
        let first = self.alive(now).map(|key| key.until).min()?;
        (self.alive(now).count() >= per_minute).then(|| first.saturating_duration_since(now))
    }

    fn key(&mut self, number: u64) -> Option<&mut TriedKey> {
        self.keys.iter_mut().find(|key| key.number == number)
    }
}

impl FailureLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute: usize::try_from(per_minute).unwrap_or(usize::MAX),
            origins: HashMap::new(),
            remembered: 0,
            flooding_until: None,
        }
    }

    /// Whether a key may be tried; otherwise how long its origin has to wait. A key that counts already goes on until it fails.
    pub(crate) fn may_try(&self, place: &KeyPlace, now: Instant) -> Result<(), Duration> {
        let Some(tried) = self.origins.get(&place.origin()) else {
            return Ok(());
        };
        let known = tried.alive(now).find(|key| key.number == place.number());
        let wait = match known {
            Some(key) if key.failures == 0 => None,
            Some(key) if key.failures >= OF_ONE_KEY && key.failures_until > now => {
                Some(key.failures_until - now)
            }
            _ => tried.used_up(self.per_minute, now),
        };
        wait.map_or(Ok(()), Err)
    }

    /// Counts a key that is about to be tried: once, and from now on for a minute.
    ///
    /// # Errors
    /// How long its origin has to wait.
    pub(crate) fn count(&mut self, place: &KeyPlace, now: Instant) -> Result<(), Duration> {
        self.may_try(place, now)?;
        self.counted(place, now);
        Ok(())
    }

    /// A request with the key ended so that it stays counted: it opened nothing, or is about to create something.
    pub(crate) fn hold(&mut self, place: &KeyPlace, now: Instant) {
        if let Some(key) = self.counted(place, now) {
            if key.held_until <= now {
                key.held = 0;
            }
            key.held = key.held.saturating_add(1);
            key.held_until = now + MINUTE;
        }
    }

    /// The key failed to open an entry.
    pub(crate) fn failed(&mut self, place: &KeyPlace, now: Instant) {
        self.hold(place, now);
        if let Some(key) = self.counted(place, now) {
            if key.failures_until <= now {
                (key.failures, key.failures_until) = (0, now + MINUTE);
            }
            key.failures = key.failures.saturating_add(1);
        }
    }

    /// Whether the key failed to open an entry, as long as it counts.
    pub(crate) fn has_failed(&self, place: &KeyPlace, now: Instant) -> bool {
        let tried = self.origins.get(&place.origin());
        tried.is_some_and(|tried| {
            tried
                .alive(now)
                .any(|key| key.number == place.number() && key.failures > 0)
        })
    }

    /// The same for an exempt key: refused where its origin may try no more keys.
    ///
    /// # Errors
    /// How long to wait.
    pub(crate) fn exempt_failed(&mut self, place: &KeyPlace, now: Instant) -> Result<(), Duration> {
        let tried = self.origins.get(&place.origin());
        if let Some(wait) = tried.and_then(|tried| tried.used_up(self.per_minute, now)) {
            return Err(wait);
        }
        self.failed(place, now);
        Ok(())
    }

    /// The key opened an entry, or was not tried after all: it does not count, unless another request keeps it counted, until a
    /// minute after that one.
    pub(crate) fn give_back(&mut self, place: &KeyPlace, now: Instant) {
        let Some(tried) = self.origins.get_mut(&place.origin()) else {
            return;
        };
        tried.keys.retain_mut(|key| {
            if key.number != place.number() {
                return true;
            }
            key.until = key.held_until;
            key.held > 0 && key.until > now
        });
    }

    /// The create for which the key was held did not take place.
    pub(crate) fn release(&mut self, place: &KeyPlace, now: Instant) {
        let tried = self.origins.get_mut(&place.origin());
        if let Some(key) = tried.and_then(|tried| tried.key(place.number())) {
            key.held = key.held.saturating_sub(1);
        }
        self.give_back(place, now);
    }

    /// Notes that an origin was refused a user key; returns whether it is flooding.
    pub(crate) fn refused(&mut self, origin: Origin, now: Instant) -> bool {
        if self.per_minute == 0 {
            return false;
        }
        self.make_room(now);
        let tried = self.origins.entry(origin).or_default();
        tried.refused.add(FLOOD, now);
        let floods = tried.refused.wait(FLOOD, now).is_some();
        if floods {
            self.flooding_until = Some(now + MINUTE);
        }
        floods
    }

    /// Whether so many refusals went to an origin within a minute that being exempt there is not enough any more.
    pub(crate) fn is_flooding(&self, origin: Origin, now: Instant) -> bool {
        let tried = self.origins.get(&origin);
        tried.is_some_and(|tried| tried.refused.wait(FLOOD, now).is_some())
    }

    /// Whether any origin may be flooding.
    pub(crate) fn is_any_flooding(&self, now: Instant) -> bool {
        self.flooding_until.is_some_and(|until| until > now)
    }

    /// The entry of a key, which counts from now on; `None` where there is no limit, or no room for more of its origin.
    fn counted(&mut self, place: &KeyPlace, now: Instant) -> Option<&mut TriedKey> {
        if self.per_minute == 0 {
            return None;
        }
        self.make_room(now);
        let most = self.most_of_one_origin();
        let tried = self.origins.entry(place.origin()).or_default();
        tried.keys.retain(|key| key.until > now);
        if tried.key(place.number()).is_none() && tried.keys.len() < most {
            self.remembered += 1;
            tried.keys.push(TriedKey {
                number: place.number(),
                until: now + MINUTE,
                held: 0,
                held_until: now,
                failures: 0,
                failures_until: now,
            });
        }
        let key = tried.key(place.number())?;
        key.until = now + MINUTE;
        Some(key)
    }

    fn most_of_one_origin(&self) -> usize {
        self.per_minute.clamp(OF_ONE_ORIGIN, REMEMBERED)
    }

    fn make_room(&mut self, now: Instant) {
        if self.origins.len() < ORIGINS && self.remembered < REMEMBERED {
            return;
        }
        self.origins.retain(|_, tried| {
            tried.keys.retain(|key| key.until > now);
            !tried.keys.is_empty() || !tried.refused.is_empty(now)
        });
        self.remembered = self.origins.values().map(|tried| tried.keys.len()).sum();
        if self.origins.len() >= ORIGINS || self.remembered >= REMEMBERED {
            self.origins.clear();
            self.remembered = 0;
        }
    }
}

#[cfg(test)]
mod tests;
