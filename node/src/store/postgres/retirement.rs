//! Which connections have served long enough.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use deadpool_postgres::Metrics;

/// How long a connection lives: where a name or a pooler leads to another server later, so does every connection soon.
const MOST_AGE: Duration = Duration::from_mins(1);

/// The age from which on connections are not used any more. All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Retirement(Arc<Mutex<Option<Instant>>>);

impl Retirement {
    fn locked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Retires every existing connection: the server accepts no new ones, or another server has taken over. A server that shuts
    /// down gracefully (`pg_ctl stop -m smart`, which is Kubernetes' SIGTERM) waits for its existing connections, and until they
    /// end no other server takes over.
    pub(super) fn retire_all(&self) {
        *self.locked() = Some(Instant::now());
    }

    /// Whether a connection is not to be used any more.
    pub(super) fn is_due(&self, connection: &Metrics) -> bool {
        connection.age() > MOST_AGE
            || self
                .locked()
                .is_some_and(|since| connection.created <= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_is_used_for_longer_than_a_minute() {
        let retirement = Retirement::default();
        let aged = |age: Duration| Metrics {
            created: Instant::now().checked_sub(age).unwrap(),
            ..Metrics::default()
        };
        assert!(!retirement.is_due(&aged(MOST_AGE / 2)));
        assert!(retirement.is_due(&aged(MOST_AGE + Duration::from_secs(1))));
    }
}
