//! Rows that were read lately, as long as nothing was written since.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use moka::sync::Cache;
use tokio::sync::Notify;

use crate::domain::{Content, Identity, Row};

/// Counts the transactions of a store. The writer counts after the commit and before it answers, so a row read at the
/// current count is at least as new as every acknowledged write.
#[derive(Debug, Clone, Default)]
pub(super) struct Commits(Arc<(AtomicU64, Notify)>);

/// A count of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommitCount(u64);

impl Commits {
    pub(super) fn count(&self) -> CommitCount {
        CommitCount(self.0.0.load(Ordering::Acquire))
    }

    pub(super) fn committed(&self) {
        self.0.0.fetch_add(1, Ordering::Release);
        self.0.1.notify_waiters();
    }

    /// Ends with the next transaction that commits after this call.
    pub(super) fn next(&self) -> impl Future<Output = ()> {
        let commits = Arc::clone(&self.0);
        let mut commit = Box::pin(async move {
            let notified = commits.1.notified();
            notified.await;
        });
        // Polled once, it is registered: a commit between here and the caller's await is not missed.
        let _ = futures::FutureExt::now_or_never(&mut commit);
        commit
    }
}

/// Configuration is read far more often than written: most reads need no SQLite.
#[derive(Debug, Clone)]
pub(super) struct RowCache(Cache<Identity, (CommitCount, Arc<Row>)>);

impl RowCache {
    /// A cache of so many bytes of ciphertext.
    pub(super) fn new(capacity: usize) -> Self {
        let bytes = |identity: &Identity, (_, row): &(CommitCount, Arc<Row>)| {
            let texts = [
                Some(identity.key.as_str()),
                Some(identity.environment.as_str()),
                row.content.as_ref().map(Content::as_str),
            ];
            let bytes: usize = texts.into_iter().flatten().map(str::len).sum();
            // What the structures take is about this.
            u32::try_from(bytes + 512).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .weigher(bytes)
                .max_capacity(u64::try_from(capacity).unwrap_or(u64::MAX))
                .build(),
        )
    }

    /// The row, if it was read at this count.
    pub(super) fn get(&self, identity: &Identity, now: CommitCount) -> Option<Arc<Row>> {
        let (read_at, row) = self.0.get(identity)?;
        (read_at == now).then_some(row)
    }

    /// Keeps a row that was read after `count` was taken.
    pub(super) fn put(&self, identity: Identity, count: CommitCount, row: &Arc<Row>) {
        self.0.insert(identity, (count, Arc::clone(row)));
    }
}
