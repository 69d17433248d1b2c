//! An open database, and the one connection that may write.

use std::{path::Path, sync::Arc, time::Instant};

use rusqlite::Connection;

use super::{
    EntryReader, OpenError,
    erasure::{LogTidiness, empty_log},
    file::DatabaseFile,
    leftovers, meta,
    reader::Readers,
    schema,
    tables::SqliteTables,
};
use crate::{
    budget::CacheSizes,
    crypto::Salt,
    domain::Incarnation,
    store::{commits::Commits, disk::Room},
};

/// An open database whose salt is not settled yet: rows can be counted, but no value can be read or written.
#[derive(Debug)]
pub struct OpenedDatabase {
    file: DatabaseFile,
    connection: Connection,
}

impl OpenedDatabase {
    /// Opens or creates the database file, checks it and brings its schema up to date.
    /// `incarnation` becomes the identity of a database that is new.
    pub fn open(path: &Path, incarnation: Incarnation) -> Result<Self, OpenError> {
        let file = DatabaseFile::claim(path)?;
        Self::open_claimed(file, incarnation).map_err(|error| error.of(path))
    }

    fn open_claimed(file: DatabaseFile, incarnation: Incarnation) -> Result<Self, OpenError> {
        leftovers::remove_all(file.path().as_path());
        file.recognize()?;
        let mut connection = file.connect_writer()?;
        file.check(&connection)?;
        schema::migrate(&mut connection, file.path(), incarnation)?;
        if let Some(what) = meta::missing(&connection)?.first() {
            return Err(OpenError::Incomplete(what));
        }
        Ok(Self { file, connection })
    }

    /// The salt that it holds.
    pub(in crate::store) fn salt(&self) -> Result<Option<Salt>, OpenError> {
        let salt: Option<Vec<u8>> = meta::get(&self.connection, meta::SALT)?;
        salt.map(|bytes| Salt::from_bytes(&bytes).ok_or(OpenError::Incomplete("salt")))
            .transpose()
    }

    /// Makes it hold a salt.
    pub(in crate::store) fn keep_salt(&self, salt: &Salt) -> Result<(), OpenError> {
        meta::put(&self.connection, meta::SALT, salt.bytes().as_slice())?;
        Ok(())
    }

    /// Whether any row was ever written into it.
    pub(in crate::store) fn has_rows(&self) -> Result<bool, OpenError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entries)";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// How many live entries it has.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn live_entries(&self) -> Result<u64, OpenError> {
        let sql = "SELECT count(*) FROM entries WHERE token IS NOT NULL";
        let live: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(live.unsigned_abs())
    }

    /// The engine's tables, for one transaction.
    pub fn tables(&self) -> SqliteTables<'_> {
        SqliteTables::new(&self.connection)
    }

    /// Opens the reading connections, and separates them from the writing one.
    pub(crate) fn part(
        self,
        caches: CacheSizes,
    ) -> Result<(DatabaseWriter, EntryReader), OpenError> {
        let Self {
            mut file,
            connection,
        } = self;
        file.cache_at_most(caches.pages);
        file.bound_cache(&connection)?;
        let readers = Arc::new(Readers::open(&file, caches.readers)?);
        let commits = Commits::default();
        let reader = EntryReader::new(readers, file.path().clone(), commits.clone(), caches.rows);
        let writer = DatabaseWriter {
            file,
            connection: Some(connection),
            log: LogTidiness::new(Instant::now()),
            commits,
        };
        Ok((writer, reader))
    }
}

/// The one connection that may write, and the lock of the database.
#[derive(Debug)]
pub(crate) struct DatabaseWriter {
    file: DatabaseFile,
    /// `None` after a failure: a connection whose commit failed is not used again.
    connection: Option<Connection>,
    log: LogTidiness,
    commits: Commits,
}

impl DatabaseWriter {
    /// The engine's tables, for one transaction; `None` while the connection is closed.
    pub(crate) fn tables(&self) -> Option<SqliteTables<'_>> {
        self.connection.as_ref().map(SqliteTables::new)
    }

    /// Whether there is a connection.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Makes a new connection.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub(crate) fn reopen(&mut self) -> Result<(), OpenError> {
        self.connection = Some(self.file.connect_writer()?);
        Ok(())
    }

    /// Closes the connection.
    pub(crate) fn give_up(&mut self) {
        self.connection = None;
    }

    /// A transaction wrote rows: waiting readers look again, and the log is emptied after a while.
    pub(crate) fn committed(&mut self) {
        self.commits.committed();
        self.log.committed(Instant::now());
    }

    /// Empties the write-ahead log where it is time.
    pub(crate) fn tidy(&mut self) {
        if let Some(connection) = &self.connection {
            self.log.tidy(connection, Instant::now());
        }
    }

    /// Empties the log at once; `false` where that cannot be.
    pub(crate) fn empty_log(&self) -> bool {
        let emptied = self.connection.as_ref().map(empty_log);
        emptied.is_some_and(|emptied| emptied.unwrap_or(false))
    }

    /// The writes for which the disk has room; `reserve` (bytes) is kept free. Where the disk's space is unknown, SQLite
    /// itself reports a full disk.
    pub(crate) fn room(&self, reserve: u64) -> Room {
        let Ok(space) = self.file.path().disk_space() else {
            return Room::Everything;
        };
        let (_, log) = self.file.path().sizes();
        if space.without(log).room(reserve, 0) == Room::Everything {
            return Room::Everything;
        }
        // A log that finds no room in the database can never be emptied, and fills the disk for ever.
        let space = space.without(self.growth());
        match space.room(reserve, 0) {
            Room::Deletes => space.room(reserve, self.reusable_bytes()),
            room => room,
        }
    }

    /// Whether the log has any pages.
    pub(crate) fn has_log(&self) -> bool {
        self.file.path().sizes().1 > 0
    }

    /// How much the database file grows when the log is moved into it, in bytes.
    fn growth(&self) -> u64 {
        let (database, _) = self.file.path().sizes();
        self.pages("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            .saturating_sub(database)
    }

    /// The free space that deleted entries left inside the database, in bytes.
    fn reusable_bytes(&self) -> u64 {
        self.pages("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")
    }

    fn pages(&self, sql: &str) -> u64 {
        let bytes: Option<i64> = self
            .connection
            .as_ref()
            .and_then(|connection| connection.query_row(sql, [], |row| row.get(0)).ok());
        bytes.unwrap_or_default().unsigned_abs()
    }

    /// Moves the log into the database, and ends the connection.
    pub(crate) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // A remaining log is read at the next start; nothing is lost.
            let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}
