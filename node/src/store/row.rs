//! Rows to and from SQL.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, types::Type};

use crate::domain::{
    Category, Clock, ConfigKey, Environment, Identity, Incarnation, Row, Timestamp, Version,
};

pub(super) const COLUMNS: &str =
    "environment, key, category, token, created_at, updated_at, clock, incarnation, clocks";

/// The row of an identity, tombstones included.
pub(super) fn find(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entries WHERE environment = ?1 AND key = ?2"
        ))?
        .query_row((identity.environment.as_str(), identity.key.as_str()), read)
        .optional()
}

/// Writes a row over whatever stands under its identity, as the change with the given local sequence.
pub(super) fn put(connection: &Connection, row: &Row, seq: i64) -> rusqlite::Result<()> {
    // Destructured in full: a field that is not written would be lost.
    let Row {
        identity: Identity { environment, key },
        category,
        token,
        created_at,
        updated_at,
        version,
        clocks,
    } = row;
    connection
        .prepare_cached(&format!(
            "INSERT INTO entries ({COLUMNS}, row_hash, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT (environment, key) DO UPDATE SET category = excluded.category, token = excluded.token, \
             created_at = excluded.created_at, updated_at = excluded.updated_at, clock = excluded.clock, \
             incarnation = excluded.incarnation, clocks = excluded.clocks, row_hash = excluded.row_hash, seq = excluded.seq"
        ))?
        .execute((
            environment.as_str(),
            key.as_str(),
            category.as_ref().map(Category::as_str),
            token,
            created_at.as_micros(),
            updated_at.as_micros(),
            version.clock.raw(),
            version.incarnation.raw(),
            encode_clocks(clocks),
            row.hash().0,
            seq,
        ))
        .map(drop)
}

pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let invalid = |column: usize, what: &'static str| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
    };
    Ok(Row {
        identity: Identity {
            environment: Environment::new(row.get(0)?)
                .ok_or_else(|| invalid(0, "environment is too long"))?,
            key: ConfigKey::new(row.get(1)?)
                .ok_or_else(|| invalid(1, "key is empty or too long"))?,
        },
        category: row
            .get::<_, Option<String>>(2)?
            .map(|text| Category::new(text).ok_or_else(|| invalid(2, "category is too long")))
            .transpose()?,
        token: row.get(3)?,
        created_at: Timestamp::from_micros(row.get(4)?),
        updated_at: Timestamp::from_micros(row.get(5)?),
        version: Version {
            clock: Clock::from_raw(row.get(6)?),
            incarnation: Incarnation::from_raw(row.get(7)?),
        },
        clocks: decode_clocks(row.get_ref(8)?.as_blob()?),
    })
}

fn encode_clocks(clocks: &BTreeMap<Incarnation, Clock>) -> Vec<u8> {
    clocks
        .iter()
        .flat_map(|(incarnation, clock)| [incarnation.raw(), clock.raw()])
        .flat_map(i64::to_be_bytes)
        .collect()
}

fn decode_clocks(bytes: &[u8]) -> BTreeMap<Incarnation, Clock> {
    let (numbers, _) = bytes.as_chunks::<8>();
    let (pairs, _) = numbers.as_chunks::<2>();
    pairs
        .iter()
        .map(|[incarnation, clock]| {
            (
                Incarnation::from_raw(i64::from_be_bytes(*incarnation)),
                Clock::from_raw(i64::from_be_bytes(*clock)),
            )
        })
        .collect()
}
