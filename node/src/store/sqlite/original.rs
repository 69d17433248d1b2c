//! Databases of the Python original, versions 2.1 to 3.1: copied aside, then imported in one transaction.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, Transaction,
    types::{Value, ValueRef},
};

use super::{
    OpenError, leftovers, meta,
    path::{DatabasePath, open_private},
    row,
};
use crate::{
    cluster::Seq,
    crypto::{canonical, token_time},
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, Timestamp,
        Version,
    },
};

/// The writer of an original's rows: the same for every import of a row, so that copies of it merge silently.
const WRITER: i64 = 0;

/// The table of an original.
#[derive(Debug, Clone, Copy)]
pub(super) struct Original {
    has_environments: bool,
    has_times: bool,
}

/// The result of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Imported {
    entries: u64,
    set_aside: u64,
}

impl Original {
    /// Finds the original's table; `None` where there is none.
    pub(super) fn find(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let columns: Vec<String> = connection
            .prepare("SELECT name FROM pragma_table_info('configurations')")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        Ok(
            (has("key") && has("encrypted_value") && has("category")).then(|| Self {
                has_environments: has("environment"),
                has_times: has("created_at") && has("updated_at"),
            }),
        )
    }

    /// Turns the original's rows into entries, and drops its table.
    pub(super) fn import(
        self,
        transaction: &Transaction<'_>,
        copy: Option<&Path>,
    ) -> Result<(), OpenError> {
        let column = |there, name: &'static str| if there { name } else { "NULL" };
        let sql = format!(
            "SELECT {}, key, category, encrypted_value, {}, {} FROM configurations ORDER BY id",
            column(self.has_environments, "environment"),
            column(self.has_times, "created_at"),
            column(self.has_times, "updated_at"),
        );
        let (mut imported, mut high_water) = (Imported::default(), Clock::default());
        {
            let mut statement = transaction.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let mut seq = 0;
            while let Some(found) = rows.next()? {
                let fields: [Value; 6] = [
                    field(found, 0)?,
                    field(found, 1)?,
                    field(found, 2)?,
                    field(found, 3)?,
                    field(found, 4)?,
                    field(found, 5)?,
                ];
                let entry = entry(&fields).and_then(|entry| {
                    match row::find(transaction, &entry.identity) {
                        Ok(Some(_)) => Err("another row has the same environment and key"),
                        _ => Ok(entry),
                    }
                });
                match entry {
                    Ok(entry) => {
                        seq += 1;
                        high_water = high_water.max(entry.version.clock);
                        row::put(transaction, &entry, entry.hash(), Seq::from_raw(seq))?;
                        imported.entries += 1;
                    }
                    Err(reason) => {
                        let [environment, key, category, value, ..] = fields;
                        transaction
                            .prepare_cached("INSERT INTO set_aside (environment, key, category, value, reason) VALUES (?1, ?2, ?3, ?4, ?5)")?
                            .execute((environment, key, category, value, reason))?;
                        imported.set_aside += 1;
                    }
                }
            }
            meta::put(transaction, meta::CLOCK_HIGH_WATER, high_water.raw())?;
            meta::put(transaction, meta::LAST_SEQ, seq)?;
        }
        transaction.execute_batch("DROP TABLE configurations")?;
        let copy = copy.map(|copy| copy.display().to_string());
        tracing::info!(
            entries = imported.entries,
            copy,
            "original_database_imported"
        );
        if imported.set_aside > 0 {
            tracing::warn!(
                rows = imported.set_aside,
                advice = "they are no entries; see table set_aside of the database",
                "rows_set_aside"
            );
        }
        Ok(())
    }
}

/// Copies the unchanged database to a new file beside it, which the original still opens.
pub(super) fn copy_aside(
    connection: &Connection,
    path: &DatabasePath,
) -> Result<PathBuf, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::File { path, source }
    };
    let unfinished = path.beside(leftovers::ORIGINAL);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(&unfinished)(error));
        }
        _ => {}
    }
    let file = open_private(&unfinished).map_err(failed(&unfinished))?;
    connection.execute("VACUUM INTO ?1", [unfinished.display().to_string()])?;
    file.sync_all().map_err(failed(&unfinished))?;
    // An older copy may be the only one of another database.
    let mut copy = path.beside(".original");
    let mut number = 0;
    while copy.exists() {
        number += 1;
        copy = path.beside(&format!(".original.{number}"));
    }
    std::fs::rename(&unfinished, &copy).map_err(failed(&copy))?;
    Ok(copy)
}

/// One value of a row. Text that is no UTF-8 comes as bytes, which make no entry and stop no other row.
fn field(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Value> {
    match row.get_ref(index)? {
        ValueRef::Text(bytes) => Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_owned()),
        }),
        _ => row.get(index),
    }
}

