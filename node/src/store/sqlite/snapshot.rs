//! Lists: many entries read from one consistent state of the database, without holding them all in memory.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ToSql, types::ValueRef};

use super::{EntryReader, columns, row, values};
use crate::{
    domain::{Clock, Content, Incarnation, Row, Timestamp, Version},
    log::logged_name,
    store::{
        EntrySnapshot, GatheredRows, Hashed, ListedEntry, Reach, ReadError, Scanned, Selection,
    },
};

/// One state of the database, whatever is written meanwhile.
#[derive(Debug)]
struct Snapshot<'a>(&'a Connection);

impl EntryReader {
    /// Runs a reader of many entries where blocking is allowed; waits for a connection as long as this.
    pub async fn list<T, F>(&self, limit: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        self.readers()
            .scan_within(limit, move |connection| {
                let transaction = connection.unchecked_transaction()?;
                let result = read(&Snapshot(&transaction));
                transaction.finish()?;
                result
            })
            .await
    }
}

impl EntrySnapshot for Snapshot<'_> {
    fn scan(
        &self,
        selection: &Selection,
        reach: Reach,
        visit: &mut dyn FnMut(ListedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Scanned, ReadError> {
        let columns = "environment, key, category, token, created_at, updated_at, extra, clock, incarnation, clocks, row_hash";
        self.each(columns, selection, reach, |row| {
            // An unreadable row counts as an entry that no user key opens.
            let entry = read(row).unwrap_or(CLOSED);
            Ok(visit(entry))
        })
    }

    fn rows(&self, selection: &Selection, reach: Reach) -> Result<(Vec<Row>, Scanned), ReadError> {
        let mut gathered = GatheredRows::default();
        let columns = format!("{}, row_hash", row::COLUMNS);
        let scanned = self.each(&columns, selection, reach, |found| {
            if columns::read_identity(found)?.is_none() {
                return Ok(ControlFlow::Continue(()));
            }
            let found = values::whole(self.0, row::examine_whole(found)?)?;
            Ok(gathered.take(match found.unreadable {
                None => found.row,
                Some(what) => closed(found.row, what),
            }))
        })?;
        Ok(gathered.end(scanned))
    }
}

impl Snapshot<'_> {
    /// Visits live rows of the wanted category. Columns begin with environment, key, category and token.
    fn each(
        &self,
        columns: &str,
        selection: &Selection,
        reach: Reach,
        mut visit: impl FnMut(&rusqlite::Row<'_>) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<Scanned, ReadError> {
        let (sql, parameters) = query(columns, selection);
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters.as_slice())?;
        let mut scanned = Scanned::default();
        while let Some(row) = rows.next()? {
            if scanned.stopped_at.is_some() {
                return Ok(scanned);
            }
            scanned.looked_at += 1;
            if is_wanted(row, selection)? && visit(row)?.is_break() {
                return Ok(scanned);
            }
            if scanned.looked_at >= reach.rows || Instant::now() >= reach.until {
                // No scan can go on after an unreadable name: this one goes on to the next readable name.
                scanned.stopped_at = names(row);
            }
        }
        scanned.stopped_at = None;
        Ok(scanned)
    }
}

/// Whether a row is live and of the category. Not SQL's business, which would pass over any number of rows that are not.
fn is_wanted(row: &rusqlite::Row<'_>, selection: &Selection) -> rusqlite::Result<bool> {
    if let Some(wanted) = &selection.category {
        let category = row.get_ref(2)?;
        if category.as_bytes_or_null().ok().flatten() != Some(wanted.as_bytes()) {
            return Ok(false);
        }
    }
    Ok(row.get_ref(3)? != ValueRef::Null)
}

/// A damaged row as an entry that no user key opens: a read of the entry alone says what is wrong with it.
fn closed(mut row: Row, what: &'static str) -> Row {
    tracing::error!(
        key = %logged_name(row.identity.key.as_str()),
        environment = %logged_name(row.identity.environment.as_str()),
        what,
        "damaged_entry_not_listed"
    );
    row.content = Some(Content::Token(String::new()));
    row
}

fn names(row: &rusqlite::Row<'_>) -> Option<(String, String)> {
    let text = |column| Some(row.get_ref(column).ok()?.as_str().ok()?.to_owned());
    text(0).zip(text(1))
}

/// Stands for an entry that cannot be read.
const CLOSED: ListedEntry<'static> = ListedEntry {
    environment: "",
    key: "",
    category: None,
    token: "",
    extra: None,
    created_at: Timestamp::from_micros(0),
    updated_at: Timestamp::from_micros(0),
    hashed: None,
};

fn read<'a>(row: &'a rusqlite::Row<'_>) -> Option<ListedEntry<'a>> {
    let text = |column| row.get_ref(column).ok()?.as_str().ok();
    let bytes = |column| {
        let found = row.get_ref(column).ok();
        found
            .and_then(|found| found.as_bytes().ok())
            .unwrap_or_default()
    };
    Some(ListedEntry {
        environment: text(0)?,
        key: text(1)?,
        category: row.get_ref(2).ok()?.as_str_or_null().ok()?,
        token: text(3)?,
        created_at: Timestamp::from_micros(row.get(4).ok()?),
        updated_at: Timestamp::from_micros(row.get(5).ok()?),
        extra: row.get_ref(6).ok()?.as_str_or_null().ok()?,
        hashed: Some(Hashed {
            // What cannot be read does not fit the hash.
            version: Version {
                clock: Clock::from_raw(row.get(7).unwrap_or_default()),
                incarnation: Incarnation::from_raw(row.get(8).unwrap_or_default()),
            },
            clocks: bytes(9),
            hash: bytes(10),
        }),
    })
}

