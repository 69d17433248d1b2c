//! Three nodes on this machine: the cost of each acknowledgement level, the replication lag, the time that a returning node
//! needs to catch up, and the cost of an idle cluster.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    node::{Node, USER_KEY, folder_with, value},
    report::{Bar, Row, median, percentile},
    wrk::{requests, requests_per_second},
};

const CLUSTER_KEY: &str = "the cluster key of the measurements";
const CONNECTIONS: u32 = 64;
const MISSED: usize = 100_000;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = levels();
    rows.push(lag());
    rows.extend(away_and_idle());
    rows
}

/// Three nodes, of which one got the order to bootstrap.
pub(crate) struct Cluster {
    folders: Vec<TempDir>,
    list: String,
    mode: &'static str,
    /// The folder with the certificates of mutual TLS; `None` where each node has one port.
    tls: Option<PathBuf>,
    nodes: Vec<Option<Node>>,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) client: reqwest::Client,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_as("replica")
    }

    pub(crate) fn start_as(mode: &'static str) -> Self {
        Self::start_with(mode, None)
    }

    /// The same with the certificates in this folder, and a port for nodes that speaks mutual TLS.
    pub(crate) fn start_with(mode: &'static str, tls: Option<PathBuf>) -> Self {
        let folders = (0..3).map(|_| TempDir::new().unwrap()).collect();
        let mut cluster = Self::over(folders, mode, tls);
        for ordinal in 0..3 {
            cluster.start_node(ordinal);
        }
        cluster.bootstrap(&[]);
        for ordinal in 0..3 {
            cluster.await_ready(ordinal);
        }
        cluster.open_something(&cluster.url(0));
        cluster
    }

    /// Lets the user key open an entry of a node: one that opened nothing waits for a derivation with each create.
    pub(crate) fn open_something(&self, url: &str) {
        self.runtime.block_on(async {
            let own = serde_json::json!({"key": "own", "value": 1});
            let create = self.client.post(format!("{url}/configs")).json(&own);
            let read = self.client.get(format!("{url}/configs/own"));
            for request in [create, read] {
                let answer = request.header("X-User-Key", USER_KEY).send().await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.status());
            }
        });
    }

    /// Nodes that are yet to start, with these data folders.
    pub(crate) fn over(folders: Vec<TempDir>, mode: &'static str, tls: Option<PathBuf>) -> Self {
        let listeners: Vec<_> = folders
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().to_string())
            .collect();
        drop(listeners);
        Self {
            nodes: folders.iter().map(|_| None).collect(),
            folders,
            list: addresses.join(","),
            mode,
            tls,
            runtime: tokio::runtime::Runtime::new().unwrap(),
            client: reqwest::Client::new(),
        }
    }

    /// Gives the first node the order to bootstrap, with these flags.
    pub(crate) fn bootstrap(&self, flags: &[&str]) {
        let bootstrapped = Command::new(env!("CARGO_BIN_EXE_osc-node"))
            .arg("bootstrap")
            .args(flags)
            .env_clear()
            .envs(self.settings(0))
            .current_dir(self.folders[0].path())
            .output()
            .unwrap();
        assert!(bootstrapped.status.success(), "{bootstrapped:?}");
    }

    pub(crate) fn start_node(&mut self, ordinal: usize) {
        let settings = self.settings(ordinal);
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.nodes[ordinal] = Some(Node::start(self.folders[ordinal].path(), &settings));
    }

    fn settings(&self, ordinal: usize) -> Vec<(&'static str, String)> {
        let address = self.list.split(',').nth(ordinal).unwrap();
        let port = address.rsplit(':').next().unwrap().to_owned();
        let mut settings = vec![
            ("OSC_CLUSTER_ENABLED", "true".to_owned()),
            ("OSC_CLUSTER_MODE", self.mode.to_owned()),
            ("OSC_CLUSTER_NODE_ID", format!("node-{ordinal}")),
            ("OSC_CLUSTER_KEY", CLUSTER_KEY.to_owned()),
            ("OSC_CLUSTER_NODES", self.list.clone()),
        ];
        match &self.tls {
            None => settings.push(("OSC_HOST_PORT", port)),
            Some(folder) => settings.extend([
                ("OSC_PEER_PORT", port),
                ("OSC_NODE_TLS_DIR", folder.display().to_string()),
            ]),
        }
        settings
    }

    pub(crate) fn url(&self, ordinal: usize) -> String {
        self.nodes[ordinal].as_ref().unwrap().url.clone()
    }

    pub(crate) fn status(&self, ordinal: usize) -> Value {
        let url = format!("{}/cluster/status?details=true", self.url(ordinal));
        self.runtime
            .block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
    }

    pub(crate) fn await_ready(&self, ordinal: usize) -> Duration {
        let (url, begun) = (format!("{}/ready", self.url(ordinal)), Instant::now());
        loop {
            let answer = self.runtime.block_on(self.client.get(&url).send()).unwrap();
            if answer.status().is_success() {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_mins(10), "never ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn creates_per_second(&self, prefix: &str, level: &str) -> f64 {
        requests_per_second(CONNECTIONS, &self.url(0), &script(prefix, level))
    }

    /// Processor time of all nodes for one create, in microseconds.
    pub(crate) fn cost_of_a_create(&self, prefix: &str, level: &str) -> f64 {
        let pids = self.pids();
        let before = processor_seconds(&pids);
        let count = requests(CONNECTIONS, &self.url(0), &script(prefix, level));
        (processor_seconds(&pids) - before) / count * 1e6
    }

    fn pids(&self) -> Vec<u32> {
        self.nodes.iter().flatten().map(Node::pid).collect()
    }
}

/// A new name with every request.
fn script(prefix: &str, level: &str) -> String {
    let value = value(1);
    format!(
        "local n = 0
         wrk.method = 'POST'
         wrk.headers['X-User-Key'] = '{USER_KEY}'
         wrk.headers['X-OSC-Ack'] = '{level}'
         wrk.headers['Content-Type'] = 'application/json'
         request = function()
           n = n + 1
           return wrk.format(nil, '/configs', nil, '{{\"key\": \"{prefix}-' .. n .. '\", \"value\": {value}}}')
         end"
    )
}

fn levels() -> Vec<Row> {
    let (folder, _) = folder_with(1);
    let single = Node::start(folder.path(), &[]);
    let cluster = Cluster::start();
    cluster.open_something(&single.url);
    let levels = [
        ("replicated create, local", "local", Bar::None),
        (
            "replicated create, healthy",
            "healthy",
            Bar::RatioAtLeast(0.6),
        ),
        ("replicated create, all", "all", Bar::None),
    ];
    let (mut alone, mut ours) = (Vec::new(), vec![Vec::new(); levels.len()]);
    for round in 0..3 {
        let prefix = format!("alone-{round}");
        alone.push(requests_per_second(
            CONNECTIONS,
            &single.url,
            &script(&prefix, "local"),
        ));
        for ((_, level, _), figures) in levels.iter().zip(&mut ours) {
            figures.push(cluster.creates_per_second(&format!("{level}-{round}"), level));
        }
    }
    let limit = median(alone);
    levels
        .into_iter()
        .zip(ours)
        .map(|((what, _, bar), figures)| Row {
            what,
            unit: "rows/s",
            ours: median(figures),
            against: "a single node's creates, 64 connections",
            limit,
            bar,
        })
        .collect()
}

/// Writes 500 entries a second to one node; reads each at another node as soon as the first acknowledged it.
fn lag() -> Row {
    const RATE: u32 = 500;
    const COUNT: u32 = 2500;
    let cluster = Cluster::start();
    let (writer, reader) = (cluster.url(0), cluster.url(1));
    let client = cluster.client.clone();
    let lags = cluster.runtime.block_on(async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        let mut tasks = Vec::new();
        for n in 0..COUNT {
            ticks.tick().await;
            let (client, writer, reader) = (client.clone(), writer.clone(), reader.clone());
            tasks.push(tokio::spawn(async move {
                let request = client
                    .post(format!("{writer}/configs"))
                    .header("X-User-Key", USER_KEY)
                    .header("X-OSC-Ack", "local")
                    .json(&serde_json::json!({ "key": format!("lag-{n}"), "value": n }));
                let answer = request.send().await.unwrap().error_for_status().unwrap();
                let (version, acknowledged) =
                    (answer.headers()["x-osc-version"].clone(), Instant::now());
                let request = client
                    .get(format!("{reader}/configs/lag-{n}"))
                    .header("X-User-Key", USER_KEY)
                    .header("X-OSC-Min-Version", version);
                request.send().await.unwrap().error_for_status().unwrap();
                acknowledged.elapsed().as_secs_f64() * 1000.0
            }));
        }
        let mut lags = Vec::new();
        for task in tasks {
            lags.push(task.await.unwrap());
        }
        lags
    });
    // The first requests derive the key.
    let steady = lags[RATE as usize..].to_vec();
    Row {
        what: "replication lag p99 at 500 writes/s",
        unit: "ms",
        ours: percentile(steady, 99),
        against: "the bar",
        limit: 100.0,
        bar: Bar::Below,
    }
}

