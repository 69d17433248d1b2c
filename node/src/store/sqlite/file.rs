//! The database file: claimed by one process, readable for its owner only.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    OpenError,
    path::{DatabasePath, open_private},
    schema,
};
use crate::os::permission;

/// A database file that this process holds the lock of.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: DatabasePath,
    /// The page cache of each connection, in bytes; `None` for SQLite's default.
    pages: Option<usize>,
    _lock: File,
}

impl DatabaseFile {
    /// How long a connection waits for another one.
    pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

    /// Takes the lock beside the file, and creates the file where it is missing.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        let claimed = Self::lock(path)?;
        // SQLite gives its -wal and -shm files the mode of this one.
        drop(open_private(path).map_err(|source| OpenError::file(path, source))?);
        Ok(claimed)
    }

    /// Takes the lock beside the file, whether it is there or not.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::file(path, source);
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let lock = PathBuf::from(format!("{}.lock", path.display()));
        let lock =
            open_private(&lock).map_err(|error| failed(permission::explained(&lock, error)))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
            TryLockError::Error(source) => failed(source),
        })?;
        Ok(Self {
            path: DatabasePath::new(path),
            pages: None,
            _lock: lock,
        })
    }

    /// New connections cache at most this much, in bytes.
    pub(super) fn cache_at_most(&mut self, pages: usize) {
        self.pages = Some(pages);
    }

    /// Limits the cache of a connection.
    pub(super) fn bound_cache(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(bytes) = self.pages else {
            return Ok(());
        };
        // SQLite reads a negative size as kibibytes.
        let kibibytes = i64::try_from(bytes / 1024).unwrap_or(i64::MAX);
        connection.pragma_update(None, "cache_size", -kibibytes)
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &DatabasePath {
        &self.path
    }

    /// The one connection that may write.
    pub(super) fn connect_writer(&self) -> Result<Connection, OpenError> {
        let connection = Connection::open_with_flags(
            self.path.as_path(),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(Self::TIMEOUT)?;
        // Overwrites deleted and replaced data in every page that it was in.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // FULL syncs the log on every commit: an acknowledged write survives power loss.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        self.bound_cache(&connection)?;
        Ok(connection)
    }

    /// A connection that cannot write.
    pub(super) fn connect_reader(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            self.path.as_path(),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(Self::TIMEOUT)?;
        // SQLite opens files at the first query. A connection with the log's index open keeps it there when the writer closes
        // its connection, and a full disk has no room for another.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        self.bound_cache(&connection)?;
        Ok(connection)
    }

    /// Refuses a foreign file, before any connection that could change it.
    pub(super) fn recognize(&self) -> Result<(), OpenError> {
        let recognized = match self.connect_reader() {
            Ok(connection) => schema::recognize(&connection),
            Err(error) => Err(error.into()),
        };
        match recognized {
            // A writing connection rolls the remains of a crash back, and the file is then recognized all the same.
            Err(OpenError::Sqlite(error))
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
                ) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Lets SQLite check for damage.
    pub(super) fn check(&self, connection: &Connection) -> Result<(), OpenError> {
        let finding: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if finding == "ok" {
            Ok(())
        } else {
            Err(OpenError::Damaged {
                path: self.path.as_path().to_owned(),
                finding,
            })
        }
    }
}
