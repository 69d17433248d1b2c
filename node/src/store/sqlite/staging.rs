//! A snapshot of another node beside the rows, until it is complete and replaces them.

use rusqlite::{Connection, params};

use super::{meta, row};
use crate::{
    cluster::{Seq, Takeover},
    domain::{FINGERPRINT, Row, RowHash},
};

/// The columns that rows, staged rows and conflicts share.
const SHARED: &str = "environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, extra";

pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM staged)")?
        .query_row([], |row| row.get(0))
}

pub(super) fn clear(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM staged", []).map(drop)
}

pub(super) fn add(connection: &Connection, rows: &[(Row, RowHash)]) -> rusqlite::Result<()> {
    rows.iter()
        .try_for_each(|(row, hash)| row::stage(connection, row, *hash))
}

/// Puts the staged rows in the place of all others, which become conflicts where the snapshot lacks their content.
pub(super) fn take_over(connection: &Connection, takeover: Takeover) -> rusqlite::Result<Seq> {
    let Takeover {
        incarnation,
        last,
        seen_at,
        reissue: _,
    } = takeover;
    connection.execute(
        &format!(
            "INSERT INTO conflicts ({SHARED}, seen_at, kept) \
             SELECT {}, ?1, 1 FROM entries AS old LEFT JOIN staged AS new \
             ON new.environment = old.environment AND new.key = old.key \
             LEFT JOIN home_values AS home ON home.environment = old.environment AND home.key = old.key \
                 AND home.clock = old.clock AND home.incarnation = old.incarnation \
             WHERE old.token IS NOT NULL AND (new.key IS NULL \
                 OR (old.clock, old.incarnation, old.row_hash) > (new.clock, new.incarnation, new.row_hash)) \
             AND (old.token NOT GLOB '{FINGERPRINT}*' OR (home.token IS NOT NULL \
                 AND (new.token IS NULL OR (new.incarnation <> old.incarnation AND new.token <> old.token)))) \
             ON CONFLICT DO NOTHING",
            SHARED
                .split(", ")
                .map(|column| match column {
                    "token" => "coalesce(home.token, old.token)".to_owned(),
                    column => format!("old.{column}"),
                })
                .collect::<Vec<_>>()
                .join(", ")
        ),
        [seen_at.as_micros()],
    )?;
    connection.execute("DELETE FROM entries", [])?;
    connection.execute(
        &format!(
            "INSERT INTO entries ({SHARED}, seq) \
             SELECT {SHARED}, ?1 + row_number() OVER (ORDER BY environment, key) FROM staged"
        ),
        params![last.raw()],
    )?;
    let taken = connection.changes();
    clear(connection)?;
    connection.execute("DELETE FROM cursors", [])?;
    meta::put(connection, meta::INCARNATION, incarnation.raw())?;
    let taken = i64::try_from(taken).unwrap_or(i64::MAX);
    Ok(Seq::from_raw(last.raw().saturating_add(taken)))
}
