//! The tables, and how older ones become the current ones.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Transaction;

use super::{PostgresError, PostgresSettings, StoreIdentity, connections::Connections, identity};

/// All of our tables are in this schema, whatever else is in the database.
pub(super) const SCHEMA: &str = "opensecureconf";

/// Each step brings the tables from its index to the next version. Steps are never edited once released, and each leaves
/// tables that the release before it can use: nodes of both serve together while one follows the other.
const STEPS: &[&str] = &["
CREATE TABLE opensecureconf.identity (
    one              boolean PRIMARY KEY DEFAULT true CHECK (one),
    uid              text    NOT NULL,  -- of the store: 32 hexadecimal digits
    cluster          text    NOT NULL,  -- whose it is (OSC_CLUSTER_ID)
    salt_fingerprint text    NOT NULL,
    schema           integer NOT NULL,  -- of these tables
    usable_from      integer NOT NULL,  -- the oldest schema whose releases can use these tables
    changes_from     bigint  NOT NULL DEFAULT 0, -- changes of transactions up to this one are forgotten
    clocks_from      bigint  NOT NULL DEFAULT 0  -- the latest clock of a delete that is forgotten
);

-- One row for each entry or tombstone; ciphertext only. Names are bytes: they may have any character, and their order is
-- the same in every database.
CREATE TABLE opensecureconf.entries (
    environment bytea  NOT NULL,
    key         bytea  NOT NULL,
    category    bytea,
    token       text,             -- NULL marks a tombstone
    created_at  bigint NOT NULL,  -- microseconds since 1970
    updated_at  bigint NOT NULL,
    clock       bigint NOT NULL,  -- the version: clock and incarnation
    incarnation bigint NOT NULL,
    row_hash    bytea  NOT NULL,
    clocks      bytea  NOT NULL,  -- the highest clock of each writer: (incarnation, clock) pairs, 8 bytes big-endian each
    extra       text,             -- the value's seal, and fields of a newer version
    request_id  text,             -- of the request that wrote it
    PRIMARY KEY (environment, key)
);
CREATE INDEX entries_tombstones ON opensecureconf.entries (updated_at) WHERE token IS NULL;

-- What was changed, in the writing transactions themselves.
CREATE TABLE opensecureconf.changes (
    xid         xid8   NOT NULL,
    number      bigint GENERATED ALWAYS AS IDENTITY,
    environment bytea  NOT NULL,
    key         bytea  NOT NULL,
    clock       bigint NOT NULL,
    incarnation bigint NOT NULL,
    deleted     boolean NOT NULL,
    changed_at  bigint NOT NULL,
    PRIMARY KEY (xid, number)
);
CREATE INDEX changes_age ON opensecureconf.changes (changed_at);

-- Rows that are never read: an update of one waits for standbys as a write does, where there is no entry to lock.
CREATE TABLE opensecureconf.barrier (
    part    integer PRIMARY KEY,
    touched bigint  NOT NULL DEFAULT 0
);
INSERT INTO opensecureconf.barrier (part) SELECT generate_series(0, 63);
"];

/// The version of the tables that this release writes.
pub(super) const VERSION: i32 = 1;
/// The oldest version whose releases can use the tables that this release makes.
const USABLE_FROM: i32 = 1;

/// Serialises migrations: `OSCf` as a number. Held by the transaction, since a session's lock means nothing behind a pooler.
const LOCK: i64 = 0x4F53_4366;

/// Waits until no other command works on the tables; none does until the transaction ends. None of its waits for a lock is
/// longer than the limit.
pub(super) async fn take_turn(
    transaction: &Transaction<'_>,
    limit: Duration,
) -> Result<(), PostgresError> {
    let limited = format!("SET LOCAL lock_timeout = {}", limit.as_millis());
    transaction.batch_execute(&limited).await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(|error| PostgresError::from(error).of_command(limit))?;
    Ok(())
}

/// The result of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 where there were no tables.
    pub from: i32,
    /// The version now.
    pub to: i32,
    /// Which store the database is.
    pub identity: StoreIdentity,
}

