//! One writing transaction, and callers that wait too long.
//!
//! A commit may wait for a standby without end, and nothing can undo it: cancelling it leaves the row without the standby
//! having it. So the caller gets an answer in time, and the connection is set aside until the server answers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures::join;
use tokio::time::{Instant, timeout_at};

use super::{
    PostgresError, PostgresSettings, PostgresStore,
    columns::{self, OwnedParameter},
    connections::{Connection, Connections},
    set_aside::{Sender, SetAside},
    timeline::LatestTimeline,
};
use crate::{domain::Clock, store::StoreLoss};

/// While too many connections are set aside, one write in this time tries whether the wait is over.
const PROBE: Duration = Duration::from_secs(1);

/// How long after its deadline a write may take to report that it was not sent.
const MOMENT: Duration = Duration::from_millis(50);

/// The open writes, as far as they matter to others.
#[derive(Debug)]
pub(super) struct Writes {
    /// Connections whose callers were answered already.
    set_aside: SetAside,
    most_set_aside: usize,
    next_probe: Mutex<Instant>,
}

impl Writes {
    pub(super) fn new(settings: &PostgresSettings) -> Self {
        Self {
            set_aside: SetAside::default(),
            most_set_aside: (settings.connections / 2).max(1),
            next_probe: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn count_set_aside(&self) -> usize {
        self.set_aside.count()
    }

    /// Refuses writes while half of the connections wait for a server that does not answer: the others stay for requests that
    /// come when it does again.
    fn admit(&self) -> Result<(), PostgresError> {
        if self.set_aside.count() < self.most_set_aside {
            return Ok(());
        }
        let now = Instant::now();
        let mut next: MutexGuard<'_, Instant> = self
            .next_probe
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if now < *next {
            return Err(PostgresError::Away(
                "its commits wait for a standby that does not confirm them".into(),
            ));
        }
        *next = now + PROBE;
        Ok(())
    }
}

/// How long a write may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteTime {
    /// When its caller gets an answer.
    pub(super) deadline: Instant,
    /// For how long the server may wait for a row that another session holds, where that is less.
    pub(super) for_locks: Duration,
    /// For how long the server may work on it, waits included, where that is less.
    pub(super) for_work: Duration,
}

/// All the time until the deadline.
impl From<Instant> for WriteTime {
    fn from(deadline: Instant) -> Self {
        Self {
            deadline,
            for_locks: Duration::MAX,
            for_work: Duration::MAX,
        }
    }
}

impl WriteTime {
    /// Whether there is time for something else after a row that another session holds.
    pub(super) fn is_divided(&self) -> bool {
        self.for_locks < Duration::MAX
    }

    /// The limits of a statement that is sent now, in milliseconds; `None` where its time is over.
    fn limits(&self) -> Option<(u128, u128)> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // The server takes 0 for no limit.
        let limit = |most: Duration| left.min(most).as_millis().max(1);
        (left.as_millis() > 0).then(|| (limit(self.for_locks), limit(self.for_work)))
    }
}

/// SQL: the server tells a cancelled wait for a standby by a warning alone, and a role may want none.
pub(super) const WARNED: &str = "SET LOCAL client_min_messages = warning";

/// A statement that writes, with all that it needs to run without its caller.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<OwnedParameter>,
}

/// The result of a writing statement. Its only row also has the server's timeline, and whether the store is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    /// How many rows.
    pub(super) rows: i64,
    /// The latest clock of forgotten deletes: every version comes after it.
    pub(super) forgotten: Clock,
}

impl PostgresStore {
    /// Runs one statement in a transaction of its own, until the database has committed it as durably as it is configured to;
    /// repeats it where the server rolled it back in favour of another one.
    ///
    /// # Errors
    /// [`PostgresError::Unknown`] where it may have been committed.
    pub(super) async fn write(
        &self,
        statement: Statement,
        time: impl Into<WriteTime>,
    ) -> Result<Met, PostgresError> {
        let (statement, time) = (Arc::new(statement), time.into());
        let mut outcome = self.write_once(&statement, time).await;
        while matches!(outcome, Err(PostgresError::TakenBack)) && Instant::now() < time.deadline {
            outcome = self.write_once(&statement, time).await;
        }
        self.0.condition.wrote(&outcome);
        outcome
    }

    async fn write_once(
        &self,
        statement: &Arc<Statement>,
        time: WriteTime,
    ) -> Result<Met, PostgresError> {
        self.0.writes.admit()?;
        let (shared, statement) = (Arc::clone(&self.0), Arc::clone(statement));
        let (told, outcome) = tokio::sync::oneshot::channel();
        let (caller, sender) = self.0.writes.set_aside.pair();
        // It goes on without its caller: a statement that was sent is neither cancelled nor cut off.
        tokio::spawn(async move {
            let outcome = run(&shared.connections, &statement, &sender, time).await;
            drop(sender);
            let _ = told.send(outcome);
        });
        // A write that ends before it is sent reports that itself, a moment after the deadline at most.
        let outcome = timeout_at(time.deadline + MOMENT, outcome).await;
        let was_sent = caller.leaves();
        match outcome {
            Ok(Ok(outcome)) => outcome,
            Err(_) if !was_sent => Err(PostgresError::Slow),
            // In time or not, that is not known.
            Ok(Err(_)) | Err(_) => Err(PostgresError::Unknown),
        }
    }
}

