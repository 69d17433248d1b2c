//! The cluster's state in SQL: roster and membership as JSON values, cursors as rows.

use rusqlite::{Connection, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::meta;
use crate::{
    cluster::{Cursor, ProcessEpoch, Seq},
    domain::Incarnation,
};

pub(super) fn get_json<T: DeserializeOwned>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = meta::get(connection, name)?;
    text.map(|text| {
        serde_json::from_str(&text)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
    })
    .transpose()
}

pub(super) fn put_json(
    connection: &Connection,
    name: &str,
    value: &impl Serialize,
) -> rusqlite::Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    meta::put(connection, name, text)
}

pub(super) fn cursors(connection: &Connection) -> rusqlite::Result<Vec<(Incarnation, Cursor)>> {
    connection
        .prepare("SELECT incarnation, received_seq, process_epoch, acked_seq FROM cursors")?
        .query_map([], |row| {
            let cursor = Cursor {
                received: Seq::from_raw(row.get(1)?),
                process_epoch: ProcessEpoch::from_raw(row.get(2)?),
                acknowledged: Seq::from_raw(row.get(3)?),
            };
            Ok((Incarnation::from_raw(row.get(0)?), cursor))
        })?
        .collect()
}

pub(super) fn put_cursor(
    connection: &Connection,
    member: Incarnation,
    cursor: Cursor,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cursors (incarnation, received_seq, process_epoch, acked_seq) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (incarnation) DO UPDATE SET received_seq = excluded.received_seq, process_epoch = excluded.process_epoch, \
             acked_seq = excluded.acked_seq",
        )?
        .execute((
            member.raw(),
            cursor.received.raw(),
            cursor.process_epoch.raw(),
            cursor.acknowledged.raw(),
        ))
        .map(drop)
}
