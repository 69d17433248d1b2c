//! The writer thread: it alone writes, takes all waiting writes into one transaction, and answers after the commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    OpenError, WallClock, WriteError, WriteHealth, disk::Room, file::DatabaseFile,
    health::SharedWriteHealth, meta, row, row_cache::Commits,
};
use crate::{
    domain::{Category, Clock, HybridClock, Identity, Incarnation, Row, Timestamp, Version},
    metrics::StoreMetrics,
};

/// Writes in one transaction at most: bounds how long the first of them waits.
const BATCH: usize = 512;

/// One change of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which entry.
    pub identity: Identity,
    /// What the caller saw there when it checked whether it may write.
    pub seen: Seen,
    /// What to do.
    pub change: Change,
}

/// What stood under an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, ever.
    Nothing,
    /// Nothing that is live: whether there is a tombstone does not matter.
    NothingLive,
    /// This version, live or a tombstone.
    Version(Version),
}

impl Seen {
    /// What a caller saw who read this row.
    pub fn of(row: Option<&Row>) -> Self {
        row.map_or(Self::Nothing, |row| Self::Version(row.version))
    }

    fn is_still_so(self, stored: Option<&Row>) -> bool {
        match self {
            Self::NothingLive => stored.is_none_or(Row::is_tombstone),
            seen => seen == Self::of(stored),
        }
    }
}

/// The kinds of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Create or replace the value.
    Put {
        /// The new category.
        category: Option<Category>,
        /// The new value as a Fernet token.
        token: String,
    },
    /// Replace the entry by a tombstone.
    Delete,
}

/// A committed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The new version.
    pub version: Version,
    /// When the entry came into being.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
}

/// What the writer thread is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Write(Write, oneshot::Sender<Result<Written, WriteError>>),
    Close(oneshot::Sender<()>),
}

type Reply = oneshot::Sender<Result<Written, WriteError>>;

pub(super) struct Writer {
    /// `None` after a failure: a connection whose commit failed is not used again.
    connection: Option<Connection>,
    feed: Feed,
    around: Surroundings,
}

/// What the writer uses and informs.
pub(super) struct Surroundings {
    pub(super) file: DatabaseFile,
    pub(super) wall_clock: WallClock,
    pub(super) live_entries: Arc<AtomicU64>,
    pub(super) commits: Commits,
    pub(super) health: SharedWriteHealth,
    pub(super) min_free_bytes: u64,
    pub(super) metrics: StoreMetrics,
}

/// What advances with every write.
struct Feed {
    clock: HybridClock,
    incarnation: Incarnation,
    last_seq: i64,
}

impl Writer {
    pub(super) fn new(connection: Connection, around: Surroundings) -> Result<Self, OpenError> {
        let feed = Feed::load(&connection)?;
        Ok(Self {
            connection: Some(connection),
            feed,
            around,
        })
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.feed.incarnation
    }

    /// Serves until it is told to close or nobody can ask any more.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = Vec::new();
        while let Some(first) = jobs.blocking_recv() {
            let mut writes = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(write, reply) => writes.push((write, reply)),
                    Job::Close(reply) => {
                        closing.push(reply);
                        jobs.close();
                    }
                }
                next = if writes.len() < BATCH {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            if !writes.is_empty() {
                self.commit(writes);
            }
        }
        if let Some(connection) = self.connection.take() {
            // A log that stays behind is read at the next start; nothing is lost.
            let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
        // The lock must be free before anybody hears that the store is closed.
        drop(self);
        for reply in closing {
            let _ = reply.send(());
        }
    }

    fn commit(&mut self, writes: Vec<(Write, Reply)>) {
        let (admitted, refused): (Vec<_>, Vec<_>) = match self.room() {
            Room::Everything => (writes, Vec::new()),
            Room::Deletes => writes
                .into_iter()
                .partition(|(write, _)| write.change == Change::Delete),
            Room::Nothing => (Vec::new(), writes),
        };
        for (_, reply) in refused {
            self.around.health.set(WriteHealth::DiskFull);
            let _ = reply.send(Err(WriteError::DiskFull));
        }
        if admitted.is_empty() {
            return;
        }
        let (requests, replies): (Vec<_>, Vec<_>) = admitted.into_iter().unzip();
        let (count, start) = (requests.len(), Instant::now());
        let results = self.transaction(requests);
        match &results {
            Ok(_) => {
                self.around.metrics.committed(count, start.elapsed());
                if self.around.health.get() == WriteHealth::Failing {
                    self.around.health.set(WriteHealth::Accepting);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, writes = count, "write_failed");
                self.around.metrics.commit_failed();
                self.around.health.set(match error {
                    WriteError::DiskFull => WriteHealth::DiskFull,
                    _ => WriteHealth::Failing,
                });
                self.connection = None;
            }
        }
        let results = results.unwrap_or_else(|error| vec![Err(error); count]);
        for (reply, result) in replies.into_iter().zip(results) {
            // A caller that went away has no use for the answer; its write stands.
            let _ = reply.send(result);
        }
    }

