//! Connections whose callers are gone, although a server still works on their statements.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connections are set aside just now.
#[derive(Debug, Clone, Default)]
pub(super) struct SetAside(Arc<Mutex<usize>>);

/// How far a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No statement has been sent yet.
    Waiting,
    /// It is sent, and its caller waits.
    Sent,
    /// Its caller is gone, and it was not sent.
    Dropped,
    /// It was sent, and its caller is gone.
    SetAside,
    /// The server has answered.
    Ended,
}

/// The caller that waits for a write. When it is dropped, the connection is set aside at once, so that the next write already
/// knows.
#[derive(Debug)]
pub(super) struct Caller(Arc<Write>);

/// The sender of a write, which receives the server's answer.
#[derive(Debug)]
pub(super) struct Sender(Arc<Write>);

#[derive(Debug)]
struct Write {
    stage: Mutex<Stage>,
    set_aside: SetAside,
}

impl SetAside {
    fn locked(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        *self.locked()
    }

    /// Both ends of a write.
    pub(super) fn pair(&self) -> (Caller, Sender) {
        let write = Arc::new(Write {
            stage: Mutex::new(Stage::Waiting),
            set_aside: self.clone(),
        });
        (Caller(Arc::clone(&write)), Sender(write))
    }
}

impl Write {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    /// Stops waiting; whether the server may have done the write.
    pub(super) fn leaves(self) -> bool {
        self.leave() != Stage::Waiting
    }

    fn leave(&self) -> Stage {
        let mut stage = self.0.stage();
        let was = *stage;
        match was {
            Stage::Waiting => *stage = Stage::Dropped,
            Stage::Sent => {
                *stage = Stage::SetAside;
                *self.0.set_aside.locked() += 1;
            }
            Stage::Dropped | Stage::SetAside | Stage::Ended => {}
        }
        was
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Sender {
    /// Whether a caller still waits for it; then it counts as sent.
    pub(super) fn may_send(&self) -> bool {
        let mut stage = self.0.stage();
        if *stage != Stage::Waiting {
            return false;
        }
        *stage = Stage::Sent;
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut stage = self.0.stage();
        if *stage == Stage::SetAside {
            let mut count = self.0.set_aside.locked();
            *count = count.saturating_sub(1);
        }
        *stage = Stage::Ended;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_and_is_waited_for_by_nobody_counts_until_it_ends() {
        let set_aside = SetAside::default();
        let (caller, sender) = set_aside.pair();
        assert!(sender.may_send());
        assert_eq!(set_aside.count(), 0);
        drop(caller);
        assert_eq!(set_aside.count(), 1);
        drop(sender);
        assert_eq!(set_aside.count(), 0);
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent() {
        let set_aside = SetAside::default();
        let (caller, sender) = set_aside.pair();
        assert!(!caller.leaves());
        assert!(!sender.may_send());
        drop(sender);
        assert_eq!(set_aside.count(), 0);
    }
}
