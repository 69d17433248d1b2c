//! The number of commits, and a wait for the next.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Counts the transactions of a store. The writer counts after the commit and before it answers, so a row read at the
/// current count is at least as new as every acknowledged write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commits {
    count: Arc<AtomicU64>,
    more: Arc<Notify>,
}

/// A count of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitCount(u64);

impl Commits {
    pub(crate) fn count(&self) -> CommitCount {
        CommitCount(self.count.load(Ordering::Acquire))
    }

    pub(crate) fn committed(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.more.notify_waiters();
    }

    /// Ends with the next transaction that commits after this call, also where it commits before the first poll.
    pub(crate) fn next(&self) -> impl Future<Output = ()> + use<> {
        // The future sees every commit from its creation on.
        Arc::clone(&self.more).notified_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_begins_to_wait_while_a_transaction_commits_is_woken() {
        const WAITS: usize = 20_000;
        let commits = Commits::default();
        let waiter = tokio::spawn({
            let commits = commits.clone();
            async move {
                for _ in 0..WAITS {
                    commits.next().await;
                }
            }
        });
        while !waiter.is_finished() {
            commits.committed();
            std::hint::spin_loop();
        }
        waiter.await.unwrap();
    }

    #[tokio::test]
    async fn a_commit_before_the_first_poll_is_not_missed() {
        let commits = Commits::default();
        let next = commits.next();
        commits.committed();
        next.await;
    }
}
