//! Durable storage of rows. The only module that knows which engine it is: nothing outside sees SQL.
//!
//! One thread owns the only write connection and commits waiting writes together; readers have connections of their own.

mod backup;
mod check;
mod disk;
mod error;
mod file;
mod health;
mod meta;
mod original;
mod reader;
mod row;
mod row_cache;
mod salt;
mod schema;
mod snapshot;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};

pub use backup::{BackupError, Copied, backup, restore};
pub use check::{Findings, check};
pub use error::{OpenError, ReadError, WriteError};
pub use health::WriteHealth;
pub use salt::{SaltFileError, SaltPlaces, settle_salt};
pub use snapshot::{ListedEntry, Selection, Snapshot};
pub use writer::{Change, Seen, Write, Written};

use crate::{
    domain::{Identity, Incarnation, Row, Timestamp},
    metrics::StoreMetrics,
};
use health::SharedWriteHealth;
use reader::Readers;
use row_cache::{Commits, RowCache};
use writer::{Job, Writer};

/// Tells wall-clock time; tests set their own.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Writes that wait for the writer thread at most; beyond that callers wait to hand theirs over.
const QUEUE: usize = 1024;

/// The store of one node. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    live_entries: Arc<AtomicU64>,
    incarnation: Incarnation,
    path: file::DatabasePath,
    commits: Commits,
    cache: RowCache,
    write_health: SharedWriteHealth,
    min_free_bytes: u64,
    metrics: StoreMetrics,
}

/// How a store is run.
#[derive(Clone)]
pub struct StoreSettings {
    /// Wall-clock time.
    pub clock: WallClock,
    /// Connections for reading.
    pub readers: usize,
    /// Free disk space below which creates and updates are refused.
    pub min_free_bytes: u64,
    /// What is counted.
    pub metrics: StoreMetrics,
}

impl std::fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSettings")
            .field("readers", &self.readers)
            .field("min_free_bytes", &self.min_free_bytes)
            .finish_non_exhaustive()
    }
}

/// An open database whose salt is not settled yet: rows can be counted, nothing can be read or written.
#[derive(Debug)]
pub struct OpenedDatabase {
    file: file::DatabaseFile,
    connection: rusqlite::Connection,
}

impl OpenedDatabase {
    /// Opens or creates the database file, checks it and brings its schema up to date.
    /// `incarnation` becomes the identity of a database that is new.
    pub fn open(path: &Path, incarnation: Incarnation) -> Result<Self, OpenError> {
        let file = file::DatabaseFile::claim(path)?;
        Self::open_claimed(file, incarnation).map_err(|error| error.of(path))
    }

    fn open_claimed(file: file::DatabaseFile, incarnation: Incarnation) -> Result<Self, OpenError> {
        file.recognize()?;
        file::warn_of_wide_mode(file.path().as_path());
        let mut connection = file.connect_writer()?;
        file.check(&connection)?;
        schema::migrate(&mut connection, file.path(), incarnation)?;
        Ok(Self { file, connection })
    }

    /// Starts the writer thread and the readers.
    pub fn start(self, settings: StoreSettings) -> Result<Store, OpenError> {
        let Self { file, connection } = self;
        let StoreSettings {
            clock,
            readers,
            min_free_bytes,
            metrics,
        } = settings;
        let live_entries: i64 = connection.query_row(
            "SELECT count(*) FROM entries WHERE token IS NOT NULL",
            [],
            |row| row.get(0),
        )?;
        let live_entries = Arc::new(AtomicU64::new(live_entries.unsigned_abs()));
        let readers = Arc::new(Readers::open(&file, readers)?);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let write_health = SharedWriteHealth::default();
        let path = file.path().clone();
        let commits = Commits::default();
        let writer = Writer::new(
            connection,
            writer::Surroundings {
                file,
                wall_clock: clock,
                live_entries: Arc::clone(&live_entries),
                commits: commits.clone(),
                health: write_health.clone(),
                min_free_bytes,
                metrics: metrics.clone(),
            },
        )?;
        let incarnation = writer.incarnation();
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(OpenError::Thread)?;
        Ok(Store {
            jobs,
            readers,
            live_entries,
            incarnation,
            path,
            commits,
            cache: RowCache::new(),
            write_health,
            min_free_bytes,
            metrics,
        })
    }
}

impl Store {
    /// The row of an identity, tombstones included; `None` when it was never written.
    pub async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        // Taken before the read: a row must never pass for newer than it is.
        let count = self.commits.count();
        if let Some(row) = self.cache.get(identity, count) {
            return Ok(Some(row));
        }
        let row = self
            .readers
            .read(|connection| row::find(connection, identity))
            .await?
            .map(Arc::new);
        if let Some(row) = &row {
            self.cache.put(identity.clone(), count, row);
        }
        Ok(row)
    }

    /// Commits a write, durable when this returns `Ok`. Refused when the row is no longer the one that the caller saw.
    pub async fn write(&self, write: Write) -> Result<Written, WriteError> {
        let (reply, outcome) = oneshot::channel();
        self.jobs
            .send(Job::Write(write, reply))
            .await
            .map_err(|_| WriteError::Closed)?;
        outcome.await.map_err(|_| WriteError::Closed)?
    }

    /// Whether the store takes writes. Looks at the disk again where it was full.
    pub fn write_health(&self) -> WriteHealth {
        let health = self.write_health.get();
        if health == WriteHealth::DiskFull
            && let Ok(space) = self.path.disk_space()
            && space.room(self.min_free_bytes, 0) == disk::Room::Everything
        {
            self.write_health.set(WriteHealth::Accepting);
        }
        self.write_health.get()
    }

    /// Brings the metrics up to date that are only read when somebody asks.
    pub fn sample(&self) {
        let (database, log) = self.path.sizes();
        let free = self.path.disk_space().map_or(0, |space| space.free);
        self.metrics.sizes(database, log, free);
        self.metrics
            .waiting(QUEUE.saturating_sub(self.jobs.capacity()));
        self.metrics
            .refuses_writes(self.write_health() != WriteHealth::Accepting);
    }

    /// Makes sure that the database can be read.
    pub async fn probe(&self) -> Result<(), ReadError> {
        self.readers
            .read(|connection| connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(())))
            .await
    }

    /// How many live entries there are.
    pub fn live_entries(&self) -> u64 {
        self.live_entries.load(Ordering::Relaxed)
    }

    /// The database's identity.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Finishes the waiting writes, moves the write-ahead log into the database and ends the writer thread.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            // An error means that the thread has ended already, which is what was asked for.
            let _ = done.await;
        }
    }
}
