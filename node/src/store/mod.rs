//! Durable storage of rows. The only module that knows which engine it is: nothing outside sees SQL.
//!
//! One thread owns the only write connection and commits waiting writes together; readers have connections of their own.

mod error;
mod file;
mod meta;
mod reader;
mod row;
mod salt;
mod schema;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};

pub use error::{OpenError, ReadError, WriteError};
pub use salt::{SaltFileError, SaltPlaces, settle_salt};
pub use writer::{Change, Seen, Write, Written};

use crate::domain::{Identity, Incarnation, Row, Timestamp};
use reader::Readers;
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
        let mut connection = file.connect_writer()?;
        file.check(&connection)?;
        schema::migrate(&mut connection, incarnation)?;
        Ok(Self { file, connection })
    }

    /// Starts the writer thread and the readers.
    pub fn start(self, clock: WallClock, readers: usize) -> Result<Store, OpenError> {
        let Self { file, connection } = self;
        let live_entries: i64 = connection.query_row(
            "SELECT count(*) FROM entries WHERE token IS NOT NULL",
            [],
            |row| row.get(0),
        )?;
        let live_entries = Arc::new(AtomicU64::new(live_entries.unsigned_abs()));
        let readers = Arc::new(Readers::open(&file, readers)?);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(file, connection, clock, Arc::clone(&live_entries))?;
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
        })
    }
}

impl Store {
    /// The row of an identity, tombstones included; `None` when it was never written.
    pub async fn find(&self, identity: Identity) -> Result<Option<Row>, ReadError> {
        self.readers
            .read(move |connection| row::find(connection, &identity))
            .await
    }

    /// Live entries in (environment, key) order, all or those of one environment, category, or both.
    pub async fn list(
        &self,
        environment: Option<String>,
        category: Option<String>,
    ) -> Result<Vec<Row>, ReadError> {
        self.readers
            .read(move |connection| {
                row::list(connection, environment.as_deref(), category.as_deref())
            })
            .await
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
