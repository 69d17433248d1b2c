//! Durable storage of rows. The only module that knows which engine it is: nothing outside sees SQL.
//!
//! One thread owns the only write connection and commits waiting writes together; readers have connections of their own.

mod backup;
mod check;
mod columns;
mod disk;
mod erasure;
mod error;
mod file;
mod health;
mod import_source;
mod job;
mod membership;
mod meta;
mod original;
mod path;
mod reader;
mod row;
mod row_cache;
mod salt;
mod schema;
mod snapshot;
mod staging;
mod tables;
mod values;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

pub use backup::{BackupError, Copied, NewLife, adopt, backup, restore};
pub use check::{Findings, check};
pub use erasure::{Vacuumed, vacuum};
pub use error::{OpenError, OtherMode, ReadError, WriteError};
pub use health::WriteHealth;
pub use import_source::{ImportError, ImportPage, ImportSource};
pub use row::{CONFLICT_PAGE_BYTES, ConflictPage};
pub use salt::{
    SaltFileError, SaltPlaces, export_salt, keep_salt, read_file as read_salt_file, settle_salt,
};
pub use snapshot::{ListedEntry, Reach, Scanned, Selection, Snapshot};
pub use values::OwnedValue;
pub use writer::Outbox;

use crate::{
    budget::CacheSizes,
    cluster::{
        AckLevel, Address, Answer, Digest, Envelope, ExchangeId, Now, OwnerAnswer, OwnerOrder,
        OwnerRefusal, Request, Scan, Setup, View, Write, Written,
    },
    crypto::token_time,
    domain::{Clock, Content, Identity, Incarnation, Row, Timestamp, Version},
    metrics::StoreMetrics,
};
use health::SharedWriteHealth;
use job::Job;
use reader::Readers;
use row_cache::{Commits, RowCache};
use writer::Writer;

/// The store has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Ended;

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
    view: watch::Receiver<Arc<View>>,
    path: path::DatabasePath,
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
    /// Connections for reading, and what is cached.
    pub caches: CacheSizes,
    /// Free disk space below which creates and updates are refused.
    pub min_free_bytes: u64,
    /// What is counted.
    pub metrics: StoreMetrics,
    /// What this node is to a cluster.
    pub engine: Setup,
    /// Where the engine's requests to other nodes go.
    pub outbox: Outbox,
}

impl std::fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSettings")
            .field("caches", &self.caches)
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
        let mut connection = file.connect_writer()?;
        file.check(&connection)?;
        schema::migrate(&mut connection, file.path(), incarnation)?;
        if let Some(what) = meta::missing(&connection)?.first() {
            return Err(OpenError::Incomplete(what));
        }
        Ok(Self { file, connection })
    }

    /// Starts the writer thread and the readers.
    pub fn start(self, settings: StoreSettings) -> Result<Store, OpenError> {
        let Self {
            mut file,
            connection,
        } = self;
        let StoreSettings {
            clock,
            caches,
            min_free_bytes,
            metrics,
            engine: setup,
            outbox,
        } = settings;
        let live_entries: i64 = connection.query_row(
            "SELECT count(*) FROM entries WHERE token IS NOT NULL",
            [],
            |row| row.get(0),
        )?;
        let live_entries = Arc::new(AtomicU64::new(live_entries.unsigned_abs()));
        file.cache_at_most(caches.pages);
        file.bound_cache(&connection)?;
        let readers = Arc::new(Readers::open(&file, caches.readers)?);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let write_health = SharedWriteHealth::default();
        let path = file.path().clone();
        let commits = Commits::default();
        let started = Instant::now();
        let now = Now {
            wall: clock(),
            elapsed: Duration::ZERO,
        };
        let engine = writer::load_engine(&connection, setup.clone(), now)?;
        let (shown, view) = watch::channel(Arc::new(engine.view(now)));
        let writer = Writer::new(
            connection,
            engine,
            setup,
            writer::Surroundings {
                file,
                wall_clock: clock,
                started,
                live_entries: Arc::clone(&live_entries),
                commits: commits.clone(),
                health: write_health.clone(),
                min_free_bytes,
                metrics: metrics.clone(),
                outbox,
                view: shown,
            },
        );
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(OpenError::Thread)?;
        Ok(Store {
            jobs,
            readers,
            live_entries,
            view,
            path,
            commits,
            cache: RowCache::new(caches.rows),
            write_health,
            min_free_bytes,
            metrics,
        })
    }
}

