//! The store in SQLite, written by the engine of a node that stands alone.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use opensecureconf_node::{
    budget::CacheSizes,
    cluster::{
        AckLevel, Expected, LocalStatus, MemberName, Membership, Mode, ProcessEpoch, Rules, Seq,
        Setup, Write,
    },
    domain::{Clock, Content, Incarnation, Row, Timestamp},
    metrics::StoreMetrics,
    replica::{Replica, ReplicaSettings},
    store::{Atomicity, BATCH_ROWS, EntryStore, sqlite::OpenedDatabase},
};
use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::{
    entry::{named, put},
    subject::Subject,
};

/// Incarnations of databases: each has its own.
static LIVES: AtomicI64 = AtomicI64::new(1);

pub(crate) struct Sqlite {
    folder: TempDir,
    /// A clock that gives another microsecond each time.
    time: Arc<AtomicI64>,
    /// While it is set, the writer waits at the beginning of its next transaction.
    halted: Arc<AtomicBool>,
    replica: Replica,
}

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self::of(TempDir::new().unwrap())
    }

    /// A store whose file exists already.
    pub(crate) fn of(folder: TempDir) -> Self {
        let time = Arc::new(AtomicI64::new(1_768_471_845_000_000));
        let halted = Arc::<AtomicBool>::default();
        Self {
            replica: open(&folder, &time, &halted),
            folder,
            time,
            halted,
        }
    }

    /// Ends the process; gives the file, which holds this salt.
    pub(crate) async fn end(&self, salt: &[u8]) -> PathBuf {
        self.replica.close().await;
        let path = self.folder.path().join(FILE);
        let keep = "INSERT OR REPLACE INTO meta (name, value) VALUES ('salt', ?1)";
        let database = Connection::open(&path).unwrap();
        database.execute(keep, [salt]).unwrap();
        path
    }

    /// Changes the database while no node has it open.
    async fn between(&mut self, happens: impl FnOnce(&Connection)) {
        self.replica.close().await;
        happens(&Connection::open(self.folder.path().join(FILE)).unwrap());
        self.replica = open(&self.folder, &self.time, &self.halted);
    }
}

/// The name of the file.
pub(crate) const FILE: &str = "configurations.db";

fn open(folder: &TempDir, time: &Arc<AtomicI64>, halted: &Arc<AtomicBool>) -> Replica {
    let incarnation = Incarnation::from_raw(LIVES.fetch_add(1, Ordering::Relaxed));
    let database = OpenedDatabase::open(&folder.path().join(FILE), incarnation).unwrap();
    let (time, halted) = (Arc::clone(time), Arc::clone(halted));
    let settings = ReplicaSettings {
        clock: Arc::new(move || {
            while halted.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Timestamp::from_micros(time.fetch_add(1, Ordering::Relaxed))
        }),
        caches: CacheSizes::SMALLEST,
        min_free_bytes: 0,
        metrics: StoreMetrics::unregistered().unwrap(),
        engine: alone(),
        outbox: tokio::sync::mpsc::unbounded_channel().0,
    };
    Replica::start(database, settings).unwrap()
}

fn alone() -> Setup {
    Setup {
        clustered: false,
        name: MemberName::new("alone"),
        process_epoch: ProcessEpoch::from_random(1),
        cluster: String::new(),
        mode: Mode::Replica,
        release: String::new(),
        salt: None,
        may_make_salt: false,
        grace: Setup::GRACE,
        sync_interval: Duration::ZERO,
        rules: Rules::ALL,
        entropy: [0; 32],
    }
}

impl Subject for Sqlite {
    type Store = Replica;

    fn store(&self) -> &Replica {
        &self.replica
    }

    async fn another(&self) -> Self {
        Self::new()
    }

    async fn restart(&mut self) {
        self.between(|_| ()).await;
    }

    /// As the engine of a cluster's node does it, days later.
    async fn forget_deletes(&mut self) {
        self.between(|database| {
            let latest = "SELECT max(seq) FROM entries WHERE token IS NULL";
            let latest = database.query_row(latest, [], |row| row.get(0)).unwrap();
            let membership = Membership {
                name: MemberName::new("alone"),
                mode: Mode::Replica,
                cluster_uid: None,
                status: LocalStatus::Blank,
                purged: Seq::from_raw(latest),
                purged_clock: Clock::default(),
                inherited: Vec::new(),
                forgiven: Vec::new(),
                joined_without: Vec::new(),
                source_received: Vec::new(),
                accusations: Vec::new(),
                origin: None,
                process_epoch: (ProcessEpoch::from_random(1), Seq::START),
            };
            let membership = serde_json::to_string(&membership).unwrap();
            let keep = "INSERT OR REPLACE INTO meta (name, value) VALUES ('membership', ?1)";
            database.execute(keep, [membership]).unwrap();
            let forget = "DELETE FROM entries WHERE token IS NULL";
            database.execute(forget, []).unwrap();
        })
        .await;
    }

    async fn set_aside(&mut self, losers: Vec<Row>) {
        self.between(|database| {
            for row in losers {
                let values = params![
                    row.identity.environment.as_str(),
                    row.identity.key.as_str(),
                    row.content.as_ref().map(Content::as_str),
                    row.version.clock.raw(),
                    row.version.incarnation.raw(),
                    row.hash().0,
                ];
                let keep = "INSERT INTO conflicts (environment, key, token, created_at, updated_at, clock, incarnation, row_hash, clocks, seen_at) \
                     VALUES (?1, ?2, ?3, 0, 0, ?4, ?5, ?6, x'', 0)";
                database.execute(keep, values).unwrap();
            }
        })
        .await;
    }
}

#[tokio::test]
async fn single_writes_pass_the_rows_of_batches_that_wait() {
    let sqlite = Sqlite::new();
    let store = sqlite.store();
    let new = |key: String| Write {
        identity: named(&key),
        seen: Expected::NothingLive,
        named: None,
        change: put(1),
    };
    let batch = |name: &str| {
        let rows = (0..BATCH_ROWS).map(|row| new(format!("{name}-{row}")));
        store.commit_batch(rows.collect(), AckLevel::Local, Atomicity::Each)
    };
    sqlite.halted.store(true, Ordering::Relaxed);
    let first = store.commit(new("first".to_owned()), AckLevel::Local);
    let batches = futures::future::join_all(["one", "two", "three"].map(batch));
    let single = store.commit(new("single".to_owned()), AckLevel::Local);
    // The test hands all of them over, in this order, before the writer goes on.
    let go_on = async { sqlite.halted.store(false, Ordering::Relaxed) };
    let (first, batches, single, ()) = futures::join!(first, batches, single, go_on);
    let single = single.unwrap().version;
    assert!(first.unwrap().version < single);
    let versions: Vec<Vec<_>> = batches
        .into_iter()
        .map(|rows| rows.into_iter().map(|row| row.unwrap().version).collect())
        .collect();
    assert!(
        versions[2].iter().all(|row| single < *row),
        "a single write waits for the rows of one batch at a time"
    );
    for pair in versions.windows(2) {
        let (earlier, later) = (&pair[0], &pair[1]);
        assert!(earlier.last() < later.first(), "they keep their order");
    }
}
