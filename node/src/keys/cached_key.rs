//! A key that the cache holds, and its record: whether guessing it would have been worth anything.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crate::{crypto::DataKey, domain::Timestamp};

const NOTHING: u8 = 0;
const ITS_OWN: u8 = 1;
const OLDER: u8 = 2;

/// A key in the cache, and its successes for one origin since it entered.
#[derive(Debug)]
pub(crate) struct CachedKey {
    key: Arc<DataKey>,
    since: Timestamp,
    opened: AtomicU8,
}

impl CachedKey {
    /// A key without successes yet, and when it was requested first.
    pub(crate) fn new(key: Arc<DataKey>, since: Timestamp) -> Self {
        Self {
            key,
            since,
            opened: AtomicU8::new(NOTHING),
        }
    }

    pub(crate) fn key(&self) -> &Arc<DataKey> {
        &self.key
    }

    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Notes that it opened an entry, and whether that is older than `since`.
    pub(crate) fn opened(&self, older: bool) {
        let opened = if older { OLDER } else { ITS_OWN };
        // Read first: keys in use are shared by many requests.
        if self.opened.load(Ordering::Relaxed) < opened {
            self.opened.fetch_max(opened, Ordering::Relaxed);
        }
    }

    /// Whether it opened any entry, even its own.
    pub(crate) fn has_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed) != NOTHING
    }

    /// Whether it opened an entry that it cannot have created itself to get into the cache.
    pub(crate) fn has_opened_older(&self) -> bool {
        self.opened.load(Ordering::Relaxed) == OLDER
    }
}