/// The entry of a row, or why it is none.
fn entry(
    [environment, key, category, token, created_at, updated_at]: &[Value; 6],
) -> Result<Row, &'static str> {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let optional = |value: &Value, problem| match value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text.clone())),
        _ => Err(problem),
    };
    // In the common spelling: no byte of the ciphertext changes.
    let token = canonical(&text(token).ok_or("the value is no text")?).into_owned();
    let written = token_time(&token).ok_or("the value is no Fernet token")?;
    let time = |value: &Value| text(value).and_then(|text| parse_time(&text));
    let clock = Clock::at(written);
    let writer = Incarnation::from_raw(WRITER);
    Ok(Row {
        identity: Identity {
            environment: optional(environment, "the environment is no text")?
                .map_or(Some(Environment::default()), Environment::new)
                .ok_or("the environment is too long")?,
            key: text(key)
                .and_then(ConfigKey::new)
                .ok_or("the key is empty, too long or no text")?,
        },
        category: optional(category, "the category is no text")?
            .map(|category| Category::new(category).ok_or("the category is too long"))
            .transpose()?,
        content: Some(Content::Token(token)),
        created_at: time(created_at).unwrap_or(written),
        updated_at: time(updated_at).unwrap_or(written),
        version: Version {
            clock,
            incarnation: writer,
        },
        clocks: BTreeMap::from([(writer, clock)]),
        extra: None,
    })
}

/// `2026-11-23 19:29:38.926628`, in UTC; SQLAlchemy leaves out a fraction of zero.
fn parse_time(text: &str) -> Option<Timestamp> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_micros(time.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    /// An original with two rows, one of which has invalid UTF-8 in this column.
    fn with_broken_text_in(column: &str) -> Connection {
        const TOKEN: &str = "gAAAAABpaL0lAAECAwQFBgcICQoLDA0OD1xn5CYLb5yvmI0MNhNKjBTeuJjEnEHo8yb6f04frKWYJnzvVp2kjhNYvdjQV_4pUckf7AoZoZTmy2pnKnhYr-wbpeqj1aWyDATAa3ONAsyTyjet8cCnPWQi1UjORMtIdw==";
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE configurations (id INTEGER PRIMARY KEY, key TEXT, encrypted_value TEXT, category TEXT,
                 environment TEXT, created_at DATETIME, updated_at DATETIME)",
            )
            .unwrap();
        for key in ["whole", "broken"] {
            connection
                .execute(
                    "INSERT INTO configurations (key, encrypted_value, category, environment, created_at, updated_at)
                     VALUES (?1, ?2, 'c', 'e', '2026-01-15 10:10:45', '2026-01-15 10:10:45')",
                    (key, TOKEN),
                )
                .unwrap();
        }
        let sql = format!(
            "UPDATE configurations SET {column} = CAST(x'61ff' AS TEXT) WHERE key = 'broken'"
        );
        connection.execute(&sql, []).unwrap();
        connection
    }

    fn count(connection: &Connection, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_row_whose_text_is_no_utf_8_is_set_aside_and_stops_no_other() {
        for column in ["key", "encrypted_value", "category", "environment"] {
            let mut connection = with_broken_text_in(column);
            schema::migrate_copy(&mut connection, Incarnation::from_raw(1)).unwrap();
            assert_eq!(count(&connection, "entries"), 1, "{column}");
            assert_eq!(count(&connection, "set_aside"), 1, "{column}");
        }
    }

    #[test]
    fn what_is_set_aside_keeps_its_bytes() {
        let mut connection = with_broken_text_in("key");
        schema::migrate_copy(&mut connection, Incarnation::from_raw(1)).unwrap();
        let key: Vec<u8> = connection
            .query_row("SELECT CAST(key AS BLOB) FROM set_aside", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(key, b"a\xff");
    }

    #[test]
    fn a_time_that_is_no_utf_8_is_as_good_as_none() {
        let mut connection = with_broken_text_in("created_at");
        schema::migrate_copy(&mut connection, Incarnation::from_raw(1)).unwrap();
        assert_eq!(count(&connection, "entries"), 2);
    }

    #[test]
    fn times_of_the_original_are_utc() {
        let micros = |text| parse_time(text).map(Timestamp::as_micros);
        assert_eq!(
            micros("2026-01-15 10:10:45.000001"),
            Some(1_768_471_845_000_001)
        );
        assert_eq!(micros("2026-01-15 10:10:45"), Some(1_768_471_845_000_000));
        assert_eq!(micros("yesterday"), None);
    }
}
