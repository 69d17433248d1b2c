//! Rows to and from SQL.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, ToSql, types::Type};

use super::meta;
use crate::{
    cluster::{Digest, Scan, Seq},
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, RowHash,
        Timestamp, Version,
    },
};

pub(super) const COLUMNS: &str =
    "environment, key, category, token, created_at, updated_at, clock, incarnation, clocks, extra";

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
pub(super) fn put(
    connection: &Connection,
    row: &Row,
    hash: RowHash,
    seq: Seq,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO entries ({COLUMNS}, row_hash, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT (environment, key) DO UPDATE SET category = excluded.category, token = excluded.token, \
         created_at = excluded.created_at, updated_at = excluded.updated_at, clock = excluded.clock, \
         incarnation = excluded.incarnation, clocks = excluded.clocks, extra = excluded.extra, \
         row_hash = excluded.row_hash, seq = excluded.seq"
    );
    insert(connection, &sql, row, hash, Some(seq.raw()))
}

/// Keeps a row of a snapshot that is not complete yet.
pub(super) fn stage(connection: &Connection, row: &Row, hash: RowHash) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT OR REPLACE INTO staged ({COLUMNS}, row_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    insert(connection, &sql, row, hash, None)
}

/// Keeps the losing version of a conflict, once.
pub(super) fn put_conflict(
    connection: &Connection,
    row: &Row,
    hash: RowHash,
    seen_at: Timestamp,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO conflicts ({COLUMNS}, row_hash, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT DO NOTHING"
    );
    insert(connection, &sql, row, hash, Some(seen_at.as_micros()))
}

/// How many tombstones there are, and when the one that is first in the feed was written.
pub(super) fn tombstones(connection: &Connection) -> rusqlite::Result<(i64, Option<Timestamp>)> {
    let from = "FROM entries INDEXED BY entries_tombstones WHERE token IS NULL";
    let count = connection
        .prepare_cached(&format!("SELECT count(*) {from}"))?
        .query_row([], |row| row.get(0))?;
    let oldest = connection
        .prepare_cached(&format!("SELECT updated_at {from} ORDER BY seq LIMIT 1"))?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok((count, oldest.map(Timestamp::from_micros)))
}

/// The losing versions of conflicts, the latest first.
pub(super) fn conflicts(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM conflicts WHERE token IS NOT NULL ORDER BY id DESC"
        ))?
        .query_map([], read)?
        .collect()
}

/// What a look through the rows finds, all of one moment.
pub(super) fn digest(connection: &Connection, scan: Scan) -> rusqlite::Result<Digest> {
    let transaction = connection.unchecked_transaction()?;
    let head = meta::get::<i64>(&transaction, meta::LAST_SEQ)?.unwrap_or_default();
    let before = scan.cutoff.clock().raw();
    let mut digest = Digest::new(scan, Seq::from_raw(head));
    {
        let mut statement = transaction.prepare_cached(
            "SELECT environment, key, clock, incarnation, row_hash, token IS NOT NULL FROM entries WHERE clock < ?1",
        )?;
        let mut rows = statement.query([before])?;
        while let Some(row) = rows.next()? {
            let version = Version {
                clock: Clock::from_raw(row.get(2)?),
                incarnation: Incarnation::from_raw(row.get(3)?),
            };
            let name = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            digest.add(name, version, RowHash(row.get(4)?), row.get(5)?);
        }
    }
    transaction.finish()?;
    Ok(digest)
}

/// Executes an insertion of all of a row's fields, its hash and, where the statement has one, one more number.
fn insert(
    connection: &Connection,
    sql: &str,
    row: &Row,
    hash: RowHash,
    more: Option<i64>,
) -> rusqlite::Result<()> {
    // Destructured in full: a field that is not written would be lost.
    let Row {
        identity: Identity { environment, key },
        category,
        content,
        created_at,
        updated_at,
        version,
        clocks,
        extra,
    } = row;
    let clocks = encode_clocks(clocks);
    let category = category.as_ref().map(Category::as_str);
    let content = content.as_ref().map(Content::as_str);
    let values: [&dyn ToSql; 12] = [
        &environment.as_str(),
        &key.as_str(),
        &category,
        &content,
        &created_at.as_micros(),
        &updated_at.as_micros(),
        &version.clock.raw(),
        &version.incarnation.raw(),
        &clocks,
        extra,
        &hash.0,
        &more,
    ];
    let used = values.len() - usize::from(more.is_none());
    connection
        .prepare_cached(sql)?
        .execute(values.get(..used).unwrap_or(&values))
        .map(drop)
}

fn invalid(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

/// The identity in the first two columns.
pub(super) fn read_identity(row: &rusqlite::Row<'_>) -> rusqlite::Result<Identity> {
    Ok(Identity {
        environment: Environment::new(row.get(0)?)
            .ok_or_else(|| invalid(0, "environment is too long"))?,
        key: ConfigKey::new(row.get(1)?).ok_or_else(|| invalid(1, "key is empty or too long"))?,
    })
}

pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        identity: read_identity(row)?,
        category: row
            .get::<_, Option<String>>(2)?
            .map(|text| Category::new(text).ok_or_else(|| invalid(2, "category is too long")))
            .transpose()?,
        content: row.get::<_, Option<String>>(3)?.map(Content::from_text),
        created_at: Timestamp::from_micros(row.get(4)?),
        updated_at: Timestamp::from_micros(row.get(5)?),
        version: Version {
            clock: Clock::from_raw(row.get(6)?),
            incarnation: Incarnation::from_raw(row.get(7)?),
        },
        clocks: decode_clocks(row.get_ref(8)?.as_blob()?),
        extra: row.get(9)?,
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
