//! A database that becomes a store's copy: no node serves it before it is whole.

use std::time::Duration;

use deadpool_postgres::Transaction;

use super::{
    PostgresError, PostgresSettings, Uid,
    adoption::must_be_unused,
    columns::{self, COLUMN_LISTS, COLUMNS, ColumnLists},
    connections::Connections,
    copy_source::{marks, named, rows, within_step},
    identity, schema,
    timeline::TIMELINE,
};
use crate::{
    domain::{Clock, Identity, Row},
    store::{
        StoreLoss,
        copy::{CopyError, Mark, Table, Target},
    },
};

/// A store that is not whole yet.
#[derive(Debug)]
pub(in crate::store) struct CopyTarget {
    connections: Connections,
    /// Which store it is until it is whole.
    uid: Uid,
    cluster: String,
    /// Of the server that the copy was begun at.
    timeline: i32,
    /// How long one question may take.
    limit: Duration,
}

impl CopyTarget {
    /// Begins a copy in a database without entries, or goes on with one that becomes the store of this cluster. Makes the
    /// tables where there are none.
    pub(in crate::store) async fn open(
        settings: &PostgresSettings,
        cluster: &str,
        salt_fingerprint: &str,
    ) -> Result<Self, CopyError> {
        let connections = Connections::new(&settings.for_command())?;
        tokio::time::timeout(settings.timeout, connections.writes.get())
            .await
            .map_err(|_| PostgresError::Slow)??;
        let version = within_step(async {
            let mut connection = connections.writes.get().await?;
            let transaction = connection.transaction().await?;
            let version = schema::version(&transaction).await?;
            transaction.commit().await?;
            connection.end();
            Ok(version)
        });
        if version.await? == 0 {
            schema::migrate(settings, cluster, salt_fingerprint).await?;
        }
        let begun = begin(&connections, cluster, salt_fingerprint, settings.timeout);
        let (uid, timeline) = within_step(begun).await?.ok_or(CopyError::NotEmpty)?;
        Ok(Self {
            connections,
            uid,
            timeline,
            cluster: cluster.to_owned(),
            limit: settings.timeout,
        })
    }

    /// Whether the database is the store of this uid.
    pub(in crate::store) async fn is_finished(
        settings: &PostgresSettings,
        uid: &Uid,
    ) -> Result<bool, CopyError> {
        let connections = Connections::new(&settings.for_command())?;
        let found = identity::of_uid(&connections, uid, settings.timeout).await?;
        Ok(found.is_some())
    }

    /// Gives the copy to its cluster under this uid: nodes can serve it. Entries that they create come after this clock.
    pub(in crate::store) async fn finish(self, clock: Clock, uid: &Uid) -> Result<(), CopyError> {
        let Err(error) = self.try_to_finish(clock, uid).await else {
            return Ok(());
        };
        // Its commit may have succeeded without an answer.
        match identity::of_uid(&self.connections, uid, self.limit).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(error.into()),
        }
    }

    async fn try_to_finish(&self, clock: Clock, uid: &Uid) -> Result<(), PostgresError> {
        let finishing = async {
            let mut connection = self.connections.writes.get().await?;
            let transaction = connection.transaction().await?;
            self.must_stand(&transaction).await?;
            self.must_be_of_one_life(&transaction).await?;
            let set = "UPDATE opensecureconf.identity SET clocks_from = greatest(clocks_from, $1)";
            transaction.execute(set, &[&clock.raw()]).await?;
            let unfinished = identity::unfinished_copy_for(&self.cluster);
            if !identity::rename(&transaction, &unfinished, &self.cluster, uid).await? {
                return Err(StoreLoss::Another.into());
            }
            // It waits until the standby has all earlier commits: earlier cancelled waits no longer count.
            self.connections.commit(transaction).await?;
            connection.end();
            Ok(())
        };
        within_step(finishing).await
    }

    /// Refuses a server that has taken over since the copy was begun: it may lack rows that were compared at the one before.
    async fn must_be_of_one_life(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(), PostgresError> {
        if timeline(transaction).await? == self.timeline {
            return Ok(());
        }
        Err(PostgresError::Away(
            "another server has taken over during the copy, and both sides have to be compared again".into(),
        ))
    }

    /// Makes sure that the database is still the copy that was begun, until the transaction ends.
    async fn must_stand(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "SELECT uid FROM opensecureconf.identity WHERE uid = $1 FOR KEY SHARE";
        let found = transaction.query_opt(sql, &[&self.uid.as_str()]).await?;
        found.map(|_| ()).ok_or(StoreLoss::Another.into())
    }
}

