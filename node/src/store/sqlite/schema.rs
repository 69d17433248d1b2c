//! The database's tables, and how older ones become the current ones.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::{
    OpenError, meta,
    original::{self, Original},
    path::DatabasePath,
};
use crate::domain::Incarnation;

/// Marks a database as ours (`PRAGMA application_id`): `OSCf`.
const APPLICATION_ID: i32 = 0x4F53_4366;

/// Each step brings the schema from its index to the next `PRAGMA user_version`. Steps are never edited once released.
const MIGRATIONS: &[&str] = &["
-- One row for each entry or tombstone; ciphertext only.
CREATE TABLE entries (
    id          INTEGER PRIMARY KEY,
    environment TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    category    TEXT,
    token       TEXT,              -- NULL marks a tombstone
    created_at  INTEGER NOT NULL,  -- microseconds since 1970
    updated_at  INTEGER NOT NULL,
    clock       INTEGER NOT NULL,  -- the stamp: clock, incarnation, row hash
    incarnation INTEGER NOT NULL,
    row_hash    BLOB    NOT NULL,
    clocks      BLOB    NOT NULL,  -- the highest clock of each writer: (incarnation, clock) pairs, 8 bytes big-endian each
    extra       TEXT,              -- fields of a newer version, passed on as they came
    seq         INTEGER NOT NULL   -- this node's own order of changes: the feed
) STRICT;
CREATE UNIQUE INDEX entries_identity ON entries (environment, key);
CREATE UNIQUE INDEX entries_seq ON entries (seq);
CREATE INDEX entries_tombstones ON entries (seq) WHERE token IS NULL;

-- A snapshot of another node, until it is complete and takes the entries' place.
CREATE TABLE staged (
    environment TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    category    TEXT,
    token       TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    clock       INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    row_hash    BLOB    NOT NULL,
    clocks      BLOB    NOT NULL,
    extra       TEXT,
    PRIMARY KEY (environment, key)
) STRICT;

-- Single values: incarnation, salt, clock high-water mark, last sequence, membership and roster (JSON).
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;

-- How far each member's feed was read here, and how far each has acknowledged ours.
CREATE TABLE cursors (
    incarnation   INTEGER PRIMARY KEY,
    received_seq  INTEGER NOT NULL DEFAULT 0,
    process_epoch INTEGER NOT NULL DEFAULT 0,
    acked_seq     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Losing versions of concurrent writes.
CREATE TABLE conflicts (
    id          INTEGER PRIMARY KEY,
    environment TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    category    TEXT,
    token       TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    clock       INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    row_hash    BLOB    NOT NULL,
    clocks      BLOB    NOT NULL,
    extra       TEXT,
    seen_at     INTEGER NOT NULL,
    kept        INTEGER NOT NULL DEFAULT 0,  -- brought back by a fenced node: never dropped for newer ones
    UNIQUE (environment, key, clock, incarnation, row_hash)
) STRICT;

-- Rows of an imported database that are no entries: kept as they were, for a person to look at.
CREATE TABLE set_aside (
    id          INTEGER PRIMARY KEY,
    environment ANY,
    key         ANY,
    category    ANY,
    value       ANY,
    reason      TEXT NOT NULL
) STRICT;
", "
-- FEDERATED: entries hold fingerprints, and these are the ciphertexts of those whose home node this one is.
CREATE TABLE home_values (
    id          INTEGER PRIMARY KEY,
    environment TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    clock       INTEGER NOT NULL,  -- the version that it is the value of
    incarnation INTEGER NOT NULL,
    token       TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX home_values_identity ON home_values (environment, key);
CREATE INDEX home_values_incarnation ON home_values (incarnation);
", "
-- What binds the value to its entry; that of a row is among its extra fields. NULL for values from before.
ALTER TABLE home_values ADD COLUMN seal TEXT;
"];

/// Brings the database to the current schema; a new one gets the given incarnation.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &DatabasePath,
    incarnation: Incarnation,
) -> Result<(), OpenError> {
    let original = recognize(connection)?;
    let copy = original
        .as_ref()
        .map(|_| original::copy_aside(connection, path))
        .transpose()?;
    bring_up(connection, original, copy.as_deref(), incarnation)
}

/// Brings a copy of a database to the current schema; there must be one.
pub(super) fn migrate_copy(
    connection: &mut Connection,
    incarnation: Incarnation,
) -> Result<(), OpenError> {
    if is_empty(connection)? {
        return Err(OpenError::Foreign);
    }
    let original = recognize(connection)?;
    bring_up(connection, original, None, incarnation)
}

pub(super) fn bring_up(
    connection: &mut Connection,
    original: Option<Original>,
    copy: Option<&Path>,
    incarnation: Incarnation,
) -> Result<(), OpenError> {
    let version = version(connection)?;
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        if step == 0 {
            initialize(&transaction, incarnation)?;
            if let Some(original) = &original {
                original.import(&transaction, copy)?;
            }
        }
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(step + 1).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// The schema that every open database has (`PRAGMA user_version`).
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

/// Makes sure that a database is new, one of ours, or one of the original; changes nothing.
pub(super) fn recognize(connection: &Connection) -> Result<Option<Original>, OpenError> {
    let original = match application_id(connection)? {
        APPLICATION_ID => None,
        _ if is_empty(connection)? => None,
        _ => Some(Original::find(connection)?.ok_or(OpenError::Foreign)?),
    };
    version(connection)?;
    Ok(original)
}

/// Makes sure that a database is one of ours that this release can read; changes nothing.
pub(super) fn verify(connection: &Connection) -> Result<(), OpenError> {
    if application_id(connection)? != APPLICATION_ID {
        return Err(OpenError::Foreign);
    }
    version(connection).map(drop)
}

fn version(connection: &Connection) -> Result<usize, OpenError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let found = usize::try_from(version).unwrap_or(usize::MAX);
    if found > MIGRATIONS.len() {
        return Err(OpenError::NewerSchema {
            found,
            known: MIGRATIONS.len(),
        });
    }
    Ok(found)
}

fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA application_id", [], |row| row.get(0))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| row.get(0),
    )
}

fn initialize(transaction: &Transaction<'_>, incarnation: Incarnation) -> Result<(), OpenError> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    meta::put(transaction, meta::INCARNATION, incarnation.raw())?;
    meta::put(transaction, meta::CLOCK_HIGH_WATER, 0)?;
    meta::put(transaction, meta::LAST_SEQ, 0)?;
    Ok(())
}