impl Store {
    /// The row of an identity, tombstones included; `None` when it was never written. Where its value is held here, it has
    /// it; else it has what stands for it in the directory.
    pub async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        // Taken before the read: a row must never pass for newer than it is.
        let count = self.commits.count();
        if let Some(row) = self.cache.get(identity, count) {
            return Ok(Some(row));
        }
        let row = self
            .readers
            .read(|connection| values::find_row(connection, identity))
            .await?
            .map(
                |found| match found.unreadable.or_else(|| no_token(&found.row)) {
                    None => Ok(Arc::new(found.row)),
                    Some(what) => {
                        // Members that have it whole are asked for it. Where the queue is full, another read tells.
                        let _ = self.jobs.try_send(Job::Damaged(identity.clone()));
                        Err(ReadError::damaged(identity, what))
                    }
                },
            )
            .transpose()?;
        if let Some(row) = &row {
            self.cache.put(identity.clone(), count, row);
        }
        Ok(row)
    }

    /// The same without the value, as far as it can be read: for whoever wants to be rid of it.
    pub async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        self.readers
            .read(|connection| row::find(connection, identity))
            .await
    }

    /// Commits a write, durable here when this returns `Ok`, and on as many nodes as it says. Refused when the row is no
    /// longer the one that the caller saw.
    pub async fn write(&self, write: Write, level: AckLevel) -> Result<Written, WriteError> {
        let (reply, outcome) = oneshot::channel();
        self.ask(Job::Write(write, level, reply))
            .await
            .map_err(|Ended| WriteError::Closed)?;
        outcome.await.map_err(|_| WriteError::Closed)?
    }

    /// Waits until an entry has this version or a later one, for as long as somebody waits for it.
    pub async fn wait_for(&self, identity: &Identity, version: Version) -> Result<(), ReadError> {
        loop {
            let commit = self.commits.next();
            let row = self.find(identity).await?;
            if row.is_some_and(|row| row.version >= version) {
                return Ok(());
            }
            commit.await;
        }
    }

    /// Answers another node.
    pub async fn request(
        &self,
        message: Box<Envelope<Request>>,
    ) -> Result<Envelope<Answer>, Ended> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Request(message, reply)).await?;
        answer.await.map_err(|_| Ended)
    }

    /// Carries an order of the cluster's owner out.
    pub async fn order(
        &self,
        order: OwnerOrder,
    ) -> Result<Result<OwnerAnswer, OwnerRefusal>, Ended> {
        let (reply, done) = oneshot::channel();
        self.ask(Job::Order(order, reply)).await?;
        done.await.map_err(|_| Ended)
    }

    /// Brings the answer to a request that the engine sent; `None` when there is none.
    pub async fn answered(
        &self,
        from: Address,
        exchange: ExchangeId,
        answer: Option<Box<Envelope<Answer>>>,
    ) -> Result<(), Ended> {
        self.ask(Job::Answered {
            from,
            exchange,
            answer,
        })
        .await
    }

    /// Looks through the rows as they are committed now.
    pub async fn digest(&self, scan: Scan) -> Result<Digest, ReadError> {
        self.readers
            .scan(move |connection| Ok(row::digest(connection, scan)?))
            .await
    }

    /// Brings what the engine wanted to know of the rows; `None` when it cannot be told.
    pub async fn scanned(&self, id: ExchangeId, digest: Option<Digest>) -> Result<(), Ended> {
        self.ask(Job::Scanned(id, digest.map(Box::new))).await
    }

    /// Tells where the nodes of the cluster may be.
    pub async fn listed(&self, addresses: Vec<Address>) -> Result<(), Ended> {
        self.ask(Job::Listed(addresses)).await
    }

    /// Lets the engine look at the time: at least every 100 ms in a cluster.
    pub async fn tick(&self) -> Result<(), Ended> {
        self.ask(Job::Tick).await
    }

    /// What this node is to its cluster, and what it knows of the others.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// The same, with all that was answered before this is asked. A disk that hangs puts that off for `patience` at most.
    pub async fn current_view(&self, patience: Duration) -> Arc<View> {
        let (reply, shown) = oneshot::channel();
        let look = async {
            self.ask(Job::Look(reply)).await?;
            shown.await.map_err(|_| Ended)
        };
        // Whatever became of that, what was shown last is the latest that is known.
        let _ = tokio::time::timeout(patience, look).await;
        self.view()
    }

    /// The same, for those who wait for a change.
    pub fn watch_view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Empties the write-ahead log where it is time: what was deleted or replaced is in it until then. To be called every
    /// second or so.
    pub async fn tidy(&self) -> Result<(), Ended> {
        self.ask(Job::Tidy).await
    }

    async fn ask(&self, job: Job) -> Result<(), Ended> {
        self.jobs.send(job).await.map_err(|_| Ended)
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
    pub async fn sample(&self) -> Result<(), ReadError> {
        let (tombstones, oldest) = self.readers.read(row::tombstones).await?;
        self.metrics.remembers(tombstones, oldest);
        let owned = self.readers.read(values::count).await?;
        self.metrics.owns(owned);
        let (database, log) = self.path.sizes();
        let free = self.path.disk_space().map_or(0, |space| space.free);
        self.metrics.sizes(database, log, free);
        self.metrics
            .waiting(QUEUE.saturating_sub(self.jobs.capacity()));
        self.metrics
            .refuses_writes(self.write_health() != WriteHealth::Accepting);
        Ok(())
    }

    /// A page of losing versions of concurrent writes, the latest first: those before a number of an earlier page, so many at
    /// most, and about 1 MiB of ciphertext.
    pub async fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ConflictPage, ReadError> {
        self.readers
            .scan(move |connection| Ok(row::conflicts(connection, before, limit)?))
            .await
    }

    /// How many live entries were written before a clock reading, and the names of the first `most` of them, in
    /// (environment, key) order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn written_before(
        &self,
        before: Clock,
        most: usize,
    ) -> Result<(u64, Vec<Identity>), ReadError> {
        self.readers
            .scan(move |connection| Ok(row::written_before(connection, before, most)?))
            .await
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
        self.view.borrow().incarnation
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

/// What is wrong with a value that no user key could ever open.
fn no_token(row: &Row) -> Option<&'static str> {
    let token = row.content.as_ref().and_then(Content::token)?;
    token_time(token)
        .is_none()
        .then_some("its value is no Fernet token")
}
