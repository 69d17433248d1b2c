//! Federated: the ciphertexts that this node owns, beside the directory of all entries.

use rusqlite::{Connection, OptionalExtension};

use super::{
    EntryReader,
    columns::{self, Found},
    row::{self, AtOnce},
};
use crate::{
    domain::{Clock, Content, Identity, Incarnation, Row, Seal, Version},
    store::ReadError,
};

/// A value that this node owns, with its row in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeValue {
    /// The row.
    pub row: Row,
    /// The ciphertext.
    pub token: String,
}

pub(super) fn find(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<Option<(Version, String)>> {
    connection
        .prepare_cached(
            "SELECT clock, incarnation, token FROM home_values WHERE environment = ?1 AND key = ?2",
        )?
        .query_row(
            (identity.environment.as_str(), identity.key.as_str()),
            |row| {
                let version = Version {
                    clock: Clock::from_raw(row.get(0)?),
                    incarnation: Incarnation::from_raw(row.get(1)?),
                };
                Ok((version, columns::read_text(row, 2)?))
            },
        )
        .optional()
}

pub(super) fn put(
    connection: &Connection,
    identity: &Identity,
    version: Version,
    token: &str,
    seal: Option<Seal>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO home_values (environment, key, clock, incarnation, token, seal) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (environment, key) DO UPDATE SET clock = excluded.clock, \
             incarnation = excluded.incarnation, token = excluded.token, seal = excluded.seal",
        )?
        .execute((
            identity.environment.as_str(),
            identity.key.as_str(),
            version.clock.raw(),
            version.incarnation.raw(),
            token,
            seal.map(String::from),
        ))
        .map(drop)
}

/// The seal of the held value; an unreadable one counts as none.
pub(super) fn seal(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<Seal>> {
    let seal = connection
        .prepare_cached("SELECT seal FROM home_values WHERE environment = ?1 AND key = ?2")?
        .query_row(
            (identity.environment.as_str(), identity.key.as_str()),
            |row| columns::read_text(row, 0),
        )
        .optional()?;
    Ok(seal.and_then(|seal| Seal::try_from(seal).ok()))
}

pub(super) fn remove(connection: &Connection, identity: &Identity) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM home_values WHERE environment = ?1 AND key = ?2")?
        .execute((identity.environment.as_str(), identity.key.as_str()))
        .map(drop)
}

/// The value that a row names where it was set aside, and its place among the conflicts.
pub(super) fn set_aside(
    connection: &Connection,
    named: &Row,
) -> rusqlite::Result<Option<(i64, String)>> {
    let Identity { environment, key } = &named.identity;
    let mut statement = connection.prepare_cached(
        "SELECT id, token FROM conflicts WHERE environment = ?1 AND key = ?2 AND token IS NOT NULL",
    )?;
    let mut kept = statement.query((environment.as_str(), key.as_str()))?;
    while let Some(loser) = kept.next()? {
        let token = columns::read_text(loser, 1)?;
        if named.content.as_ref().is_some_and(|it| it.is_of(&token)) {
            return Ok(Some((loser.get(0)?, token)));
        }
    }
    Ok(None)
}

pub(super) fn remove_set_aside(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM conflicts WHERE id = ?1")?
        .execute([id])
        .map(drop)
}

/// Entries whose values another database than this one wrote.
pub(super) fn earlier(
    connection: &Connection,
    than: Incarnation,
    most: usize,
) -> rusqlite::Result<Vec<Identity>> {
    connection
        .prepare_cached(
            "SELECT environment, key FROM home_values WHERE incarnation < ?1 OR incarnation > ?1",
        )?
        .query_map([than.raw()], columns::read_identity)?
        .filter_map(Result::transpose)
        .take(most)
        .collect()
}

pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM home_values)")?
        .query_row([], |row| row.get(0))
}

pub(super) fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM home_values")?
        .query_row([], |row| row.get(0))
}

/// The row of an identity, with its value where that is held here.
pub(super) fn find_row(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<Option<Found>> {
    row::look_up(connection, identity)?
        .map(|found| whole(connection, found))
        .transpose()
}

/// The same where row and value have no more than so many bytes.
pub(super) fn find_small_row(
    connection: &Connection,
    identity: &Identity,
    most: usize,
) -> rusqlite::Result<Option<AtOnce<Found>>> {
    let found = match row::look_up_small(connection, identity, most)? {
        None => return Ok(None),
        Some(AtOnce::TooLarge) => return Ok(Some(AtOnce::TooLarge)),
        Some(AtOnce::Read(found)) => found,
    };
    if is_named(&found) && is_large(connection, identity, most)? {
        return Ok(Some(AtOnce::TooLarge));
    }
    whole(connection, found).map(AtOnce::Read).map(Some)
}

fn is_named(found: &Found) -> bool {
    matches!(found.row.content, Some(Content::Fingerprint(_)))
}

/// Whether the value that is held here has more than so many bytes.
fn is_large(connection: &Connection, identity: &Identity, most: usize) -> rusqlite::Result<bool> {
    let large = connection
        .prepare_cached(
            "SELECT octet_length(token) > ?3 FROM home_values WHERE environment = ?1 AND key = ?2",
        )?
        .query_row(
            (
                identity.environment.as_str(),
                identity.key.as_str(),
                i64::try_from(most).unwrap_or(i64::MAX),
            ),
            |row| row.get(0),
        )
        .optional()?;
    Ok(large.unwrap_or_default())
}

/// A row with the value that it names, where that is held here.
pub(super) fn whole(connection: &Connection, mut found: Found) -> rusqlite::Result<Found> {
    // Large as a token may be, only a name is kept beside it.
    let named = if is_named(&found) {
        found.row.content.clone()
    } else {
        None
    };
    found.row = attach(connection, found.row)?;
    let is_it = found.row.content.as_ref().and_then(Content::token);
    if let (Some(named), Some(token)) = (named, is_it)
        && !named.is_of(token)
    {
        found.unreadable.get_or_insert(columns::OTHER_VALUE);
    }
    Ok(found)
}

/// A row with its value where that is held here.
pub(super) fn attach(connection: &Connection, mut row: Row) -> rusqlite::Result<Row> {
    if matches!(row.content, Some(Content::Fingerprint(_)))
        && let Some((version, token)) = find(connection, &row.identity)?
        && version == row.version
    {
        row.content = Some(Content::Token(token));
    }
    Ok(row)
}

impl EntryReader {
    /// Values that this node holds, in no order: one at least, if there is any, then as many as fit.
    pub async fn home_values(
        &self,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<HomeValue>, ReadError> {
        self.readers()
            .scan(move |connection| {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT {}, home.token FROM home_values AS home JOIN entries \
                     USING (environment, key, clock, incarnation) LIMIT ?1",
                    row::COLUMNS
                        .split(", ")
                        .map(|column| format!("entries.{column}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ))?;
                let mut rows = statement.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
                let (mut values, mut size) = (Vec::new(), 0_usize);
                while let Some(found) = rows.next()? {
                    let token = columns::read_text(found, 10)?;
                    size = size.saturating_add(token.len());
                    if size > bytes && !values.is_empty() {
                        break;
                    }
                    values.push(HomeValue {
                        row: columns::read(found)?,
                        token,
                    });
                }
                Ok(values)
            })
            .await
    }
}