    /// What the disk has room for. Where it does not tell, SQLite will.
    fn room(&self) -> Room {
        let Surroundings {
            file,
            health,
            min_free_bytes,
            ..
        } = &self.around;
        let room = file.path().disk_space().map_or(Room::Everything, |space| {
            match space.room(*min_free_bytes, 0) {
                Room::Deletes => space.room(*min_free_bytes, self.reusable_bytes()),
                room => room,
            }
        });
        if room == Room::Everything && health.get() == WriteHealth::DiskFull {
            health.set(WriteHealth::Accepting);
        }
        room
    }

    /// What deleted entries left free inside the database.
    fn reusable_bytes(&self) -> u64 {
        let pages: Option<i64> = self.connection.as_ref().and_then(|connection| {
            let sql =
                "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size";
            connection.query_row(sql, [], |row| row.get(0)).ok()
        });
        pages.unwrap_or_default().unsigned_abs()
    }

    /// All requests in one transaction. A refused one leaves its neighbours alone; a failed one fails them all.
    fn transaction(
        &mut self,
        requests: Vec<Write>,
    ) -> Result<Vec<Result<Written, WriteError>>, WriteError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            broken => {
                let fresh = self
                    .around
                    .file
                    .connect_writer()
                    .map_err(|error| WriteError::Failed(error.to_string()))?;
                // Readings of the failed transaction may be in answers nowhere, but never go back either.
                let stored =
                    Feed::load(&fresh).map_err(|error| WriteError::Failed(error.to_string()))?;
                self.feed.last_seq = stored.last_seq;
                broken.insert(fresh)
            }
        };
        let now = (self.around.wall_clock)();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut live_change = 0_i64;
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            results.push(match self.feed.apply(&transaction, request, now)? {
                Ok((written, change)) => {
                    live_change += change;
                    Ok(written)
                }
                Err(Changed) => Err(WriteError::Changed),
            });
        }
        self.feed.store(&transaction)?;
        transaction.commit()?;
        self.around.commits.committed();
        // Two's complement: adding the negative's bit pattern subtracts.
        self.around
            .live_entries
            .fetch_add(live_change.cast_unsigned(), Ordering::Relaxed);
        Ok(results)
    }
}

/// The stored row is not the one that the caller saw.
struct Changed;

impl Feed {
    fn load(connection: &Connection) -> Result<Self, OpenError> {
        let number =
            |name, what| meta::get::<i64>(connection, name)?.ok_or(OpenError::Incomplete(what));
        Ok(Self {
            clock: HybridClock::resume(Clock::from_raw(number(meta::CLOCK_HIGH_WATER, "clock")?)),
            incarnation: Incarnation::from_raw(number(meta::INCARNATION, "incarnation")?),
            last_seq: number(meta::LAST_SEQ, "last sequence")?,
        })
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        meta::put(
            connection,
            meta::CLOCK_HIGH_WATER,
            self.clock.high_water().raw(),
        )?;
        meta::put(connection, meta::LAST_SEQ, self.last_seq)
    }

    /// Makes one change, and tells by how much the number of live entries changes.
    fn apply(
        &mut self,
        connection: &Connection,
        Write {
            identity,
            seen,
            change,
        }: Write,
        now: Timestamp,
    ) -> rusqlite::Result<Result<(Written, i64), Changed>> {
        let stored = row::find(connection, &identity)?;
        if !seen.is_still_so(stored.as_ref()) {
            return Ok(Err(Changed));
        }
        let live = stored.as_ref().filter(|row| !row.is_tombstone());
        let created_at = live.map_or(now, |row| row.created_at);
        let live_before = i64::from(live.is_some());
        let version = Version {
            clock: self
                .clock
                .tick(now, stored.as_ref().map(|row| row.version.clock)),
            incarnation: self.incarnation,
        };
        let mut clocks = stored.map(|row| row.clocks).unwrap_or_default();
        clocks.insert(self.incarnation, version.clock);
        let (category, token) = match change {
            Change::Put { category, token } => (category, Some(token)),
            Change::Delete => (None, None),
        };
        let live_after = i64::from(token.is_some());
        self.last_seq += 1;
        let row = Row {
            identity,
            category,
            token,
            created_at,
            updated_at: now,
            version,
            clocks,
        };
        row::put(connection, &row, self.last_seq)?;
        Ok(Ok((
            Written {
                version,
                created_at,
                updated_at: now,
            },
            live_after - live_before,
        )))
    }
}
