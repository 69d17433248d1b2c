//! The length of rows' content, without reading it, so that its memory is known beforehand.

use rusqlite::{Connection, OptionalExtension};

use super::EntryReader;
use crate::{
    domain::Identity,
    store::{Measured, ReadError},
};

impl EntryReader {
    /// So many bytes; 0 where there is none.
    pub(crate) async fn content_bytes(&self, of: &Measured) -> Result<usize, ReadError> {
        self.readers()
            .read(|connection| measure(connection, of))
            .await
    }
}

/// `octet_length` reads the head of a row alone, however long the rest is.
fn measure(connection: &Connection, of: &Measured) -> rusqlite::Result<usize> {
    let length: Option<i64> = match of {
        Measured::ChangeAfter(after) => connection
            .prepare_cached(
                "SELECT octet_length(token) FROM entries WHERE seq > ?1 ORDER BY seq LIMIT 1",
            )?
            .query_row([after.raw()], |row| row.get(0))
            .optional()?
            .flatten(),
        Measured::RowAfter(after) => {
            let after = after.as_ref();
            let names = after.map(|after| (after.environment.as_str(), after.key.as_str()));
            connection
                .prepare_cached(
                    "SELECT octet_length(token) FROM entries INDEXED BY entries_identity \
                     WHERE (environment, key) > (?1, ?2) ORDER BY environment, key LIMIT 1",
                )?
                .query_row(names.unwrap_or(("", "")), |row| row.get(0))
                .optional()?
                .flatten()
        }
        Measured::These(rows) => {
            let mut longest = None;
            for row in rows {
                longest = longest.max(of_entry(connection, row)?);
            }
            longest
        }
        Measured::Value(entry) => connection
            .prepare_cached(
                "SELECT octet_length(token) FROM home_values WHERE environment = ?1 AND key = ?2",
            )?
            .query_row((entry.environment.as_str(), entry.key.as_str()), |row| {
                row.get(0)
            })
            .optional()?
            .flatten()
            .max(of_entry(connection, entry)?),
    };
    Ok(length
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or_default())
}

fn of_entry(connection: &Connection, entry: &Identity) -> rusqlite::Result<Option<i64>> {
    let length = connection
        .prepare_cached(
            "SELECT octet_length(token) FROM entries WHERE environment = ?1 AND key = ?2",
        )?
        .query_row((entry.environment.as_str(), entry.key.as_str()), |row| {
            row.get(0)
        })
        .optional()?;
    Ok(length.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{Seq, Tables},
        domain::Incarnation,
        store::sqlite::{row::tests::row_of, schema, tables::SqliteTables},
    };

    #[test]
    fn a_content_is_as_long_here_as_it_is_when_it_is_read() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        let rows = [("a", 3), ("b", 100_000), ("c", 20)].map(|(key, size)| {
            // The content on a damaged disk may be no ciphertext at all.
            row_of(key, 1, &"\u{e9}".repeat(size / 2))
        });
        let mut tables = SqliteTables::new(&connection);
        for (seq, row) in (1..).zip(&rows) {
            tables.put_row(row, row.hash(), Seq::from_raw(seq)).unwrap();
        }
        tables
            .put_value(&rows[2].identity, rows[2].version, "held here", None)
            .unwrap();
        tables.commit(0).unwrap();
        let [a, b, c] = rows.map(|row| row.identity);
        for (of, expected) in [
            (Measured::ChangeAfter(Seq::START), 2),
            (Measured::ChangeAfter(Seq::from_raw(1)), 100_000),
            (Measured::ChangeAfter(Seq::from_raw(3)), 0),
            (Measured::RowAfter(None), 2),
            (Measured::RowAfter(Some(a.clone())), 100_000),
            (Measured::RowAfter(Some(c.clone())), 0),
            (Measured::These(vec![a.clone(), b, c.clone()]), 100_000),
            (Measured::These(Vec::new()), 0),
            (Measured::Value(a), 2),
            (Measured::Value(c), 20),
        ] {
            assert_eq!(measure(&connection, &of).unwrap(), expected, "{of:?}");
        }
    }
}
