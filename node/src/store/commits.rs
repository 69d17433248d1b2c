//! How often something was committed, and when it is again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Counts the transactions of a store. The writer counts after the commit and before it answers, so a row read at the
/// current count is at least as new as every acknowledged write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commits(Arc<(AtomicU64, Notify)>);

/// A count of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitCount(u64);

impl Commits {
    pub(crate) fn count(&self) -> CommitCount {
        CommitCount(self.0.0.load(Ordering::Acquire))
    }

    pub(crate) fn committed(&self) {
        self.0.0.fetch_add(1, Ordering::Release);
        self.0.1.notify_waiters();
    }

    /// Ends with the next transaction that commits after this call.
    pub(crate) fn next(&self) -> impl Future<Output = ()> {
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
