//! The single values of a database.

use rusqlite::{
    Connection, OptionalExtension, ToSql,
    types::{FromSql, Value},
};

/// The database's random identity.
pub(super) const INCARNATION: &str = "incarnation";
/// The salt's copy, 64 bytes.
pub(super) const SALT: &str = "salt";
/// The greatest clock reading ever given or seen.
pub(super) const CLOCK_HIGH_WATER: &str = "clock_high_water";
/// The local sequence of the latest change.
pub(super) const LAST_SEQ: &str = "last_seq";

/// The state of this node in its cluster, as JSON.
pub(super) const MEMBERSHIP: &str = "membership";
/// The members of the cluster, as JSON.
pub(super) const ROSTER: &str = "roster";

/// The records that every database has, with their names in messages.
const ALWAYS: [(&str, &str); 3] = [
    (INCARNATION, "identity"),
    (CLOCK_HIGH_WATER, "latest clock reading"),
    (LAST_SEQ, "last sequence"),
];

/// The records that are missing although every database has them.
pub(super) fn missing(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut missing = Vec::new();
    for (name, called) in ALWAYS {
        if !matches!(get(connection, name)?, Some(Value::Integer(_))) {
            missing.push(called);
        }
    }
    Ok(missing)
}

pub(super) fn get<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn put(connection: &Connection, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute((name, value))
        .map(drop)
}
