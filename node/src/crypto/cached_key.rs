//! A key that the cache holds, and what it has shown: whether guessing it would have been worth anything.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::DataKey;
use crate::domain::Timestamp;

/// A key in the cache, and what it showed since it is there.
#[derive(Debug)]
pub(crate) struct CachedKey {
    key: Arc<DataKey>,
    since: Timestamp,
    /// It opened something older than `since`.
    opened: AtomicBool,
    /// A list that showed it nothing older was counted.
    listed: AtomicBool,
    /// A request with it is under way that paid for its failure in advance.
    paid: AtomicBool,
}

impl CachedKey {
    /// A key that has shown nothing yet, and when it was asked for first.
    pub(super) fn new(key: Arc<DataKey>, since: Timestamp) -> Self {
        Self {
            key,
            since,
            opened: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            paid: AtomicBool::new(false),
        }
    }

    pub(super) fn key(&self) -> &Arc<DataKey> {
        &self.key
    }

    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// It opened something older than itself.
    pub(super) fn opened(&self) {
        // Read first: keys in use are shared by many requests.
        if !self.has_opened() {
            self.opened.store(true, Ordering::Relaxed);
        }
    }

    /// A list showed it nothing older than itself; tells whether that was the first one.
    pub(super) fn listed_in_vain(&self) -> bool {
        !self.listed.swap(true, Ordering::Relaxed)
    }

    /// Whether it opened something that it cannot have created itself to be cached.
    pub(crate) fn has_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// Whether a request with this key has paid already; if not, this one has.
    pub(crate) fn pay(&self) -> bool {
        self.paid.swap(true, Ordering::Relaxed)
    }

    /// The request that paid is over.
    pub(crate) fn paid_no_more(&self) {
        self.paid.store(false, Ordering::Relaxed);
    }
}
