//! How long a batch waits for a store that did not answer one of its steps.

use std::sync::{Mutex, PoisonError};

use crate::{api::answer::error::Unanswered, store::Deadline};

/// Whether a store is silent. From its first silence on, all steps together have the time of one, until the store answers
/// again.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<(Unanswered, Deadline)>>);

impl Silence {
    /// When the steps from now on have waited long enough; `None` where the store answers.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.with(|silence| silence.map(|(_, deadline)| deadline))
    }

    /// The store did not answer. Steps that began before may say so again: that gives no more time.
    pub(super) fn begins(&self, unanswered: Unanswered, deadline: Deadline) {
        self.with(|silence| {
            *silence = Some(match *silence {
                None => (unanswered, deadline),
                Some((before, deadline)) => (before.max(unanswered), deadline),
            });
        });
    }

    /// The store answered this.
    pub(super) fn ends(&self, answered: Unanswered) {
        self.with(|silence| *silence = silence.filter(|(unanswered, _)| *unanswered > answered));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Option<(Unanswered, Deadline)>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn deadline(seconds: u64) -> Deadline {
        Deadline::after(Some(Duration::from_secs(seconds)))
    }

    #[test]
    fn all_steps_after_a_silence_have_one_time_together() {
        let (silence, first) = (Silence::default(), deadline(5));
        assert_eq!(silence.deadline(), None);
        silence.begins(Unanswered::Read, first);
        silence.begins(Unanswered::Write, deadline(10));
        assert_eq!(silence.deadline(), Some(first));
    }

    #[test]
    fn a_store_that_answers_again_has_all_its_time_again() {
        let silence = Silence::default();
        silence.begins(Unanswered::Read, deadline(5));
        silence.ends(Unanswered::Read);
        assert_eq!(silence.deadline(), None);
        silence.begins(Unanswered::Write, deadline(5));
        silence.ends(Unanswered::Read);
        assert!(silence.deadline().is_some(), "it reads, and may not write");
        silence.ends(Unanswered::Write);
        assert_eq!(silence.deadline(), None);
    }
}
