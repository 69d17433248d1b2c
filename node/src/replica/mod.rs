//! The running engine: a thread runs it over SQLite and is the only one to write there; this is its mailbox. Requests use it as
//! a store of entries (`entry_store`); other nodes read more of it (`reading`).

mod entry_store;
mod job;
mod reading;
mod writer;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use job::Job;
pub use writer::Outbox;
use writer::Writer;

use crate::{
    budget::{CacheSizes, Reservation},
    cluster::{
        Address, AdminOrder, AdminOutcome, AdminRefusal, Answer, Digest, Envelope, ExchangeId, Now,
        Request, Setup, View,
    },
    domain::{Incarnation, Timestamp},
    metrics::StoreMetrics,
    store::{
        EntryStore, ReadError, SharedWriteHealth, WriteHealth,
        sqlite::{EntryReader, OpenError, OpenedDatabase},
    },
};

/// The store has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Ended;

/// Gives wall-clock time; tests set their own.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Writes that wait for the writer thread at most; beyond that callers wait to hand theirs over.
const QUEUE: usize = 1024;

/// The store of one node and the engine that writes it. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Replica {
    jobs: mpsc::Sender<Job>,
    reader: EntryReader,
    live_entries: Arc<AtomicU64>,
    view: watch::Receiver<Arc<View>>,
    write_health: SharedWriteHealth,
    min_free_bytes: u64,
    metrics: StoreMetrics,
}

/// How a replica is run.
#[derive(Clone)]
pub struct ReplicaSettings {
    /// Wall-clock time.
    pub clock: WallClock,
    /// Sizes of the caches, and connections for reading.
    pub caches: CacheSizes,
    /// Free disk space below which creates and updates are refused.
    pub min_free_bytes: u64,
    /// The metrics of the store.
    pub metrics: StoreMetrics,
    /// The engine's configuration.
    pub engine: Setup,
    /// Where the engine's requests to other nodes go.
    pub outbox: Outbox,
}

impl std::fmt::Debug for ReplicaSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaSettings")
            .field("caches", &self.caches)
            .field("min_free_bytes", &self.min_free_bytes)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Starts the writer thread and the readers.
    ///
    /// # Errors
    /// Where the database cannot be read, or belongs to another node or a cluster of another mode.
    pub fn start(database: OpenedDatabase, settings: ReplicaSettings) -> Result<Self, OpenError> {
        let ReplicaSettings {
            clock,
            caches,
            min_free_bytes,
            metrics,
            engine: setup,
            outbox,
        } = settings;
        let live_entries = Arc::new(AtomicU64::new(database.live_entries()?));
        let write_health = SharedWriteHealth::default();
        let started = Instant::now();
        let now = Now {
            wall: clock(),
            elapsed: Duration::ZERO,
        };
        let engine = writer::load_engine(database.tables(), setup.clone(), now)?;
        let (database, reader) = database.part(caches)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (shown, view) = watch::channel(Arc::new(engine.view(now)));
        let writer = Writer::new(
            database,
            engine,
            setup,
            writer::Surroundings {
                wall_clock: clock,
                started,
                live_entries: Arc::clone(&live_entries),
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
        Ok(Self {
            jobs,
            reader,
            live_entries,
            view,
            write_health,
            min_free_bytes,
            metrics,
        })
    }

    /// Answers another node. The message keeps its room until it is handled, also where nothing waits for the answer any more.
    pub async fn request(
        &self,
        message: Box<Envelope<Request>>,
        room: Option<Arc<Reservation>>,
    ) -> Result<Envelope<Answer>, Ended> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Request {
            message,
            room,
            reply,
        };
        self.ask(job).await?;
        answer.await.map_err(|_| Ended)
    }

    /// Carries an order of the cluster's owner out.
    pub async fn order(
        &self,
        order: AdminOrder,
    ) -> Result<Result<AdminOutcome, AdminRefusal>, Ended> {
        let (reply, done) = oneshot::channel();
        self.ask(Job::Order(order, reply)).await?;
        done.await.map_err(|_| Ended)
    }

    /// Brings the answer to a request that the engine sent, with its room; `None` when there is none.
    pub async fn answered(
        &self,
        from: Address,
        exchange: ExchangeId,
        answer: Option<(Box<Envelope<Answer>>, Reservation)>,
    ) -> Result<(), Ended> {
        let (answer, room) = answer.unzip();
        self.ask(Job::Answered {
            from,
            exchange,
            answer,
            room,
        })
        .await
    }

    /// Brings the result of a scan that the engine asked for; `None` when it failed.
    pub async fn scanned(&self, id: ExchangeId, digest: Option<Digest>) -> Result<(), Ended> {
        self.ask(Job::Scanned(id, digest.map(Box::new))).await
    }

    /// Sets the addresses of the cluster's nodes.
    pub async fn listed(&self, addresses: Vec<Address>) -> Result<(), Ended> {
        self.ask(Job::Listed(addresses)).await
    }

    /// Gives the engine the time: at least every 100 ms in a cluster.
    pub async fn tick(&self) -> Result<(), Ended> {
        self.ask(Job::Tick).await
    }

    /// The state of this node in its cluster, and its knowledge of the others.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// The same, after all jobs that were answered before this call. A disk that hangs delays it for `timeout` at most.
    pub async fn current_view(&self, timeout: Duration) -> Arc<View> {
        let (reply, shown) = oneshot::channel();
        let look = async {
            self.ask(Job::Look(reply)).await?;
            shown.await.map_err(|_| Ended)
        };
        // Whether in time or not, the last published view is the latest known.
        let _ = tokio::time::timeout(timeout, look).await;
        self.view()
    }

    /// The same, for readers that wait for a change.
    pub fn watch_view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Empties the write-ahead log when that is due: deleted and replaced values stay in it until then. To be called every
    /// second or so.
    pub async fn tidy(&self) -> Result<(), Ended> {
        self.ask(Job::Tidy).await
    }

    async fn ask(&self, job: Job) -> Result<(), Ended> {
        self.jobs.send(job).await.map_err(|_| Ended)
    }

    /// Counts what is counted for the metrics alone, which takes longer the more there is of it.
    pub async fn count(&self) -> Result<(), ReadError> {
        let (tombstones, oldest) = self.reader.tombstones().await?;
        self.metrics.remembers(tombstones, oldest);
        let owned = self.reader.owned_count().await?;
        self.metrics.owns(owned);
        Ok(())
    }

    /// Updates the other metrics that are read only on request.
    pub fn sample(&self) {
        let (database, log) = self.reader.sizes();
        self.metrics.sizes(database, log);
        let space = self.reader.disk_space().ok();
        self.metrics.disk(
            space.map_or(0, |space| space.free),
            space.map_or(self.min_free_bytes, |space| {
                space.reserve(self.min_free_bytes)
            }),
        );
        self.metrics
            .waiting(QUEUE.saturating_sub(self.jobs.capacity()));
        self.metrics
            .refuses_writes(self.write_health() != WriteHealth::Accepting);
    }

    /// The database's identity.
    pub fn incarnation(&self) -> Incarnation {
        self.view.borrow().incarnation
    }

    /// Finishes the waiting writes, moves the write-ahead log into the database and ends the writer thread.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            // An error means that the thread has ended already, as requested.
            let _ = done.await;
        }
    }
}