/// The timeline of the server.
async fn timeline(transaction: &Transaction<'_>) -> Result<i32, PostgresError> {
    let sql = format!("SELECT {TIMELINE}");
    let told = transaction.query_one(&sql, &[]).await?;
    let told: Option<i32> = told.try_get(0)?;
    told.ok_or(PostgresError::Standby)
}

/// The store's own name while it is no cluster's, and the timeline of its server; `None` where it has entries that no copy has
/// brought.
async fn begin(
    connections: &Connections,
    cluster: &str,
    salt_fingerprint: &str,
    limit: Duration,
) -> Result<Option<(Uid, i32)>, PostgresError> {
    let unfinished = identity::unfinished_copy_for(cluster);
    let mut connection = connections.writes.get().await?;
    let transaction = connection.transaction().await?;
    schema::take_turn(&transaction, limit).await?;
    let found = identity::read_in(&transaction).await?;
    schema::must_be_usable(found.schema, found.usable_from)?;
    found.must_have(salt_fingerprint)?;
    if found.cluster != unfinished {
        found.must_be_of(cluster)?;
        let sql = "SELECT EXISTS (SELECT FROM opensecureconf.entries)";
        if transaction.query_one(sql, &[]).await?.try_get(0)? {
            return Ok(None);
        }
        must_be_unused(&transaction).await?;
        identity::rename(&transaction, cluster, &unfinished, &Uid::random()).await?;
    }
    let begun = identity::read_in(&transaction).await?;
    let timeline = timeline(&transaction).await?;
    transaction.commit().await?;
    connection.end();
    Ok(Some((begun.uid, timeline)))
}

impl Table for CopyTarget {
    async fn marks(&mut self, after: Option<&Identity>) -> Result<Vec<Mark>, CopyError> {
        let reading = async {
            let mut connection = self.connections.reads.get().await?;
            connection.begin();
            let marks = marks(connection.client()?, after).await?;
            connection.end();
            Ok(marks)
        };
        within_step(reading).await.map_err(named)
    }

    async fn rows(&mut self, names: &[Identity]) -> Result<Vec<Row>, CopyError> {
        let reading = async {
            let mut connection = self.connections.reads.get().await?;
            connection.begin();
            let rows = rows(connection.client()?, names).await?;
            connection.end();
            Ok(rows)
        };
        within_step(reading).await.map_err(named)
    }
}

impl Target for CopyTarget {
    async fn put(&mut self, rows: &[Row]) -> Result<(), CopyError> {
        // Deletes are forgotten together with their changes, so each needs a change.
        let sql = format!(
            "WITH put AS (INSERT INTO opensecureconf.entries ({COLUMNS}) SELECT {COLUMNS} FROM unnest({COLUMN_LISTS}) \
             AS r ({COLUMNS}) ON CONFLICT (environment, key) DO UPDATE SET category = excluded.category, \
             token = excluded.token, created_at = excluded.created_at, updated_at = excluded.updated_at, \
             clock = excluded.clock, incarnation = excluded.incarnation, clocks = excluded.clocks, extra = excluded.extra, \
             row_hash = excluded.row_hash, request_id = NULL \
             RETURNING environment, key, clock, incarnation, token IS NULL AS deleted, updated_at) \
             INSERT INTO opensecureconf.changes (xid, environment, key, clock, incarnation, deleted, changed_at) \
             SELECT pg_current_xact_id(), environment, key, clock, incarnation, deleted, updated_at FROM put WHERE deleted"
        );
        let parameters = ColumnLists::of(rows).into_parameters();
        let writing = async {
            let mut connection = self.connections.writes.get().await?;
            let transaction = connection.transaction().await?;
            self.must_stand(&transaction).await?;
            let parameters = columns::lent(&parameters);
            transaction.execute(&sql, &parameters).await?;
            transaction.commit().await?;
            connection.end();
            Ok(())
        };
        Ok(within_step(writing).await?)
    }

    async fn remove(&mut self, names: &[Identity]) -> Result<(), CopyError> {
        let sql = "DELETE FROM opensecureconf.entries AS e USING unnest($1::bytea[], $2::bytea[]) AS n (environment, key) \
                   WHERE e.environment = n.environment AND e.key = n.key";
        let (environments, keys) = columns::name_lists(names);
        let writing = async {
            let mut connection = self.connections.writes.get().await?;
            let transaction = connection.transaction().await?;
            self.must_stand(&transaction).await?;
            transaction.execute(sql, &[&environments, &keys]).await?;
            transaction.commit().await?;
            connection.end();
            Ok(())
        };
        Ok(within_step(writing).await?)
    }
}