fn away_and_idle() -> [Row; 3] {
    let mut cluster = Cluster::start();
    cluster.nodes[2] = None;
    let mut written = 0;
    let mut round = 0;
    while written < MISSED {
        cluster.creates_per_second(&format!("missed-{round}"), "local");
        written =
            usize::try_from(cluster.status(0)["details"]["entries"].as_u64().unwrap()).unwrap();
        round += 1;
    }
    cluster.start_node(2);
    let back = cluster.await_ready(2);
    let entries = cluster.status(2)["details"]["entries"].as_u64().unwrap();
    assert!(
        entries >= MISSED as u64,
        "ready with {entries} of {written}"
    );

    // Only heartbeats, once the others have noticed that the node is back.
    std::thread::sleep(Duration::from_secs(3));
    let pids = cluster.pids();
    let before = (processor_seconds(&pids), loopback_bytes());
    let seconds = 15.0;
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let after = (processor_seconds(&pids), loopback_bytes());
    let row = |what, unit, ours, limit| Row {
        what,
        unit,
        ours,
        against: "the bar",
        limit,
        bar: Bar::Below,
    };
    [
        row(
            "ready again after missing 100,000 writes",
            "s",
            back.as_secs_f64(),
            30.0,
        ),
        row(
            "idle cluster, processor of each node",
            "%",
            (after.0 - before.0) / seconds / 3.0 * 100.0,
            1.0,
        ),
        // Each of three nodes talks to two others.
        row(
            "idle cluster, bytes of each node and peer",
            "B/s",
            (after.1 - before.1) / seconds / 6.0,
            2000.0,
        ),
    ]
}

/// User and system time of some processes.
pub(crate) fn processor_seconds(pids: &[u32]) -> f64 {
    let ticks: f64 = pids
        .iter()
        .map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields: Vec<_> = stat
                .rsplit(')')
                .next()
                .unwrap()
                .split_whitespace()
                .collect();
            fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
        })
        .sum();
    // USER_HZ is 100 on every Linux that matters.
    ticks / 100.0
}

/// The bytes that loopback has sent so far.
fn loopback_bytes() -> f64 {
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))
        .unwrap();
    line.split_whitespace().nth(8).unwrap().parse().unwrap()
}
