//! Whether the database answers, as far as that is known without a question: the public may probe as often as it likes.

use std::sync::{Mutex as Lock, PoisonError};

use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{PostgresError, PostgresStore, timeline::TIMELINE};
use crate::store::ReadError;

/// How long a read that succeeded counts.
const FRESH: Duration = Duration::from_secs(1);
/// How long a probe that failed counts: service that is back is to be seen soon.
const FAILED: Duration = Duration::from_millis(500);

/// The latest answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// When a read succeeded, unless a later one met a server that does not serve.
    read_at: Lock<Option<Instant>>,
    /// When a probe failed last, and why. Held by the one that asks.
    failed: Mutex<Option<(Instant, PostgresError)>>,
}

impl Answers {
    /// Notes how a read ended.
    pub(super) fn note(&self, error: Option<&PostgresError>) {
        let read_at = match error {
            None => Some(Instant::now()),
            // A busy node is no sign of its database.
            Some(PostgresError::Busy | PostgresError::Slow) => return,
            Some(_) => None,
        };
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = read_at;
    }

    fn is_fresh(&self) -> bool {
        let read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.is_some_and(|at| at.elapsed() < FRESH)
    }
}

impl PostgresStore {
    /// Whether the database answers. Asks it where no read has succeeded for a second; of several callers one asks.
    pub(super) async fn probe_now(&self) -> Result<(), ReadError> {
        let answers = &self.0.answers;
        if answers.is_fresh() {
            return Ok(());
        }
        let mut failed = answers.failed.lock().await;
        if answers.is_fresh() {
            return Ok(());
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < FAILED
        {
            return Err(as_told(error));
        }
        let sql = format!("SELECT {TIMELINE}");
        match self.read(&sql, &[], self.deadline()).await {
            Ok(_) => Ok(()),
            Err(PostgresError::Busy) => Err(ReadError::Busy),
            Err(error) => {
                let told = as_told(&error);
                *failed = Some((Instant::now(), error));
                Err(told)
            }
        }
    }
}

/// The error for one of several callers.
fn as_told(error: &PostgresError) -> ReadError {
    match error {
        PostgresError::Lost(loss) => ReadError::Lost(*loss),
        error if error.may_pass() => ReadError::Away(error.to_string().into()),
        error => ReadError::Failed(error.to_string().into()),
    }
}
