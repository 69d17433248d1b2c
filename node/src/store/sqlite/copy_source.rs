//! The database in a file as the source of a copy: one state of it, also while a node writes.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, columns, file::DatabaseFile, membership, meta, row, schema};
use crate::{
    cluster::{Membership, Mode},
    crypto::Salt,
    domain::{Clock, Content, Identity, Incarnation, Row, Stamp, Version},
    store::copy::{CopyError, Mark, PAGE, Rest, Table},
};

/// A database that is read in one transaction.
#[derive(Debug)]
pub(in crate::store) struct CopySource {
    path: PathBuf,
    connection: Connection,
    /// The latest change in the state that is read.
    head: i64,
    /// `None` where a node uses the database.
    lock: Option<DatabaseFile>,
}

impl CopySource {
    /// Opens a database whose values belong to this salt. Where no node uses it, none can from now on.
    pub(in crate::store) fn open(path: &Path, salt: &Salt) -> Result<Self, CopyError> {
        let failed = |source: OpenError| failed(path, source);
        let lock = match DatabaseFile::lock(path) {
            Ok(lock) => Some(lock),
            Err(OpenError::InUse(_)) => None,
            Err(error) => return Err(failed(error)),
        };
        let connection = open(path, lock.is_some()).map_err(failed)?;
        let sqlite = |error: rusqlite::Error| failed(error.into());
        let stored: Option<Vec<u8>> = meta::get(&connection, meta::SALT).map_err(sqlite)?;
        let stored = stored.and_then(|bytes| Salt::from_bytes(&bytes));
        let stored = stored.ok_or_else(|| CopyError::NoSalt(path.to_owned()))?;
        if stored != *salt {
            return Err(CopyError::OtherSalt {
                path: path.to_owned(),
                stored: stored.fingerprint().to_string(),
                given: salt.fingerprint().to_string(),
            });
        }
        let member: Option<Membership> =
            membership::get_json(&connection, meta::MEMBERSHIP).map_err(sqlite)?;
        if member.is_some_and(|member| member.mode == Mode::Federated) {
            return Err(CopyError::Federated(path.to_owned()));
        }
        let sql = "SELECT coalesce(max(seq), 0) FROM entries";
        let head = connection.query_row(sql, [], |row| row.get(0));
        Ok(Self {
            path: path.to_owned(),
            head: head.map_err(sqlite)?,
            connection,
            lock,
        })
    }

    /// What there is beside the state that was read; the state is left.
    pub(in crate::store) fn rest(&self) -> Result<Rest, CopyError> {
        let written = self.connection.execute_batch("COMMIT").and_then(|()| {
            let sql = "SELECT count(*) FROM entries WHERE seq > ?1";
            self.connection
                .query_row(sql, [self.head], |row| row.get::<_, i64>(0))
        });
        Ok(Rest {
            is_in_use: self.lock.is_none(),
            written_since: written.map_err(|error| self.failed(error))?.unsigned_abs(),
        })
    }

    /// The latest clock that was ever given or seen: of rows that are forgotten, too.
    pub(in crate::store) fn latest_clock(&self) -> Result<Clock, CopyError> {
        let clock = meta::get(&self.connection, meta::CLOCK_HIGH_WATER);
        let clock = clock.map_err(|error| self.failed(error))?;
        let clock = Clock::from_raw(clock.unwrap_or_default());
        Ok(Some(clock)
            .filter(|clock| clock.is_plausible())
            .unwrap_or_default())
    }

    /// How many losing versions of conflicts it keeps.
    pub(in crate::store) fn conflicts(&self) -> Result<u64, CopyError> {
        let sql = "SELECT count(*) FROM conflicts WHERE token IS NOT NULL";
        let count = self
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        let count = count.map_err(|error| self.failed(error))?;
        Ok(count.unsigned_abs())
    }

    fn failed(&self, error: rusqlite::Error) -> CopyError {
        failed(&self.path, error.into())
    }
}

impl Table for CopySource {
    async fn marks(&mut self, after: Option<&Identity>) -> Result<Vec<Mark>, CopyError> {
        marks(&self.connection, &self.path, after)
    }

    async fn rows(&mut self, names: &[Identity]) -> Result<Vec<Row>, CopyError> {
        rows(&self.connection, &self.path, names)
    }
}

