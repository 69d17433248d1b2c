//! Several writes in one transaction: all of them or none.
//!
//! One statement writes every row, and then divides by whether it wrote all: where one of them met another version, the
//! division makes the server end the transaction itself, and nothing has to be rolled back. In another store, or at a server
//! that was replaced, it writes nothing and does not divide: its answer names the cause.
//!
//! Where each write stands for itself, this has a part of the time only. What is left is for the writes one by one (`one_by_one.rs`):
//! a row that another session holds costs no other row its time.

use tokio::time::Instant;

use super::{
    PostgresError, PostgresStore,
    columns::{COLUMN_LISTS, ColumnLists, OwnedParameter, Parameter},
    commit::{Standing, here, written},
    now,
    timeline::TIMELINE,
    transaction::{Statement, WriteTime},
};
use crate::{
    cluster::{Change, Expected, Write, Written},
    domain::{Clock, Identity, Incarnation, Row, Timestamp, Version},
    store::{Atomicity, WriteError},
};

/// How often a batch reads rows again that others change.
const LOOKS: usize = 3;

/// The part of the time in which writes that stand for themselves are tried together, where other sessions hold rows.
const PART_FOR_LOCKS: u32 = 4;
/// The same, where the server is busy with them.
const PART_FOR_WORK: u32 = 2;

/// Why none of several writes was made.
enum NoneMade {
    /// The write at this place is why.
    Because(usize, WriteError),
    /// Others change the rows all the time, or lock them.
    Unsettled,
}

impl From<PostgresError> for NoneMade {
    fn from(error: PostgresError) -> Self {
        Self::Because(0, error.into())
    }
}

