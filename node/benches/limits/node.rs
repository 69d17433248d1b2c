//! A node as a process of its own, and databases for it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use opensecureconf_node::{
    budget::CacheSizes,
    cluster::{AckLevel, Change, Expected, MemberName, Mode, ProcessEpoch, Rules, Setup, Write},
    crypto::{DataKey, Iterations, Salt, SaltPolicy, UserKey, derive},
    domain::{ConfigKey, Environment, Identity, Incarnation, Timestamp},
    metrics::StoreMetrics,
    replica::{Replica, ReplicaSettings},
    store::{EntryStore, SaltPlaces, settle_salt, sqlite::OpenedDatabase},
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const USER_KEY: &str = "correct-horse-battery";

/// A running node; ends with this value.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
}

impl Node {
    pub(crate) fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_osc-node"))
            .env_clear()
            .env("OSC_HOST_PORT", "0")
            .env("OSC_LOG_LEVEL", "WARNING")
            .envs(more.iter().copied())
            // The line that names the address is at INFO.
            .env("OSC_LOG_LEVEL", "INFO")
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if event["event"] == "node_started" {
                break format!("http://{}", event["address"].as_str().unwrap());
            }
        };
        // The pipe must be read, or the node would drop its lines.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes / 1024.0
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The salt of these folders.
pub(crate) fn salt() -> Salt {
    let bytes: [u8; 64] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    Salt::from_bytes(&bytes).unwrap()
}

/// A value of the size that configuration usually has.
pub(crate) fn value(n: usize) -> String {
    format!(
        r#"{{"host": "db-{n}.example.org", "port": 5432, "options": {{"pool": 10, "tls": true}}}}"#
    )
}

/// A data folder with this many entries `k0`, `k1`, ... under [`USER_KEY`].
pub(crate) fn folder_with(entries: usize) -> (TempDir, DataKey) {
    folder_of(entries, value)
}

/// The same with values of one's own.
pub(crate) fn folder_of(entries: usize, value: fn(usize) -> String) -> (TempDir, DataKey) {
    let folder = TempDir::new().unwrap();
    let salt = salt();
    let key = derive(
        &UserKey::from_header(USER_KEY.as_bytes()),
        &salt,
        Iterations::STANDARD,
    );
    let database = OpenedDatabase::open(
        &folder.path().join("configurations.db"),
        Incarnation::from_random(7),
    )
    .unwrap();
    let places = SaltPlaces {
        mounted: None,
        file: &folder.path().join("encryption.salt"),
    };
    settle_salt(&database, places, SaltPolicy::Generate, || salt.clone()).unwrap();
    let now = Timestamp::from_micros(1_768_471_845_000_000);
    let store = Replica::start(
        database,
        ReplicaSettings {
            clock: Arc::new(move || now),
            caches: CacheSizes::SMALLEST,
            min_free_bytes: 0,
            metrics: StoreMetrics::unregistered().unwrap(),
            engine: standalone(),
            outbox: tokio::sync::mpsc::unbounded_channel().0,
        },
    )
    .unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let numbers: Vec<_> = (0..entries).collect();
        for batch in numbers.chunks(500) {
            futures::future::join_all(
                batch
                    .iter()
                    .map(|n| write(&store, *n, value(*n), &key, now)),
            )
            .await;
        }
        store.close().await;
    });
    (folder, key)
}

async fn write(store: &Replica, n: usize, value: String, key: &DataKey, now: Timestamp) {
    let identity = Identity {
        environment: Environment::default(),
        key: ConfigKey::new(format!("k{n}")).unwrap(),
    };
    let names = ("", identity.key.as_str());
    let (token, seal) = key.seal_value(names, value.as_bytes(), now).unwrap();
    let change = Change::Put {
        category: None,
        token,
        seal: Some(seal),
    };
    let write = Write {
        identity,
        seen: Expected::Nothing,
        named: None,
        change,
    };
    store.commit(write, AckLevel::Local).await.unwrap();
}

fn standalone() -> Setup {
    Setup {
        clustered: false,
        name: MemberName::new("bench"),
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
