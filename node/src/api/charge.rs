//! Failures that are counted before they are known, so that guesses at the same time do not pass the limit together.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::failure_limit::FailureLimit;
use crate::crypto::CachedKey;

/// A failure that may be one. Given back when it is dropped, unless it was kept: a client that went away learned nothing.
#[derive(Debug)]
pub(super) struct Charge<'a> {
    limit: &'a Mutex<FailureLimit>,
    address: IpAddr,
    /// `None` where there is no limit.
    until: Option<Instant>,
    /// The cached key for which it stands.
    key: Option<Arc<CachedKey>>,
    kept: AtomicBool,
}

impl<'a> Charge<'a> {
    /// Counts one more failure, or tells how long the address has to wait.
    pub(super) fn take(limit: &'a Mutex<FailureLimit>, address: IpAddr) -> Result<Self, Duration> {
        let mut limiting = limit.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(wait) = limiting.wait(address, now) {
            return Err(wait);
        }
        Ok(Self {
            limit,
            address,
            until: limiting.failed(address, now),
            key: None,
            kept: AtomicBool::new(false),
        })
    }

    /// The same, of a key that is cached: requests with it that come meanwhile need none.
    pub(super) fn stands_for(mut self, key: &Arc<CachedKey>) -> Self {
        self.key = Some(Arc::clone(key));
        self
    }

    /// It was a failure.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            key.paid_no_more();
        }
        if let Some(until) = self.until.filter(|_| !*self.kept.get_mut()) {
            self.limit
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .give_back(self.address, until, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_given_back_unless_it_was_kept() {
        let limit = Mutex::new(FailureLimit::new(1));
        let guesser = IpAddr::from([192, 0, 2, 1]);
        let charge = Charge::take(&limit, guesser).unwrap();
        assert!(Charge::take(&limit, guesser).is_err(), "it counts already");
        drop(charge);
        Charge::take(&limit, guesser).unwrap().keep();
        assert!(Charge::take(&limit, guesser).is_err());
    }
}
