//! The writer thread, the only one that writes. It feeds all waiting jobs into the engine, commits the changes in one
//! transaction, and sends the outputs after the commit.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    WallClock,
    job::{Job, Waiters, WriteBatch},
};
use crate::{
    cluster::{
        Address, Change, Engine, Input, LoadError, Now, Output, Request, Setup, View, Write,
    },
    metrics::StoreMetrics,
    store::{
        Atomicity, Room, SharedWriteHealth, WriteError, WriteHealth,
        sqlite::{DatabaseWriter, OpenError, OtherMode, SqliteTables},
    },
};

/// Jobs in one transaction at most: bounds how long the first of them waits.
const BATCH: usize = 512;

/// The engine's outputs for the outside: requests to send, events to log.
pub type Outbox = mpsc::UnboundedSender<Output>;

pub(super) struct Writer {
    database: DatabaseWriter,
    engine: Engine,
    /// Whether the engine was ready when it last committed.
    was_ready: bool,
    setup: Setup,
    /// `None` until a list was given.
    listed: Option<Vec<Address>>,
    waiters: Waiters,
    around: Surroundings,
}

/// The parts that the writer uses and informs.
pub(super) struct Surroundings {
    pub(super) wall_clock: WallClock,
    pub(super) started: Instant,
    pub(super) live_entries: Arc<AtomicU64>,
    pub(super) health: SharedWriteHealth,
    pub(super) min_free_bytes: u64,
    pub(super) metrics: StoreMetrics,
    pub(super) outbox: Outbox,
    pub(super) view: watch::Sender<Arc<View>>,
}

impl Surroundings {
    pub(super) fn now(&self) -> Now {
        Now {
            wall: (self.wall_clock)(),
            elapsed: self.started.elapsed(),
        }
    }
}

impl Writer {
    pub(super) fn new(
        database: DatabaseWriter,
        engine: Engine,
        setup: Setup,
        around: Surroundings,
    ) -> Self {
        Self {
            database,
            engine,
            was_ready: false,
            setup,
            listed: None,
            waiters: Waiters::default(),
            around,
        }
    }

