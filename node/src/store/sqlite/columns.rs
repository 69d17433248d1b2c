//! Columns as fields, even where a damaged disk changed them.

use rusqlite::types::ValueRef;

use crate::{
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, RowHash,
        Timestamp, Version,
    },
    store::clocks::decode_clocks,
};

/// The fault of a row that was changed behind the node's back.
pub(super) const OTHER_CONTENT: &str = "its content does not fit its hash";
/// The fault of a value that is not the one that its row names.
pub(super) const OTHER_VALUE: &str = "its value is not the one that was written";

/// A row as far as it can be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) row: Row,
    /// The unreadable part, for which the row has a replacement.
    pub(super) unreadable: Option<&'static str>,
}

/// The identity in the first two columns; `None` where it is none, so that no query finds the row by its readable part.
pub(super) fn read_identity(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Identity>> {
    let (environment, key) = (row.get_ref(0)?, row.get_ref(1)?);
    Ok(match (environment, key) {
        (ValueRef::Text(environment), ValueRef::Text(key)) => std::str::from_utf8(environment)
            .ok()
            .zip(std::str::from_utf8(key).ok())
            .and_then(|(environment, key)| Identity::of(environment, key)),
        _ => None,
    })
}

/// A row as far as it can be read. Its hash covers every field, so it matches only where each was read as it was written.
pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(examine(row)?.row)
}

/// A row as far as it can be read, and the unreadable part.
pub(super) fn examine(row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
    let mut fields = Fields {
        row,
        unreadable: None,
    };
    let environment = fields.text(0, "its environment is no text")?;
    let environment = fields.name(
        environment.unwrap_or_default(),
        (Environment::new, Environment::MAX_CHARACTERS),
        "its environment is too long",
    );
    let key = fields.text(1, "its key is no text")?.unwrap_or_default();
    if ConfigKey::new(key.clone()).is_none() {
        fields
            .unreadable
            .get_or_insert("its key is empty or too long");
    }
    let category = fields.text(2, "its category is no text")?.and_then(|text| {
        let limit = (
            Category::new as fn(String) -> Option<Category>,
            Category::MAX_CHARACTERS,
        );
        fields.name(text, limit, "its category is too long")
    });
    let row = Row {
        identity: Identity {
            environment: environment.unwrap_or_default(),
            key: ConfigKey::of_damaged(&key),
        },
        category,
        content: fields
            .text(3, "its value is no text")?
            .map(Content::from_text),
        created_at: Timestamp::from_micros(fields.number(4)?),
        updated_at: Timestamp::from_micros(fields.number(5)?),
        version: Version {
            clock: Clock::from_raw(fields.number(6)?),
            incarnation: Incarnation::from_raw(fields.number(7)?),
        },
        clocks: decode_clocks(fields.row.get_ref(8)?.as_bytes().unwrap_or_default()),
        extra: fields.text(9, "a field of a newer release is no text")?,
    };
    Ok(Found {
        row,
        unreadable: fields.unreadable,
    })
}

/// A row's hash; one of another length matches nothing.
pub(super) fn read_hash(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<RowHash> {
    let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(RowHash(bytes.try_into().unwrap_or_default()))
}

/// Text as far as it can be read.
pub(super) fn read_text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(lenient_text(row.get_ref(column)?).0.unwrap_or_default())
}

/// Text as far as it can be read, and whether it is complete.
fn lenient_text(value: ValueRef<'_>) -> (Option<String>, bool) {
    match value {
        ValueRef::Null => (None, true),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text.to_owned()), true),
            Err(_) => (Some(String::from_utf8_lossy(bytes).into_owned()), false),
        },
        ValueRef::Blob(bytes) => (Some(String::from_utf8_lossy(bytes).into_owned()), false),
        // It does not become NULL: only NULL makes a tombstone.
        ValueRef::Integer(_) | ValueRef::Real(_) => (Some(String::new()), false),
    }
}

/// Reads the fields of a row, even where a damaged disk changed them.
struct Fields<'r, 's> {
    row: &'r rusqlite::Row<'s>,
    unreadable: Option<&'static str>,
}

impl Fields<'_, '_> {
    fn text(&mut self, column: usize, wrong: &'static str) -> rusqlite::Result<Option<String>> {
        let (text, whole) = lenient_text(self.row.get_ref(column)?);
        if !whole {
            self.unreadable.get_or_insert(wrong);
        }
        Ok(text)
    }

    fn number(&mut self, column: usize) -> rusqlite::Result<i64> {
        if let ValueRef::Integer(number) = self.row.get_ref(column)? {
            return Ok(number);
        }
        self.unreadable.get_or_insert("one of its numbers is none");
        Ok(0)
    }

    /// A name of limited length, without the excess.
    fn name<T>(
        &mut self,
        mut text: String,
        (new, most): (fn(String) -> Option<T>, usize),
        wrong: &'static str,
    ) -> Option<T> {
        if let Some((end, _)) = text.char_indices().nth(most) {
            self.unreadable.get_or_insert(wrong);
            text.truncate(end);
        }
        new(text)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    const WHOLE: [&str; 10] = [
        "'e'", "'k'", "'c'", "'gAAAA'", "1", "2", "3", "4", "x''", "NULL",
    ];

    fn found(column: usize, damaged: &str) -> Found {
        let mut values = WHOLE;
        values[column] = damaged;
        let sql = format!("SELECT {}", values.join(", "));
        let connection = Connection::open_in_memory().unwrap();
        connection.query_row(&sql, [], examine).unwrap()
    }

    #[test]
    fn whatever_cannot_be_read_makes_a_row_that_does_not_fit_its_hash() {
        let whole = found(0, WHOLE[0]);
        assert_eq!(whole.unreadable, None);
        let long = format!("'{}'", "é".repeat(300));
        let damages = [
            (0, "CAST(x'65ff' AS TEXT)"),
            (0, long.as_str()),
            (1, "CAST(x'6bff' AS TEXT)"),
            (1, long.as_str()),
            (1, "''"),
            (1, "x'6b80'"),
            (2, "CAST(x'63ff' AS TEXT)"),
            (2, long.as_str()),
            (3, "CAST(x'67ff' AS TEXT)"),
            (3, "7"),
            (4, "'text'"),
            (7, "NULL"),
            (9, "CAST(x'ff' AS TEXT)"),
        ];
        for (column, damaged) in damages {
            let found = found(column, damaged);
            assert!(found.unreadable.is_some(), "{column} {damaged}");
            assert_ne!(found.row.hash(), whole.row.hash(), "{column} {damaged}");
            assert!(!found.row.is_tombstone(), "{column} {damaged}");
        }
        for damaged in ["7", "NULL", "'text'", "x'0102'"] {
            assert!(!found(8, damaged).row.is_tombstone());
        }
    }

    #[test]
    fn a_hash_of_another_length_fits_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        for stored in ["x'ff'", "NULL", "7", "zeroblob(33)"] {
            let sql = format!("SELECT {stored}");
            let hash = connection.query_row(&sql, [], |row| read_hash(row, 0));
            assert_eq!(hash.unwrap(), RowHash([0; 32]), "{stored}");
        }
    }
}
