//! A database in a file that becomes a copy: it gets its name when it is whole.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{
    BackupError, OpenError, backup,
    copy_source::{failed, marks, rows},
    file::DatabaseFile,
    leftovers::with_suffix,
    meta,
    path::open_private,
    row, schema,
};
use crate::{
    cluster::Seq,
    crypto::Salt,
    domain::{Clock, Identity, Incarnation, Row},
    os::names_a_file,
    store::copy::{CopyError, Mark, Table, Target},
};

/// The suffix of an incomplete copy. It stays, and the next run goes on with it.
const UNFINISHED: &str = ".unfinished-copy";

/// A database that is not whole yet.
#[derive(Debug)]
pub(in crate::store) struct CopyTarget {
    path: PathBuf,
    unfinished: PathBuf,
    connection: Connection,
    /// The sequence of its latest row.
    last: i64,
    _lock: DatabaseFile,
}

impl CopyTarget {
    /// Makes a copy, or opens that of an earlier run; it holds this salt.
    pub(in crate::store) fn open(
        path: &Path,
        salt: &Salt,
        incarnation: Incarnation,
    ) -> Result<Self, CopyError> {
        if !names_a_file(path) {
            return Err(BackupError::NoFile(path.to_owned()).into());
        }
        let lock = DatabaseFile::lock(path).map_err(|error| failed(path, error))?;
        if path.symlink_metadata().is_ok() {
            return Err(CopyError::Exists(path.to_owned()));
        }
        let unfinished = with_suffix(path, UNFINISHED);
        let (connection, last) =
            make(&unfinished, salt, incarnation).map_err(|error| failed(&unfinished, error))?;
        Ok(Self {
            path: path.to_owned(),
            unfinished,
            connection,
            last,
            _lock: lock,
        })
    }

    /// Gives the copy its name: a node can serve it. Writes of that node come after this clock.
    pub(in crate::store) fn finish(self, clock: Clock) -> Result<(), CopyError> {
        meta::put(&self.connection, meta::CLOCK_HIGH_WATER, clock.raw())
            .map_err(|error| failed(&self.unfinished, error.into()))?;
        let Self {
            path,
            unfinished,
            connection,
            ..
        } = self;
        connection
            .close()
            .map_err(|(_, error)| failed(&unfinished, error.into()))?;
        Ok(backup::publish(&unfinished, &path)?)
    }

    /// Runs a write in one transaction.
    fn write(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), CopyError> {
        let write = || {
            let transaction = self.connection.unchecked_transaction()?;
            work(&transaction)?;
            transaction.commit()
        };
        write().map_err(|error| failed(&self.unfinished, error.into()))
    }
}

fn make(
    path: &Path,
    salt: &Salt,
    incarnation: Incarnation,
) -> Result<(Connection, i64), OpenError> {
    // SQLite gives the files beside a database its mode.
    drop(open_private(path).map_err(|source| OpenError::file(path, source))?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(DatabaseFile::TIMEOUT)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "synchronous", "full")?;
    schema::recognize(&connection)?;
    schema::bring_up(&mut connection, None, None, incarnation)?;
    meta::put(&connection, meta::SALT, salt.bytes().as_slice())?;
    let last = meta::get(&connection, meta::LAST_SEQ)?;
    Ok((connection, last.unwrap_or_default()))
}

impl Table for CopyTarget {
    async fn marks(&mut self, after: Option<&Identity>) -> Result<Vec<Mark>, CopyError> {
        marks(&self.connection, &self.unfinished, after)
    }

    async fn rows(&mut self, names: &[Identity]) -> Result<Vec<Row>, CopyError> {
        rows(&self.connection, &self.unfinished, names)
    }
}

impl Target for CopyTarget {
    async fn put(&mut self, rows: &[Row]) -> Result<(), CopyError> {
        let mut last = self.last;
        self.write(|connection| {
            for row in rows {
                last += 1;
                row::put(connection, row, row.hash(), Seq::from_raw(last))?;
            }
            meta::put(connection, meta::LAST_SEQ, last)
        })?;
        self.last = last;
        Ok(())
    }

    async fn remove(&mut self, names: &[Identity]) -> Result<(), CopyError> {
        self.write(|connection| {
            let mut statement = connection
                .prepare_cached("DELETE FROM entries WHERE environment = ?1 AND key = ?2")?;
            for identity in names {
                statement.execute((identity.environment.as_str(), identity.key.as_str()))?;
            }
            Ok(())
        })
    }
}