/// Makes the tables, or brings older ones to this release's version: in one transaction, so that none is left half-made. A new
/// store gets its identity: it belongs to this cluster and this salt from then on. Later tables stay as they are, where this
/// release can use them.
///
/// # Errors
/// Where the role may not make tables, another session locks them for longer than a request may take, this release cannot use
/// the tables of a later one, or the store belongs to another cluster or has another salt.
pub async fn migrate(
    settings: &PostgresSettings,
    cluster: &str,
    salt_fingerprint: &str,
) -> Result<Migrated, PostgresError> {
    let limit = settings.timeout;
    let connections = Connections::new(&settings.for_command())?;
    let mut connection = within(limit, connections.writes.get()).await?;
    // The wait for other commands has a limit of its own.
    let beginning = within(2 * limit, async {
        let transaction = connection.transaction().await?;
        take_turn(&transaction, limit).await?;
        let from = version(&transaction).await?;
        Ok((transaction, from))
    });
    let (transaction, from) = beginning.await.map_err(|error| error.of_command(limit))?;
    // The server may work on large tables for as long as that takes.
    let stepping = take_steps(&transaction, from).await;
    stepping.map_err(|error| error.of_command(limit))?;
    let settling = within(
        2 * limit,
        settle(&transaction, from, cluster, salt_fingerprint),
    );
    let migrated = settling.await.map_err(|error| error.of_command(limit))?;
    // It may wait for a standby that is lost, also where nothing was changed: the name of the store is made sure of.
    let committed = timeout(limit, connections.commit(transaction)).await;
    committed.unwrap_or(Err(PostgresError::Unknown))?;
    Ok(migrated)
}

/// Waits for the database so long at most.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    timeout(limit, work)
        .await
        .map_err(|_| PostgresError::Slow)?
}

/// Makes the tables, or changes older ones.
async fn take_steps(transaction: &Transaction<'_>, from: i32) -> Result<(), PostgresError> {
    if from == 0 {
        transaction
            .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            .await?;
    }
    let done = usize::try_from(from).unwrap_or_default();
    for step in STEPS.iter().skip(done) {
        transaction.batch_execute(step).await?;
    }
    Ok(())
}

/// Gives the store its name, or makes sure that it has the one that it should have.
async fn settle(
    transaction: &Transaction<'_>,
    from: i32,
    cluster: &str,
    salt_fingerprint: &str,
) -> Result<Migrated, PostgresError> {
    // Tables of the next release stay as they are: nodes of this one may start beside its own.
    let is_later = from > VERSION;
    if !is_later {
        let versions = (VERSION, USABLE_FROM);
        identity::settle(transaction, cluster, salt_fingerprint, versions).await?;
    }
    let identity = identity::read_in(transaction).await?;
    identity.must_be_usable()?;
    identity.must_have(salt_fingerprint)?;
    identity.must_be_of(cluster)?;
    Ok(Migrated {
        from,
        to: identity.schema,
        identity,
    })
}

/// The version of the tables; 0 where there are none.
pub(super) async fn version(transaction: &Transaction<'_>) -> Result<i32, PostgresError> {
    let there: bool = transaction
        .query_one(
            "SELECT to_regclass('opensecureconf.identity') IS NOT NULL",
            &[],
        )
        .await?
        .try_get(0)?;
    if !there {
        return Ok(0);
    }
    let row = transaction
        .query_opt("SELECT schema FROM opensecureconf.identity", &[])
        .await?;
    Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
}

/// Refuses tables that this release cannot use.
pub(super) fn must_be_usable(schema: i32, usable_from: i32) -> Result<(), PostgresError> {
    if schema < VERSION {
        return Err(PostgresError::OldSchema {
            found: schema,
            needed: VERSION,
        });
    }
    if usable_from > VERSION {
        return Err(PostgresError::NewerSchema {
            found: schema,
            known: VERSION,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_step() {
        assert_eq!(usize::try_from(VERSION), Ok(STEPS.len()));
        assert!(STEPS.iter().all(|step| step.contains(SCHEMA)));
    }

    #[test]
    fn a_release_serves_beside_the_next_one_and_no_further() {
        assert!(must_be_usable(VERSION, USABLE_FROM).is_ok());
        assert!(must_be_usable(VERSION + 1, VERSION).is_ok());
        assert!(must_be_usable(VERSION + 2, VERSION + 1).is_err());
        assert!(must_be_usable(VERSION - 1, VERSION - 1).is_err());
    }
}