impl PostgresStore {
    /// Commits writes of different entries: in one transaction where none of them is refused, otherwise as their atomicity
    /// says.
    pub(super) async fn commit_writes(
        &self,
        writes: &[Write],
        atomicity: Atomicity,
    ) -> Vec<Result<Written, WriteError>> {
        let deadline = self.deadline();
        let time = match atomicity {
            Atomicity::All => deadline.into(),
            Atomicity::Each => together(deadline),
        };
        let error = match self.commit_all(writes, now(), time).await {
            Ok(written) => return written.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        match (error, atomicity) {
            // Where one of them may have been committed, all may.
            (NoneMade::Because(_, error @ WriteError::Unknown), _)
            // The database is away: one by one they would wait as long for the same.
            | (
                NoneMade::Because(_, error @ (WriteError::Away(_) | WriteError::Lost(_))),
                Atomicity::Each,
            ) => {
                writes.iter().map(|_| Err(error.clone())).collect()
            }
            (NoneMade::Because(place, error), Atomicity::All) => (0..writes.len())
                .map(|other| {
                    Err(if other == place {
                        error.clone()
                    } else {
                        WriteError::OthersRefused
                    })
                })
                .collect(),
            (NoneMade::Unsettled, atomicity)
                if atomicity == Atomicity::All || Instant::now() >= deadline =>
            {
                let busy = "others change or lock entries of this batch all the time".to_owned();
                let error = WriteError::Failed(busy);
                writes.iter().map(|_| Err(error.clone())).collect()
            }
            (NoneMade::Because(..) | NoneMade::Unsettled, _) => {
                self.commit_one_by_one(writes, deadline).await
            }
        }
    }

    async fn commit_all(
        &self,
        writes: &[Write],
        now: Timestamp,
        time: WriteTime,
    ) -> Result<Vec<Written>, NoneMade> {
        let deadline = time.deadline;
        for _ in 0..LOOKS {
            let standing = self.standing(writes, deadline).await?;
            let mut rows = Vec::with_capacity(writes.len());
            for (place, (write, stored)) in writes.iter().zip(&standing).enumerate() {
                if !is_as_seen(write.seen, stored.as_ref()) {
                    return Err(NoneMade::Because(place, WriteError::Changed));
                }
                let refused = |error: PostgresError| NoneMade::Because(place, error.into());
                if matches!(write.change, Change::Adopt { .. }) {
                    let reason = "every value is in the database already";
                    return Err(refused(PostgresError::NoWrite(reason)));
                }
                rows.push(self.next_row(write, *stored, now).map_err(refused)?);
            }
            let over = standing.iter().map(|row| row.map(|row| row.version));
            match self.put_all(&rows, over.collect(), time).await {
                Ok(()) => {
                    for (row, stored) in rows.iter().zip(&standing) {
                        self.count(stored.is_some_and(|row| row.is_live), row);
                    }
                    self.0.wake.commits();
                    return Ok(rows.iter().map(written).collect());
                }
                // One by one the others need not wait for the row that is held.
                Err(PostgresError::Locked) if time.is_divided() => break,
                Err(PostgresError::NotAll | PostgresError::Locked | PostgresError::TakenBack) => {
                    // It was others who took the time, and the database answers.
                    if Instant::now() >= deadline {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(NoneMade::Unsettled)
    }

    /// The rows under the names of these writes, in their order; stamps come after all forgotten deletes.
    pub(super) async fn standing(
        &self,
        writes: &[Write],
        deadline: Instant,
    ) -> Result<Vec<Option<Standing>>, PostgresError> {
        let sql = format!(
            "SELECT {TIMELINE}, (SELECT clocks_from FROM opensecureconf.identity), e.clock, e.incarnation, \
             e.created_at, e.token IS NOT NULL FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY \
             AS n(environment, key, place) LEFT JOIN opensecureconf.entries AS e \
             ON e.environment = n.environment AND e.key = n.key ORDER BY n.place"
        );
        let names = |name: fn(&Identity) -> &str| -> Vec<Vec<u8>> {
            let names = writes.iter().map(|write| name(&write.identity));
            names.map(|name| name.as_bytes().to_vec()).collect()
        };
        let environments = names(|identity| identity.environment.as_str());
        let keys = names(|identity| identity.key.as_str());
        let parameters: [Parameter<'_>; 2] = [&environments, &keys];
        let found = self.read(&sql, &parameters, deadline).await?;
        let mut standing = Vec::with_capacity(writes.len());
        for row in &found {
            if let Some(forgotten) = row.try_get::<_, Option<i64>>(1)? {
                self.stamps().merge(Clock::from_raw(forgotten));
            }
            let version: (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
            standing.push(match version.0.zip(version.1) {
                None => None,
                Some((clock, incarnation)) => Some(Standing {
                    version: Version {
                        clock: Clock::from_raw(clock),
                        incarnation: Incarnation::from_raw(incarnation),
                    },
                    created_at: Timestamp::from_micros(row.try_get(4)?),
                    is_live: row.try_get(5)?,
                }),
            });
        }
        Ok(standing)
    }

    /// Writes rows over these versions, or where there are none: all of them, or none.
    async fn put_all(
        &self,
        rows: &[Row],
        over: Vec<Option<Version>>,
        time: WriteTime,
    ) -> Result<(), PostgresError> {
        let turn = self.turn_for(rows, time.deadline).await?;
        let statement = self.put_all_statement(rows, over)?;
        drop(turn);
        match self.write(statement, time).await {
            Ok(_) => Ok(()),
            Err(PostgresError::Unknown) => {
                let Some(first) = rows.first() else {
                    return Ok(());
                };
                // All are of one transaction: where one of them is there, all are.
                self.settle(&first.identity, first.version, time.deadline)
                    .await
            }
            Err(error) => Err(error),
        }
    }

    fn put_all_statement(
        &self,
        rows: &[Row],
        over: Vec<Option<Version>>,
    ) -> Result<Statement, PostgresError> {
        let mut parameters: Vec<OwnedParameter> = ColumnLists::of(rows).into_parameters();
        let clocks: Vec<_> = over
            .iter()
            .map(|version| version.map(|version| version.clock.raw()))
            .collect();
        let incarnations: Vec<_> = over
            .into_iter()
            .map(|version| version.map(|version| version.incarnation.raw()))
            .collect();
        parameters.push(Box::new(clocks));
        parameters.push(Box::new(incarnations));
        let guard = parameters.len();
        parameters.extend(self.guards()?);
        let ours = format!("here.ours AND here.timeline >= ${}::int", guard + 3);
        let told = "environment, key, clock, incarnation, token IS NULL AS deleted, updated_at";
        let told_of_e = "e.environment, e.key, e.clock, e.incarnation, e.token IS NULL AS deleted, e.updated_at";
        Ok(Statement {
            sql: format!(
                "WITH {here}, n AS (SELECT * FROM unnest({COLUMN_LISTS}, $12::bigint[], $13::bigint[]) AS n(environment, key, category, token, created_at, updated_at, clock, incarnation, clocks, \
                 extra, row_hash, over_clock, over_incarnation)), \
                 made AS (INSERT INTO opensecureconf.entries (environment, key, category, token, created_at, updated_at, clock, \
                 incarnation, clocks, extra, row_hash) SELECT n.environment, n.key, n.category, n.token, n.created_at, \
                 n.updated_at, n.clock, n.incarnation, n.clocks, n.extra, n.row_hash FROM n, here WHERE n.over_clock IS NULL \
                 AND {ours} AND n.clock > COALESCE(here.forgotten, 0) ORDER BY n.environment, n.key \
                 ON CONFLICT (environment, key) DO NOTHING RETURNING {told}), \
                 replaced AS (UPDATE opensecureconf.entries AS e SET category = n.category, token = n.token, \
                 created_at = n.created_at, updated_at = n.updated_at, clock = n.clock, incarnation = n.incarnation, \
                 clocks = n.clocks, extra = n.extra, row_hash = n.row_hash, request_id = NULL FROM n, here \
                 WHERE e.environment = n.environment AND e.key = n.key AND e.clock = n.over_clock \
                 AND e.incarnation = n.over_incarnation AND {ours} RETURNING {told_of_e}), \
                 put AS (SELECT * FROM made UNION ALL SELECT * FROM replaced), \
                 logged AS (INSERT INTO opensecureconf.changes (xid, environment, key, clock, incarnation, deleted, changed_at) \
                 SELECT pg_current_xact_id(), environment, key, clock, incarnation, deleted, updated_at FROM put), \
                 counted AS (SELECT count(*) AS rows FROM put) \
                 SELECT here.timeline, here.ours, CASE WHEN {ours} \
                 THEN counted.rows / (counted.rows = cardinality($1::bytea[]))::int ELSE counted.rows END, \
                 here.forgotten FROM here, counted",
                here = here(guard),
            ),
            parameters,
        })
    }
}

/// The time of writes that are tried together and could be made one by one.
fn together(deadline: Instant) -> WriteTime {
    let left = deadline.saturating_duration_since(Instant::now());
    WriteTime {
        deadline,
        for_locks: left / PART_FOR_LOCKS,
        for_work: left / PART_FOR_WORK,
    }
}

/// Whether the stored row is the one that the caller of a write saw.
fn is_as_seen(seen: Expected, stored: Option<&Standing>) -> bool {
    match seen {
        Expected::Nothing => stored.is_none(),
        Expected::NothingLive => stored.is_none_or(|row| !row.is_live),
        Expected::Version(version) | Expected::Lost(version) => {
            stored.is_some_and(|row| row.version == version)
        }
    }
}
