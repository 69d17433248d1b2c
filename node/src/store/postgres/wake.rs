//! Readers that wait for the next commit, of this node or of another one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Wakes waiting readers. Other nodes' commits are found by queries, and only while a reader waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Wake {
    commit: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
}

impl Wake {
    /// Notes that there was a commit, or may have been.
    pub(super) fn commits(&self) {
        self.commit.notify_waiters();
    }

    pub(super) fn somebody_waits(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Ends when there may have been a commit after this call.
    pub(super) fn next(&self) -> impl Future<Output = ()> + Send + use<> {
        let place = Place::new(&self.waiting);
        let commit = Arc::clone(&self.commit).notified_owned();
        async move {
            commit.await;
            drop(place);
        }
    }
}

/// A waiting reader.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn new(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
