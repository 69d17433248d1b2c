//! A whole store as the source of a copy: one state of it, also while nodes write.

use std::time::Duration;

use tokio_postgres::Client;

use super::{
    PostgresError, PostgresSettings,
    adoption::connections_of_nodes,
    columns::{self, COLUMNS_OF_E},
    connections::{Connection, Connections},
    identity, schema,
};
use crate::{
    domain::{Clock, Identity, Incarnation, Row, RowHash, Stamp, Version},
    store::copy::{CopyError, Mark, PAGE, Rest, Table},
};

/// How long one step of a copy may wait for the database.
const STEP: Duration = Duration::from_mins(1);

/// A store that is read in one transaction.
pub(in crate::store) struct CopySource {
    connection: Connection,
    /// The latest clock of a delete that is forgotten.
    forgotten: Clock,
    /// The transactions that the state which is read includes.
    snapshot: String,
}

impl CopySource {
    /// Connects to the store of a cluster.
    pub(in crate::store) async fn open(
        settings: &PostgresSettings,
        cluster: &str,
        salt_fingerprint: &str,
    ) -> Result<Self, CopyError> {
        let connections = Connections::new(&settings.for_command())?;
        let mut connection = tokio::time::timeout(settings.timeout, connections.writes.get())
            .await
            .map_err(|_| PostgresError::Slow)??;
        let beginning = async {
            let transaction = connection.client_mut()?.transaction().await?;
            let identity = identity::read_if_any(&transaction).await?;
            transaction.commit().await?;
            schema::must_be_usable(identity.schema, identity.usable_from)?;
            identity.must_have(salt_fingerprint)?;
            identity.must_be_of(cluster)?;
            let client = connection.client()?;
            // Servers may end transactions that wait between two statements.
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0";
            client.batch_execute(begin).await?;
            let sql =
                "SELECT clocks_from, pg_current_snapshot()::text FROM opensecureconf.identity";
            let found = client.query_one(sql, &[]).await?;
            let forgotten = Clock::from_raw(found.try_get(0)?);
            Ok::<_, PostgresError>((forgotten, found.try_get(1)?))
        };
        let (forgotten, snapshot) = within_step(beginning).await?;
        // Its transaction is open: it is of no use to another user of the pool.
        connection.begin();
        Ok(Self {
            connection,
            forgotten,
            snapshot,
        })
    }

    /// The latest clock of a delete that the store has forgotten.
    pub(in crate::store) fn forgotten(&self) -> Clock {
        self.forgotten
    }

    /// What there is beside the state that was read; the state is left.
    pub(in crate::store) async fn rest(&self) -> Result<Rest, CopyError> {
        let asking = async {
            let client = self.connection.client()?;
            client.batch_execute("COMMIT").await?;
            // In this order: a node that is gone writes nothing afterwards.
            let nodes = connections_of_nodes(client).await?;
            let sql = "SELECT count(*) FROM (SELECT DISTINCT environment, key FROM opensecureconf.changes \
                       WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot) \
                       AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)) AS written";
            let written: i64 = client.query_one(sql, &[&self.snapshot]).await?.try_get(0)?;
            Ok(Rest {
                is_in_use: nodes > 0,
                written_since: written.unsigned_abs(),
            })
        };
        Ok(within_step(asking).await?)
    }
}

impl Table for CopySource {
    async fn marks(&mut self, after: Option<&Identity>) -> Result<Vec<Mark>, CopyError> {
        let client = self.connection.client()?;
        within_step(marks(client, after)).await.map_err(named)
    }

    async fn rows(&mut self, names: &[Identity]) -> Result<Vec<Row>, CopyError> {
        let client = self.connection.client()?;
        within_step(rows(client, names)).await.map_err(named)
    }
}

/// Waits for one step.
pub(super) async fn within_step<T>(
    step: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    tokio::time::timeout(STEP, step)
        .await
        .map_err(|_| PostgresError::Slow)?
}

/// A damaged row is reported by its name.
pub(super) fn named(error: PostgresError) -> CopyError {
    match error {
        PostgresError::Damaged {
            key,
            environment,
            what,
        } => CopyError::Damaged {
            key,
            environment,
            what,
        },
        error => error.into(),
    }
}

/// Names, stamps and sizes of a page of rows.
pub(super) async fn marks(
    client: &Client,
    after: Option<&Identity>,
) -> Result<Vec<Mark>, PostgresError> {
    // No key is empty: every row comes after the empty name.
    let (environment, key) = after.map_or((&b""[..], &b""[..]), |after| {
        (
            after.environment.as_str().as_bytes(),
            after.key.as_str().as_bytes(),
        )
    });
    let most = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let sql = "SELECT environment, key, clock, incarnation, row_hash, token IS NOT NULL, coalesce(octet_length(token), 0) \
               FROM opensecureconf.entries WHERE (environment, key) > ($1, $2) ORDER BY environment, key LIMIT $3";
    let found = client.query(sql, &[&environment, &key, &most]).await?;
    found.iter().map(mark).collect()
}

fn mark(found: &tokio_postgres::Row) -> Result<Mark, PostgresError> {
    let (environment, key): (&[u8], &[u8]) = (found.try_get(0)?, found.try_get(1)?);
    let names = std::str::from_utf8(environment)
        .ok()
        .zip(std::str::from_utf8(key).ok());
    let identity = names.and_then(|(environment, key)| Identity::of(environment, key));
    let identity = identity.ok_or_else(|| PostgresError::Damaged {
        key: String::from_utf8_lossy(key).into_owned(),
        environment: String::from_utf8_lossy(environment).into_owned(),
        what: "its names are none",
    })?;
    let hash: &[u8] = found.try_get(4)?;
    let size: i32 = found.try_get(6)?;
    Ok(Mark {
        identity,
        stamp: Stamp {
            version: Version {
                clock: Clock::from_raw(found.try_get(2)?),
                incarnation: Incarnation::from_raw(found.try_get(3)?),
            },
            // A hash of another length matches nothing.
            hash: RowHash(hash.try_into().unwrap_or_default()),
        },
        is_live: found.try_get(5)?,
        size: usize::try_from(size).unwrap_or_default(),
    })
}

/// These rows in full, in that order.
pub(super) async fn rows(client: &Client, names: &[Identity]) -> Result<Vec<Row>, PostgresError> {
    let (environments, keys) = columns::name_lists(names);
    let sql = format!(
        "SELECT {COLUMNS_OF_E} FROM unnest($1::bytea[], $2::bytea[]) AS n (environment, key) \
         JOIN opensecureconf.entries AS e ON e.environment = n.environment AND e.key = n.key"
    );
    let found = client.query(&sql, &[&environments, &keys]).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        rows.extend(columns::read(row, 0)?);
    }
    rows.sort_by(|one, other| one.identity.cmp(&other.identity));
    Ok(rows)
}