/// A connection to the latest primary, and the statement as that has prepared it.
async fn prepare(
    connections: &Connections,
    sql: &str,
) -> Result<(Connection, tokio_postgres::Statement), PostgresError> {
    loop {
        let mut connection = connections.writes.get().await?;
        connection.begin();
        let prepared = tokio::select! {
            prepared = connection.client()?.prepare_cached(sql) => prepared,
            // Its server was replaced, and has not been sent the write: that goes to the other one.
            () = connections.timeline.passes(connection.timeline) => continue,
        };
        let prepared = prepared.map_err(|error| PostgresError::from(error).of_store())?;
        if connections.timeline.get() <= connection.timeline {
            return Ok((connection, prepared));
        }
    }
}

async fn run(
    connections: &Connections,
    statement: &Statement,
    sender: &Sender,
    time: WriteTime,
) -> Result<Met, PostgresError> {
    let preparing = timeout_at(time.deadline, prepare(connections, &statement.sql)).await;
    let (mut connection, prepared) = preparing.map_err(|_| PostgresError::Slow)??;
    let cancelled_before = connections.cancelled_waits.load(Ordering::Acquire);
    let client = connection.client()?;
    // A caller that is gone wants no statement sent any more.
    let limits = time.limits().filter(|_| sender.may_send());
    let Some((for_locks, for_work)) = limits else {
        connection.end();
        return Err(PostgresError::Slow);
    };
    // The server checks a row again that another transaction changed meanwhile, whatever the default isolation level. Neither
    // limit counts while a commit waits for a standby.
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {for_locks}; \
         SET LOCAL statement_timeout = {for_work}; {WARNED}"
    );
    let parameters = columns::lent(&statement.parameters);
    // Sent together: one round trip to the server. Where the statement fails, the COMMIT ends nothing.
    let answered = async {
        join!(
            client.batch_execute(&begin),
            client.query_one(&prepared, &parameters),
            client.batch_execute("COMMIT"),
        )
    };
    let (begun, met, committed) = tokio::select! {
        answered = answered => answered,
        // A server that was replaced may never answer, and its connection would be taken from others for ever.
        () = connections.timeline.passes(connection.timeline) => return Err(PostgresError::Unknown),
    };
    let row = match met {
        Ok(row) => row,
        // The server itself reports the failure, or a pooler in its place. If it was the server, nothing is committed.
        Err(error) if error.as_db_error().is_some() => {
            if committed.is_ok() {
                connection.end();
            }
            return Err(PostgresError::of_sent(error).of_store());
        }
        Err(_) => return Err(PostgresError::Unknown),
    };
    if begun.is_err() || committed.is_err() {
        return Err(PostgresError::Unknown);
    }
    connection.end();
    if connections.cancelled_waits.load(Ordering::Acquire) != cancelled_before {
        // The wait of this commit or of one beside it was cancelled.
        return Err(PostgresError::Unknown);
    }
    met_by(&row, &connections.timeline)
}

fn met_by(row: &tokio_postgres::Row, timeline: &LatestTimeline) -> Result<Met, PostgresError> {
    let met = Met {
        rows: row.try_get(2)?,
        forgotten: Clock::from_raw(row.try_get::<_, Option<i64>>(3)?.unwrap_or_default()),
    };
    judge(met, row.try_get(0)?, row.try_get(1)?, timeline)
}

/// What an answer means whose commit succeeded, of a server on this timeline.
fn judge(
    met: Met,
    told: Option<i32>,
    is_ours: bool,
    timeline: &LatestTimeline,
) -> Result<Met, PostgresError> {
    match timeline.accept(told) {
        // Its successor may have the rows, if they were committed before it was promoted.
        Err(_) if met.rows > 0 => return Err(PostgresError::Unknown),
        accepted => accepted?,
    }
    if !is_ours {
        return Err(StoreLoss::Another.into());
    }
    Ok(met)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(rows: i64) -> Met {
        Met {
            rows,
            forgotten: Clock::default(),
        }
    }

    #[test]
    fn a_write_whose_answer_comes_after_a_promotion_may_have_been_made() {
        let timeline = LatestTimeline::default();
        assert!(judge(met(1), Some(1), true, &timeline).is_ok());
        // Another connection meets the promoted standby.
        timeline.accept(Some(2)).unwrap();
        for is_ours in [true, false] {
            let late = judge(met(1), Some(1), is_ours, &timeline).unwrap_err();
            assert!(matches!(late, PostgresError::Unknown), "{late}");
        }
    }

    #[test]
    fn a_write_that_met_no_row_of_a_replaced_server_was_not_made() {
        let timeline = LatestTimeline::default();
        timeline.accept(Some(2)).unwrap();
        let refused = judge(met(0), Some(1), true, &timeline).unwrap_err();
        let found = PostgresError::Replaced {
            found: 1,
            latest: 2,
        };
        assert_eq!(refused.to_string(), found.to_string());
        let other = judge(met(0), Some(2), false, &timeline).unwrap_err();
        assert!(matches!(other, PostgresError::Lost(StoreLoss::Another)));
    }
}
