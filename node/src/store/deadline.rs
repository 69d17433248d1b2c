//! When a request has waited long enough for its store.

use std::time::{Duration, Instant};

/// When a request has waited long enough for its store, with all its calls together. The default has no end: a store then limits
/// each call by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// So long from now.
    pub fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// The same for a request that did something else for so long meanwhile.
    #[must_use]
    pub fn later_by(self, time: Duration) -> Self {
        Self(self.0.and_then(|at| at.checked_add(time)))
    }

    /// Whether it is over.
    pub fn has_passed(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// The time itself; `None` where there is no end.
    pub(in crate::store) fn at(self) -> Option<Instant> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_does_meanwhile_is_not_counted() {
        let over = Deadline::after(Some(Duration::ZERO));
        assert!(over.has_passed());
        assert!(!over.later_by(Duration::from_hours(1)).has_passed());
    }

    #[test]
    fn without_a_limit_there_is_no_end() {
        let none = Deadline::after(None);
        assert_eq!(none, Deadline::default());
        assert!(!none.later_by(Duration::from_hours(1)).has_passed());
        // No clock reaches that far.
        assert!(!Deadline::after(Some(Duration::MAX)).has_passed());
    }
}
