//! The limits on tried keys, shared by all requests. Where no origin floods, exempt keys take no lock here.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    AccessKey, AccessKeys, ShownKeys, access_limit::AccessLimit, failure_limit::FailureLimit,
};
use crate::{
    domain::{KeyNumber, Origin},
    keys::KeyPlace,
};

/// User keys that were tried.
#[derive(Debug)]
pub(crate) struct UserKeyTries {
    limit: Mutex<FailureLimit>,
    /// Whether any origin may be flooding.
    flooding: AtomicBool,
}

impl UserKeyTries {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            limit: Mutex::new(FailureLimit::new(per_minute)),
            flooding: AtomicBool::new(false),
        }
    }

    /// The limit itself; never kept over an `await`.
    pub(crate) fn limit(&self) -> MutexGuard<'_, FailureLimit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether being exempt at an address is enough there; else it must be shown on the connection.
    pub(crate) fn is_flooding(&self, origin: Origin) -> bool {
        if !self.flooding.load(Ordering::Relaxed) {
            return false;
        }
        let (now, limit) = (Instant::now(), self.limit());
        if !limit.is_any_flooding(now) {
            self.flooding.store(false, Ordering::Relaxed);
        }
        limit.is_flooding(origin, now)
    }

    /// Notes that a request with a user key was refused.
    pub(crate) fn refused(&self, place: &KeyPlace) {
        let mut limit = self.limit();
        if limit.refused(place.origin(), Instant::now()) {
            self.flooding.store(true, Ordering::Relaxed);
        }
    }
}

/// API and cluster keys that were shown.
#[derive(Debug)]
pub(crate) struct AccessKeyTries {
    limit: Mutex<AccessLimit>,
    /// Whether keys of any origin may not be compared.
    flooding: AtomicBool,
}

/// The verdict on an access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It is this one of the accepted keys.
    Accepted(KeyNumber),
    Wrong,
    /// Whether compared or not: its origin showed too many wrong keys.
    TooMany(Duration),
}

impl AccessKeyTries {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            limit: Mutex::new(AccessLimit::new(per_minute)),
            flooding: AtomicBool::new(false),
        }
    }

    /// Judges a key that a request showed.
    pub(crate) fn judge(
        &self,
        key: &[u8],
        accepted: &AccessKeys,
        origin: Origin,
        connection: Option<&ShownKeys>,
    ) -> Shown {
        let (key, now) = (AccessKey::new(key), Instant::now());
        if self.flooding.load(Ordering::Relaxed) {
            let limit = self.limit();
            if let Err(wait) = limit.may_compare(origin, &key, now) {
                return Shown::TooMany(wait);
            }
            if !limit.is_any_flooding(now) {
                self.flooding.store(false, Ordering::Relaxed);
            }
        }
        if let Some(number) = accepted.number_of(&key) {
            if connection.is_none_or(|shown| shown.is_to_be_noted(&key, now)) {
                self.limit().accepted(origin, &key, now);
            }
            return Shown::Accepted(number);
        }
        let (wait, too_many) = self.limit().failed(origin, now);
        if too_many {
            self.flooding.store(true, Ordering::Relaxed);
        }
        wait.map_or(Shown::Wrong, Shown::TooMany)
    }

    /// How long an origin must wait until the node compares a new key of it; `None` where it need not.
    pub(crate) fn wait(&self, origin: Origin) -> Option<Duration> {
        if !self.flooding.load(Ordering::Relaxed) {
            return None;
        }
        self.limit().wait(origin, Instant::now())
    }

    fn limit(&self) -> MutexGuard<'_, AccessLimit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
