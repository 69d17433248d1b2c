//! Writes, and their outcome when the server does not answer.

use std::slice;

use tokio::time::Instant;

use super::{
    PostgresError, PostgresStore,
    columns::{COLUMNS, Columns, OwnedParameter},
    timeline::TIMELINE,
    transaction::{Statement, WriteTime},
};
use crate::{
    cluster::{Change, Expected, Write, Written},
    domain::{Content, Row, Timestamp, Version},
};

/// How often a create reads a name again whose row others change.
const LOOKS: usize = 5;

/// The stored row, as far as the new row depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) version: Version,
    pub(super) created_at: Timestamp,
    pub(super) is_live: bool,
}

impl PostgresStore {
    /// Commits a write; `None` when the observed version changed meanwhile and must be checked again. A repeated create with
    /// the request id of the stored row counts as that one.
    ///
    /// # Errors
    /// [`PostgresError::Unknown`] where it may have been committed; any other where it was not.
    pub async fn commit_write(
        &self,
        write: &Write,
        request: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Written>, PostgresError> {
        let time = self.deadline().into();
        self.commit_write_within(write, request, now, time).await
    }

    /// The same with less time for other sessions.
    pub(super) async fn commit_write_within(
        &self,
        write: &Write,
        request: Option<&str>,
        now: Timestamp,
        time: WriteTime,
    ) -> Result<Option<Written>, PostgresError> {
        if matches!(write.change, Change::Adopt { .. }) {
            return Err(PostgresError::NoWrite(
                "every value is in the database already",
            ));
        }
        let deadline = time.deadline;
        let mut standing = match write.seen {
            Expected::Nothing | Expected::NothingLive => None,
            Expected::Version(seen) | Expected::Lost(seen) => {
                let found = self.standing_under(write, deadline).await?;
                match found.filter(|row| row.version == seen) {
                    None => return Ok(None),
                    found => found,
                }
            }
        };
        for _ in 0..LOOKS {
            let row = self.next_row(write, standing, now)?;
            let over = standing.map(|row| row.version);
            match self.put(&row, over, request, time).await? {
                Put::Made => {
                    self.count(standing.is_some_and(|row| row.is_live), &row);
                    self.0.wake.commits();
                    return Ok(Some(written(&row)));
                }
                Put::ClockIsBehind => continue,
                Put::SomethingElseIsThere if write.seen != Expected::NothingLive => {
                    return Ok(None);
                }
                Put::SomethingElseIsThere => {}
            }
            standing = self.standing_under(write, deadline).await?;
            if let Some(live) = standing.filter(|row| row.is_live) {
                return self.same_request(write, &live, request, deadline).await;
            }
        }
        Ok(None)
    }

    /// The row under the name of a write.
    async fn standing_under(
        &self,
        write: &Write,
        deadline: Instant,
    ) -> Result<Option<Standing>, PostgresError> {
        let standing = self.standing(slice::from_ref(write), deadline).await?;
        Ok(standing.into_iter().next().flatten())
    }

    /// The row that a write leaves.
    pub(super) fn next_row(
        &self,
        write: &Write,
        stored: Option<Standing>,
        now: Timestamp,
    ) -> Result<Row, PostgresError> {
        let replaced = stored
            .map(|row| row.version.clock)
            .filter(|clock| clock.is_plausible());
        let version = Version {
            clock: self.stamp(now, replaced, write.named)?,
            incarnation: self.0.incarnation,
        };
        let (category, token, seal, born) = match &write.change {
            Change::Put {
                category,
                token,
                seal,
            } => (category.clone(), Some(token), *seal, now),
            Change::Bring {
                category,
                token,
                seal,
                created_at,
            } => (category.clone(), Some(token), *seal, *created_at),
            Change::Delete | Change::Adopt { .. } => (None, None, None, now),
        };
        let live = stored.filter(|row| row.is_live);
        Ok(Row {
            identity: write.identity.clone(),
            category,
            content: token.map(|token| Content::Token(token.clone())),
            created_at: live.map_or(born, |row| row.created_at),
            updated_at: now,
            version,
            clocks: [(version.incarnation, version.clock)].into(),
            extra: seal.map(|seal| seal.into_extra(None)),
        })
    }

    /// Writes a row over a version, or where there is none. Settles an unknown outcome.
    async fn put(
        &self,
        row: &Row,
        over: Option<Version>,
        request: Option<&str>,
        time: WriteTime,
    ) -> Result<Put, PostgresError> {
        // Hashing and copying a large one takes milliseconds, as reading it does.
        let turn = self.turn_for(slice::from_ref(row), time.deadline).await?;
        let statement = self.put_statement(row, over, request)?;
        drop(turn);
        match self.write(statement, time).await {
            Ok(met) if met.rows == 1 => Ok(Put::Made),
            Ok(met) if over.is_none() && row.version.clock <= met.forgotten => {
                self.stamps().merge(met.forgotten);
                Ok(Put::ClockIsBehind)
            }
            Ok(_) => Ok(Put::SomethingElseIsThere),
            Err(PostgresError::Unknown) => {
                let settled = self.settle(&row.identity, row.version, time.deadline);
                settled.await.map(|()| Put::Made)
            }
            Err(error) => Err(error),
        }
    }

    fn put_statement(
        &self,
        row: &Row,
        over: Option<Version>,
        request: Option<&str>,
    ) -> Result<Statement, PostgresError> {
        let mut parameters = Columns::of(row).into_parameters();
        let guard = parameters.len();
        parameters.extend(self.guards()?);
        parameters.push(Box::new(request.map(str::to_owned)));
        let request = parameters.len();
        let ours = format!("here.ours AND here.timeline >= ${}::int", guard + 3);
        let put = match over {
            None => format!(
                "INSERT INTO opensecureconf.entries ({COLUMNS}, request_id) SELECT $1::bytea, $2::bytea, $3::bytea, \
                 $4::text, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bytea, $10::text, $11::bytea, \
                 ${request}::text FROM here WHERE {ours} AND $7::bigint > here.forgotten ON CONFLICT (environment, key) DO NOTHING \
                 RETURNING environment, key, clock, incarnation, token IS NULL AS deleted, updated_at"
            ),
            Some(version) => {
                parameters.push(Box::new(version.clock.raw()));
                parameters.push(Box::new(version.incarnation.raw()));
                format!(
                    "UPDATE opensecureconf.entries AS e SET category = $3, token = $4, created_at = $5, updated_at = $6, \
                     clock = $7, incarnation = $8, clocks = $9, extra = $10, row_hash = $11, request_id = ${request} \
                     FROM here WHERE e.environment = $1 AND e.key = $2 AND e.clock = ${} AND e.incarnation = ${} \
                     AND {ours} RETURNING e.environment, e.key, e.clock, e.incarnation, e.token IS NULL AS deleted, \
                     e.updated_at",
                    request + 1,
                    request + 2
                )
            }
        };
        Ok(Statement {
            sql: format!(
                "WITH {}, put AS ({put}), logged AS (INSERT INTO opensecureconf.changes (xid, environment, key, clock, \
                 incarnation, deleted, changed_at) SELECT pg_current_xact_id(), environment, key, clock, incarnation, \
                 deleted, updated_at FROM put) SELECT here.timeline, here.ours, (SELECT count(*) FROM put), here.forgotten FROM here",
                here(guard)
            ),
            parameters,
        })
    }

    /// Parameters that let a statement write only into this store, at its latest primary: uid, salt, timeline.
    pub(super) fn guards(&self) -> Result<[OwnedParameter; 3], PostgresError> {
        let identity = self.identity()?;
        Ok([
            Box::new(identity.uid.as_str().to_owned()),
            Box::new(identity.salt_fingerprint.clone()),
            Box::new(self.0.connections.timeline.get()),
        ])
    }

    /// The write of the stored row, where it came from this request.
    async fn same_request(
        &self,
        write: &Write,
        live: &Standing,
        request: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Written>, PostgresError> {
        let Some(request) = request else {
            return Ok(None);
        };
        let identity = &write.identity;
        let names = [
            identity.environment.as_str().as_bytes(),
            identity.key.as_str().as_bytes(),
        ];
        let sql = format!(
            "SELECT {TIMELINE}, e.updated_at FROM (SELECT 1) AS one LEFT JOIN opensecureconf.entries AS e \
             ON e.environment = $1 AND e.key = $2 AND e.clock = $3 AND e.incarnation = $4 AND e.request_id = $5"
        );
        let (clock, incarnation) = (live.version.clock.raw(), live.version.incarnation.raw());
        let found = self
            .read(
                &sql,
                &[&names[0], &names[1], &clock, &incarnation, &request],
                deadline,
            )
            .await?;
        let same = found
            .first()
            .map_or(Ok(None), |row| row.try_get::<_, Option<i64>>(1))?;
        let Some(updated_at) = same else {
            return Ok(None);
        };
        let is_there = self.lock(identity, live.version, deadline).await?;
        Ok(is_there.then(|| Written {
            version: live.version,
            created_at: live.created_at,
            updated_at: Timestamp::from_micros(updated_at),
            held_by: 1,
            wanted: 1,
        }))
    }
}

/// The outcome for a row to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    /// It stands.
    Made,
    /// Not the version that was seen.
    SomethingElseIsThere,
    /// A delete with a later clock is forgotten: the row must come after it.
    ClockIsBehind,
}

/// SQL: the condition that the statement runs in the right store; the two parameters after `before` others name the store.
pub(super) fn here(before: usize) -> String {
    format!(
        "here AS (SELECT {TIMELINE} AS timeline, EXISTS (SELECT FROM opensecureconf.identity WHERE uid = ${}::text \
         AND salt_fingerprint = ${}::text) AS ours, (SELECT clocks_from FROM opensecureconf.identity) AS forgotten)",
        before + 1,
        before + 2
    )
}

/// The database alone holds it.
pub(super) fn written(row: &Row) -> Written {
    Written {
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
        held_by: 1,
        wanted: 1,
    }
}