/// Only the requested conditions, so that the index on (environment, key) is used for each of them.
fn query<'s>(columns: &str, selection: &'s Selection) -> (String, Vec<&'s dyn ToSql>) {
    let mut conditions = Vec::new();
    let mut parameters: Vec<&dyn ToSql> = Vec::new();
    if let Some(environment) = &selection.environment {
        conditions.push("environment = ?");
        parameters.push(environment);
    }
    if let Some((environment, key)) = &selection.after {
        conditions.push("(environment, key) > (?, ?)");
        parameters.extend([environment as &dyn ToSql, key]);
    }
    let filter = match conditions.as_slice() {
        [] => String::new(),
        some => format!("WHERE {} ", some.join(" AND ")),
    };
    let sql = format!(
        "SELECT {columns} FROM entries INDEXED BY entries_identity {filter}ORDER BY environment, key"
    );
    (sql, parameters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        cluster::Seq,
        domain::{
            Clock, ConfigKey, Environment, Fingerprint, Identity, Incarnation, Timestamp, Version,
        },
        store::sqlite::schema,
    };

    /// Rows of these names: expressions of SQL. `None` in the place of a category makes a tombstone.
    fn database(rows: &[(&str, Option<&str>)]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        for (seq, (name, category)) in (1..).zip(rows) {
            let sql = format!(
                "INSERT INTO entries (environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, seq) \
                 VALUES ('', CAST({name} AS TEXT), ?1, iif(?1 IS NULL, NULL, 'token'), 0, 0, 1, 1, x'ff', x'', {seq})"
            );
            connection.execute(&sql, [category]).unwrap();
        }
        connection
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    /// The keys of each scan, with the rows that it looked at.
    fn scans(
        connection: &Connection,
        mut selection: Selection,
        reach: Reach,
    ) -> Vec<(Vec<String>, usize)> {
        let snapshot = Snapshot(connection);
        let mut scans = Vec::new();
        loop {
            let mut keys = Vec::new();
            let scanned = snapshot.scan(&selection, reach, &mut |entry| {
                keys.push(entry.key.to_owned());
                ControlFlow::Continue(())
            });
            let Scanned {
                looked_at,
                stopped_at,
            } = scanned.unwrap();
            scans.push((keys, looked_at));
            if stopped_at.is_none() {
                return scans;
            }
            selection.after = stopped_at;
        }
    }

    #[test]
    fn a_scan_looks_at_rows_that_are_not_wanted_too_and_goes_on_after_its_last_row() {
        let wanted = Some("wanted");
        let connection = database(&[
            ("'a'", wanted),
            ("'b'", None),
            ("'c'", Some("other")),
            ("'d'", wanted),
            ("'e'", None),
        ]);
        let reach = |rows| Reach { rows, until: far() };
        let selection = Selection {
            category: Some("wanted".to_owned()),
            ..Selection::default()
        };
        let key = |key: &str| vec![key.to_owned()];
        assert_eq!(
            scans(&connection, selection.clone(), reach(2)),
            [(key("a"), 2), (key("d"), 2), (vec![], 1)]
        );
        let all = [(vec!["a".to_owned(), "d".to_owned()], 5)];
        assert_eq!(
            scans(&connection, selection.clone(), reach(5)),
            all,
            "nothing follows"
        );
        assert_eq!(scans(&connection, selection, reach(6)), all);
    }

    #[test]
    fn a_scan_that_is_out_of_time_looks_at_one_row() {
        let connection = database(&[("'a'", Some("")), ("'b'", Some(""))]);
        let reach = Reach {
            rows: 9,
            until: Instant::now(),
        };
        let each = |key: &str| (vec![key.to_owned()], 1);
        assert_eq!(
            scans(&connection, Selection::default(), reach),
            [each("a"), each("b")]
        );
    }

    #[test]
    fn a_scan_never_stops_at_a_name_that_cannot_be_read() {
        let connection = database(&[("'a'", Some("")), ("x'61ff'", Some("")), ("'b'", Some(""))]);
        let reach = Reach {
            rows: 1,
            until: far(),
        };
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            scans(&connection, Selection::default(), reach),
            [(keys(&["a"]), 1), (keys(&["", "b"]), 2)]
        );
    }

    #[test]
    fn a_federated_value_that_another_entry_names_is_not_listed() {
        let connection = database(&[]);
        let held = [("a", "of b"), ("b", "of a"), ("c", "of c")];
        for (seq, (key, token)) in (1..).zip(held) {
            let row = Row {
                identity: Identity {
                    environment: Environment::default(),
                    key: ConfigKey::new(key.into()).unwrap(),
                },
                category: None,
                content: Some(Content::Fingerprint(Fingerprint::of(&format!("of {key}")))),
                created_at: Timestamp::from_micros(1),
                updated_at: Timestamp::from_micros(1),
                version: Version {
                    clock: Clock::from_raw(seq),
                    incarnation: Incarnation::from_raw(1),
                },
                clocks: BTreeMap::new(),
                extra: None,
            };
            row::put(&connection, &row, row.hash(), Seq::from_raw(seq)).unwrap();
            values::put(&connection, &row.identity, row.version, token, None).unwrap();
        }
        let reach = Reach {
            rows: 10,
            until: far(),
        };
        let (rows, _) = Snapshot(&connection)
            .rows(&Selection::default(), reach)
            .unwrap();
        let listed = rows
            .iter()
            .filter_map(|row| row.content.as_ref().and_then(Content::token));
        assert_eq!(listed.collect::<Vec<_>>(), ["", "", "of c"]);
    }
}