/// A connection that sees one state of the database. Where no node uses it, the remains of a killed one are recovered first.
fn open(path: &Path, is_locked: bool) -> Result<Connection, OpenError> {
    let access = if is_locked {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(DatabaseFile::TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.execute_batch("BEGIN")?;
    schema::verify(&connection)?;
    Ok(connection)
}

pub(super) fn failed(path: &Path, source: OpenError) -> CopyError {
    CopyError::File {
        path: path.to_owned(),
        source: source.of(path),
    }
}

/// Names, stamps and sizes of a page of rows.
pub(super) fn marks(
    connection: &Connection,
    path: &Path,
    after: Option<&Identity>,
) -> Result<Vec<Mark>, CopyError> {
    // Keys are never empty, so no row stands at or before the empty identity.
    let (environment, key) = after.map_or(("", ""), |after| {
        (after.environment.as_str(), after.key.as_str())
    });
    let most = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let found = connection
        .prepare_cached(
            "SELECT environment, key, clock, incarnation, row_hash, token IS NOT NULL, coalesce(octet_length(token), 0) \
             FROM entries INDEXED BY entries_identity WHERE (environment, key) > (?1, ?2) \
             ORDER BY environment, key LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map((environment, key, most), mark)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(|error| failed(path, error.into()))?;
    found
        .into_iter()
        .map(|mark| {
            mark.ok_or_else(|| CopyError::Damaged {
                key: String::new(),
                environment: String::new(),
                what: "its name cannot be read: osc-node check counts such rows",
            })
        })
        .collect()
}

/// `None` where its name cannot be read.
fn mark(found: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Mark>> {
    let Some(identity) = columns::read_identity(found)? else {
        return Ok(None);
    };
    let size: i64 = found.get(6)?;
    Ok(Some(Mark {
        identity,
        stamp: Stamp {
            version: Version {
                clock: Clock::from_raw(found.get(2)?),
                incarnation: Incarnation::from_raw(found.get(3)?),
            },
            hash: columns::read_hash(found, 4)?,
        },
        is_live: found.get(5)?,
        size: usize::try_from(size).unwrap_or_default(),
    }))
}

/// These rows in full.
pub(super) fn rows(
    connection: &Connection,
    path: &Path,
    names: &[Identity],
) -> Result<Vec<Row>, CopyError> {
    let mut rows = Vec::with_capacity(names.len());
    for identity in names {
        let found = row::look_up(connection, identity);
        let Some(found) = found.map_err(|error| failed(path, error.into()))? else {
            continue;
        };
        if matches!(found.row.content, Some(Content::Fingerprint(_))) {
            return Err(CopyError::Federated(path.to_owned()));
        }
        if let Some(what) = found.unreadable {
            return Err(CopyError::Damaged {
                key: identity.key.as_str().to_owned(),
                environment: identity.environment.as_str().to_owned(),
                what,
            });
        }
        rows.push(found.row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use rusqlite::params;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        cluster::{LocalStatus, MemberName, ProcessEpoch, Seq},
        store::sqlite::row::tests::row_of,
    };

    const SALT: [u8; 64] = [7; 64];

    fn salt() -> Salt {
        Salt::from_bytes(&SALT).unwrap()
    }

    /// A database with one row, changed by this function.
    fn database(happens: impl FnOnce(&Connection)) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        let mut connection = Connection::open(&path).unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        meta::put(&connection, meta::SALT, SALT.as_slice()).unwrap();
        let row = row_of("k", 7, "gAAAA");
        row::put(&connection, &row, row.hash(), Seq::from_raw(1)).unwrap();
        happens(&connection);
        (folder, path)
    }

    fn read(path: &Path) -> Result<Vec<Row>, CopyError> {
        let source = CopySource::open(path, &salt())?;
        let marks = marks(&source.connection, path, None)?;
        let names: Vec<_> = marks.into_iter().map(|mark| mark.identity).collect();
        rows(&source.connection, path, &names)
    }

    #[test]
    fn a_database_at_rest_is_kept_from_nodes_while_it_is_copied() {
        let (_folder, path) = database(|_| ());
        let source = CopySource::open(&path, &salt()).unwrap();
        let second = CopySource::open(&path, &salt()).unwrap();
        assert!(second.rest().unwrap().is_in_use);
        assert_eq!(read(&path).unwrap().len(), 1);
        assert!(source.rest().unwrap().is_nothing());
    }

    #[test]
    fn what_a_node_writes_after_the_beginning_is_counted() {
        let (_folder, path) = database(|_| ());
        let _node = DatabaseFile::lock(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "journal_mode", "wal")
            .unwrap();
        let source = CopySource::open(&path, &salt()).unwrap();
        let row = row_of("later", 8, "gAAAA");
        row::put(&connection, &row, row.hash(), Seq::from_raw(2)).unwrap();
        let rest = source.rest().unwrap();
        assert!(rest.is_in_use);
        assert_eq!(rest.written_since, 1);
    }

    #[test]
    fn what_would_not_be_whole_in_another_place_is_refused() {
        let (_folder, path) = database(|connection| {
            connection
                .execute("UPDATE entries SET token = 'gAAAB'", params![])
                .unwrap();
        });
        assert!(matches!(read(&path), Err(CopyError::Damaged { .. })));

        let (_folder, path) = database(|connection| {
            connection
                .execute("DELETE FROM meta WHERE name = 'salt'", params![])
                .unwrap();
        });
        assert!(matches!(read(&path), Err(CopyError::NoSalt(_))));

        let (_folder, path) = database(|connection| {
            let membership = Membership {
                name: MemberName::new("a"),
                mode: Mode::Federated,
                cluster_uid: None,
                status: LocalStatus::Blank,
                purged: Seq::START,
                purged_clock: Clock::default(),
                inherited: Vec::new(),
                forgiven: Vec::new(),
                joined_without: Vec::new(),
                source_received: Vec::new(),
                accusations: Vec::new(),
                origin: None,
                process_epoch: (ProcessEpoch::from_random(1), Seq::START),
            };
            membership::put_json(connection, meta::MEMBERSHIP, &membership).unwrap();
        });
        assert!(matches!(read(&path), Err(CopyError::Federated(_))));

        let (_folder, path) = database(|_| ());
        let other = Salt::from_bytes(&[8; 64]).unwrap();
        let refused = CopySource::open(&path, &other);
        assert!(matches!(refused, Err(CopyError::OtherSalt { .. })));
    }
}
