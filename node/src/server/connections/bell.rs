//! Wakes a connection for reasons other than its bytes: its end, its alarm, its certificate. These are rare and each check
//! takes a lock, so a connection checks them only after one of them rang.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use futures::task::AtomicWaker;

/// Rings for one of these events, and wakes the connection.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rang: AtomicBool,
    connection: AtomicWaker,
}

impl Bell {
    /// Whether it rang since the last check; from now on it wakes this task.
    pub(super) fn rang(&self, connection: &Waker) -> bool {
        // First: an event in between wakes the task.
        self.connection.register(connection);
        self.rang.load(Ordering::Acquire) && self.rang.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.connection.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn whatever_rings_is_seen_once_and_wakes_the_task_that_looked_last() {
        let (bell, task) = (Arc::new(Bell::default()), Arc::new(Woken::default()));
        let (rings, waker) = (
            Waker::from(Arc::clone(&bell)),
            Waker::from(Arc::clone(&task)),
        );
        assert!(!bell.rang(&waker));
        assert!(!task.0.load(Ordering::SeqCst));
        rings.wake_by_ref();
        assert!(task.0.load(Ordering::SeqCst));
        assert!(bell.rang(&waker));
        assert!(!bell.rang(&waker));
    }

    #[test]
    fn what_rang_before_the_first_look_is_not_missed() {
        let (bell, task) = (Arc::new(Bell::default()), Arc::new(Woken::default()));
        Waker::from(Arc::clone(&bell)).wake();
        assert!(bell.rang(&Waker::from(task)));
    }
}