    /// Serves until it is closed or no caller can ask any more.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = Vec::new();
        // Rows of postponed batches: each transaction has rows of one batch, so that single writes can overtake the others.
        let mut postponed = VecDeque::new();
        while let Some(first) = postponed.pop_front().or_else(|| jobs.blocking_recv()) {
            let (mut batch, mut tidy, mut has_rows) = (Vec::new(), false, false);
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Close(reply) => {
                        closing.push(reply);
                        jobs.close();
                    }
                    Job::Tidy => tidy = true,
                    Job::Batch(rows) if has_rows => postponed.push_back(Job::Batch(rows)),
                    job => {
                        has_rows |= matches!(job, Job::Batch(_));
                        batch.push(job);
                    }
                }
                next = if batch.len() < BATCH {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            if !batch.is_empty() {
                self.process_batch(batch);
            }
            if tidy {
                self.database.tidy();
            }
        }
        self.close(closing);
    }

    fn close(mut self, closing: Vec<oneshot::Sender<()>>) {
        let abandoned = self.engine.abandon();
        self.dispatch(abandoned);
        self.database.close();
        // The lock must be free before a caller hears that the store is closed.
        drop(self);
        for reply in closing {
            let _ = reply.send(());
        }
    }

    /// Takes a batch of jobs through the engine in one transaction.
    fn process_batch(&mut self, batch: Vec<Job>) {
        let room = self.room();
        self.engine.observe(
            self.around.live_entries.load(Ordering::Relaxed),
            room == Room::Everything,
        );
        let mut inputs = Vec::with_capacity(batch.len());
        let (mut writes, mut look) = (0, false);
        let (mut lookers, mut rooms) = (Vec::new(), Vec::new());
        for job in batch {
            let Some(mut job) = self.admit(job, room) else {
                continue;
            };
            rooms.extend(job.take_room());
            writes += job.writes();
            look |= !matches!(job, Job::Write(..) | Job::Batch(_) | Job::Answered { .. });
            match job {
                Job::Look(reply) => lookers.push(reply),
                Job::Batch(rows) => inputs.extend(self.waiters.batch(rows)),
                job => {
                    if let Job::Listed(addresses) = &job {
                        self.listed = Some(addresses.clone());
                    }
                    inputs.extend(self.waiters.input(job));
                }
            }
        }
        let start = Instant::now();
        match self.transaction(inputs) {
            Ok(outputs) => {
                self.waiters.committed();
                if writes > 0 {
                    self.around.metrics.committed(writes, start.elapsed());
                    if self.around.health.get() == WriteHealth::Failing {
                        self.around.health.set(WriteHealth::Accepting);
                    }
                }
                look |= outputs
                    .iter()
                    .any(|output| matches!(output, Output::Event(_)));
                // A client that gets an answer must see the state that the answer reports.
                if look && self.setup.clustered {
                    self.publish_view();
                }
                self.dispatch(outputs);
            }
            Err(error) => self.abort_batch(&error, writes),
        }
        drop(rooms);
        for reply in lookers {
            let _ = reply.send(());
        }
    }

    /// Admits a job where the disk has room for it.
    fn admit(&self, job: Job, room: Room) -> Option<Job> {
        let job = match job {
            Job::Batch(rows) => return self.admit_batch(rows, room),
            job => job,
        };
        let fits = match (&job, room) {
            (Job::Write(write, ..), room) => has_room(write, room),
            (Job::Request { message, .. }, Room::Nothing) => {
                !matches!(message.body, Request::Push { .. })
            }
            _ => true,
        };
        if fits {
            return Some(job);
        }
        self.around.health.set(WriteHealth::DiskFull);
        if let Job::Write(_, _, reply) = job {
            let _ = reply.send(Err(WriteError::DiskFull));
        }
        None
    }

    /// Admits the writes of a batch for which the disk has room, or where they belong together all or none.
    fn admit_batch(&self, batch: WriteBatch, room: Room) -> Option<Job> {
        let WriteBatch {
            writes,
            level,
            atomicity,
        } = batch;
        let (mut writes, full): (Vec<_>, Vec<_>) = writes
            .into_iter()
            .partition(|(write, _)| has_room(write, room));
        if !full.is_empty() {
            self.around.health.set(WriteHealth::DiskFull);
            if atomicity == Atomicity::All {
                for (_, reply) in writes.drain(..) {
                    let _ = reply.send(Err(WriteError::OthersRefused));
                }
            }
        }
        for (_, reply) in full {
            let _ = reply.send(Err(WriteError::DiskFull));
        }
        (!writes.is_empty()).then_some(Job::Batch(WriteBatch {
            writes,
            level,
            atomicity,
        }))
    }

    /// The room on the disk.
    fn room(&self) -> Room {
        let Surroundings {
            health,
            min_free_bytes,
            ..
        } = &self.around;
        let mut room = self.database.room(*min_free_bytes);
        // Every write goes through the log, also the overwriting of deleted data: emptying the log frees its space.
        if room != Room::Everything && self.database.has_log() && self.database.empty_log() {
            room = self.database.room(*min_free_bytes);
        }
        if room == Room::Everything && health.get() == WriteHealth::DiskFull {
            health.set(WriteHealth::Accepting);
        }
        room
    }

    /// Runs all inputs in one transaction. A refused input leaves the others alone; a failed one fails them all.
    fn transaction(&mut self, inputs: Vec<Input>) -> Result<Vec<Output>, WriteError> {
        let now = self.around.now();
        if !self.database.is_open() {
            self.reset(now)?;
        }
        let live = self.around.live_entries.load(Ordering::Relaxed);
        let mut tables = self.database.tables().ok_or(WriteError::Closed)?;
        let mut outputs = Vec::with_capacity(inputs.len());
        for input in inputs {
            self.engine.step(&mut tables, now, input, &mut outputs)?;
        }
        self.engine.finish(&mut tables, now, &mut outputs)?;
        let outcome = tables.commit(live)?;
        self.was_ready = self.engine.is_ready();
        if outcome.wrote {
            // Two's complement: adding the negative's bit pattern subtracts.
            self.around
                .live_entries
                .fetch_add(outcome.live_change.cast_unsigned(), Ordering::Relaxed);
            self.database.committed();
        }
        Ok(outputs)
    }

    /// Opens the database again after a failure, with an engine that knows only the durable state.
    fn reset(&mut self, now: Now) -> Result<(), WriteError> {
        let failed = |error: &dyn std::fmt::Display| WriteError::Failed(error.to_string());
        self.database.reopen().map_err(|error| failed(&error))?;
        let mut tables = self.database.tables().ok_or(WriteError::Closed)?;
        let mut engine =
            Engine::load(&mut tables, self.setup.clone(), now).map_err(|error| match error {
                LoadError::Storage(error) => WriteError::from(error),
                other => failed(&other),
            })?;
        if let Some(listed) = self.listed.clone() {
            engine.step(&mut tables, now, Input::Listed(listed), &mut Vec::new())?;
        }
        tables.commit(self.around.live_entries.load(Ordering::Relaxed))?;
        engine.follow(&mut self.engine, self.was_ready);
        self.engine = engine;
        Ok(())
    }

    /// Ends a failed transaction: no caller in it gets a success.
    fn abort_batch(&mut self, error: &WriteError, writes: usize) {
        // A disk that does not work fails every tick; it is enough to log that once, and to answer it to writers.
        if writes > 0 || self.around.health.get() == WriteHealth::Accepting {
            tracing::error!(error = %error, writes, "write_failed");
        }
        self.around.metrics.commit_failed();
        self.database.give_up();
        // Where there is space but no permission to use it (a quota, say), free space does not show when the failure is over.
        let has_room = self.room() == Room::Everything;
        self.around.health.set(match error {
            WriteError::DiskFull if !has_room => WriteHealth::DiskFull,
            _ => WriteHealth::Failing,
        });
        self.waiters.failed(error);
        // Writes of earlier transactions are durable, whichever other node holds them.
        let abandoned = self.engine.abandon();
        self.dispatch(abandoned);
    }

    fn dispatch(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Written { reply, result } => self.waiters.written(reply, result),
                Output::Answer { reply, message } => self.waiters.answer(reply, *message),
                Output::Done { reply, result } => self.waiters.done(reply, result),
                outward => {
                    // Where no receiver is left, the node is ending.
                    let _ = self.around.outbox.send(outward);
                }
            }
        }
    }

    fn publish_view(&self) {
        let view = self.engine.view(self.around.now());
        self.around.view.send_if_modified(|shown| {
            let news = **shown != view;
            if news {
                *shown = Arc::new(view);
            }
            news
        });
    }
}

/// Whether the disk has room for a write.
fn has_room(write: &Write, room: Room) -> bool {
    match room {
        Room::Everything => true,
        Room::Deletes => write.change == Change::Delete,
        Room::Nothing => false,
    }
}

/// Brings the engine of an open database up.
pub(super) fn load_engine(
    mut tables: SqliteTables<'_>,
    setup: Setup,
    now: Now,
) -> Result<Engine, OpenError> {
    let engine = Engine::load(&mut tables, setup, now).map_err(|error| match error {
        LoadError::Storage(error) => OpenError::Sqlite(error),
        LoadError::OtherName { stored, given } => OpenError::OtherName {
            stored: stored.to_string(),
            given: given.to_string(),
        },
        LoadError::OtherMode { stored } => OtherMode(stored).into(),
    })?;
    tables.commit(0)?;
    Ok(engine)
}
