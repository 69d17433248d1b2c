//! Reads: at the primary; each statement also asks whether the server is one, and still the latest.

use std::sync::LazyLock;

use tokio::{
    sync::SemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{
    PostgresError, PostgresStore,
    columns::{self, COLUMNS_OF_E, Parameter, withheld, withholding},
    timeline::TIMELINE,
};
use crate::{
    budget::LARGE_TOKEN,
    domain::{Clock, Identity, Incarnation, Row, Version},
    store::ReadError,
};

/// SQL: these columns of the row under a name, behind the timeline; one row also where there is none.
fn look_up_sql(columns: &str) -> String {
    format!(
        "SELECT {TIMELINE}, {columns} FROM (SELECT 1) AS one \
         LEFT JOIN opensecureconf.entries AS e ON e.environment = $1 AND e.key = $2"
    )
}

/// Looks a row up whose token is not large.
static LOOK_UP: LazyLock<String> = LazyLock::new(|| look_up_sql(&withholding(LARGE_TOKEN)));
/// Looks a row up, whatever it has.
static LOOK_UP_LARGE: LazyLock<String> = LazyLock::new(|| look_up_sql(COLUMNS_OF_E));

impl PostgresStore {
    /// The row of an identity, tombstones included; `None` when it was never written.
    pub(super) async fn find_until(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Option<Row>, PostgresError> {
        let read = |row: &tokio_postgres::Row| columns::read(row, 1);
        self.look_up(identity, deadline, read).await
    }

    /// Whether an entry has this version or a later one, or had one and is deleted and forgotten. Otherwise a failover lost
    /// that version: every version that a client knows of was committed once, and the primary is asked.
    ///
    /// # Errors
    /// Where the primary does not answer in time.
    pub async fn reaches(&self, identity: &Identity, version: Version) -> Result<bool, ReadError> {
        let (found, forgotten) = self.known_version(identity).await?;
        Ok(found >= Some(version) || version.clock <= forgotten)
    }

    /// The version of an entry, tombstones included, and the latest clock of a delete that is forgotten.
    async fn known_version(
        &self,
        identity: &Identity,
    ) -> Result<(Option<Version>, Clock), PostgresError> {
        let sql = look_up_sql(
            "(SELECT clocks_from FROM opensecureconf.identity), e.clock, e.incarnation",
        );
        let names = [
            identity.environment.as_str().as_bytes(),
            identity.key.as_str().as_bytes(),
        ];
        let rows = self
            .read(&sql, &[&names[0], &names[1]], self.deadline())
            .await?;
        let Some(row) = rows.first() else {
            return Err(PostgresError::Standby);
        };
        let forgotten: Option<i64> = row.try_get(1)?;
        let parts: (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
        let version = parts.0.zip(parts.1).map(|(clock, incarnation)| Version {
            clock: Clock::from_raw(clock),
            incarnation: Incarnation::from_raw(incarnation),
        });
        Ok((version, Clock::from_raw(forgotten.unwrap_or_default())))
    }

    /// The same as far as it can be read: for a caller that writes over it.
    pub(super) async fn find_unread_until(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Option<Row>, PostgresError> {
        let examine = |row: &tokio_postgres::Row| {
            let found = columns::examine(row, 1)?;
            Ok(found.map(|(row, _)| row))
        };
        self.look_up(identity, deadline, examine).await
    }

    /// What is made of the row under a name. Copying and hashing a large one takes milliseconds: one at a time, and behind what
    /// waits for this thread, so that the other threads serve however many large ones are wanted.
    async fn look_up<F>(
        &self,
        identity: &Identity,
        deadline: Instant,
        read: F,
    ) -> Result<Option<Row>, PostgresError>
    where
        F: Fn(&tokio_postgres::Row) -> Result<Option<Row>, PostgresError>,
    {
        let names = [
            identity.environment.as_str().as_bytes(),
            identity.key.as_str().as_bytes(),
        ];
        let parameters: [Parameter<'_>; 2] = [&names[0], &names[1]];
        let rows = self.read(&LOOK_UP, &parameters, deadline).await?;
        match rows.first() {
            None => return Ok(None),
            Some(row) if withheld(row, 1, LARGE_TOKEN)?.is_none() => return read(row),
            Some(_) => drop(rows),
        }
        // Only who has the turn has a large row in memory.
        let _turn = self.large_turn(deadline).await?;
        let rows = self.read(&LOOK_UP_LARGE, &parameters, deadline).await?;
        rows.first().map_or(Ok(None), read)
    }

    /// The turn for work on one large row.
    pub(super) async fn large_turn(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, PostgresError> {
        let turn = timeout_at(deadline, self.0.large.acquire()).await;
        let turn = turn.map_err(|_| PostgresError::Slow)?;
        tokio::task::yield_now().await;
        // It is never closed.
        turn.map_err(|_| PostgresError::Busy)
    }

    /// The turn for writing these rows, where one of them is large.
    pub(super) async fn turn_for(
        &self,
        rows: &[Row],
        deadline: Instant,
    ) -> Result<Option<SemaphorePermit<'_>>, PostgresError> {
        let length = |row: &Row| row.content.as_ref().map_or(0, |it| it.as_str().len());
        if rows.iter().all(|row| length(row) <= LARGE_TOKEN) {
            return Ok(None);
        }
        self.large_turn(deadline).await.map(Some)
    }

    /// When a call that begins now has waited long enough: the rest of its request's time, or that of one request.
    pub(super) fn deadline(&self) -> Instant {
        let own = Instant::now() + self.0.settings.timeout;
        self.1.at().map_or(own, |at| own.min(at.into()))
    }

    /// Runs a reading statement whose first column is the timeline, and which always has a row.
    pub(super) async fn read(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Vec<tokio_postgres::Row>, PostgresError> {
        self.identity()?;
        if Instant::now() >= deadline {
            // Nothing is sent of which nothing is read: that would cost a connection.
            return Err(PostgresError::Slow);
        }
        let reading = async {
            let mut connection = self.0.connections.reads.get().await?;
            connection.begin();
            let client = connection.client()?;
            let statement = client.prepare_cached(sql).await?;
            let rows = client.query(&statement, parameters).await?;
            let told = rows.first().map_or(Ok(None), |row| row.try_get(0))?;
            // Where the server became a standby under this connection, or was replaced, a new connection leads elsewhere.
            self.0.connections.timeline.accept(told)?;
            connection.end();
            Ok(rows)
        };
        let read = timeout_at(deadline, reading)
            .await
            .map_err(|_| PostgresError::Slow)?
            .map_err(PostgresError::of_store);
        self.0.answers.note(read.as_ref().err());
        read
    }
}
