//! Clients that write, delete and read at random nodes, and record the answers.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Answer, Api},
    record::{Change, Outcome, Record, WrongRead},
};

const CLIENTS: u64 = 6;
/// Entries of its own that a client keeps alive.
const OWN: usize = 60;
/// Entries that all clients write.
const SHARED: u64 = 20;

/// All clients of a cluster; they can pause and go on, and know their own writes.
pub(crate) struct Workload(Vec<Client>);

/// Clients at work.
pub(crate) struct Running {
    clients: JoinSet<Client>,
    stop: CancellationToken,
}

impl Workload {
    pub(crate) fn new(apis: &[Api], record: &Arc<Record>, seed: u64) -> Self {
        let values = Arc::new(AtomicU64::new(1));
        let client = |number| Client {
            name: number,
            apis: apis.to_vec(),
            record: Arc::clone(record),
            random: StdRng::seed_from_u64(seed * CLIENTS + number),
            values: Arc::clone(&values),
            own: VecDeque::new(),
        };
        Self((0..CLIENTS).map(client).collect())
    }

    pub(crate) fn start(self) -> Running {
        let (mut clients, stop) = (JoinSet::new(), CancellationToken::new());
        for client in self.0 {
            clients.spawn(client.run(stop.clone()));
        }
        Running { clients, stop }
    }
}

impl Running {
    /// Waits until the last request is answered.
    pub(crate) async fn stop(self) -> Workload {
        self.stop.cancel();
        Workload(self.clients.join_all().await)
    }
}

struct Client {
    name: u64,
    apis: Vec<Api>,
    record: Arc<Record>,
    random: StdRng,
    values: Arc<AtomicU64>,
    /// Entries that no other client writes, with their versions.
    own: VecDeque<(String, String)>,
}

impl Client {
    async fn run(mut self, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            match self.random.random_range(0..100) {
                0..45 => self.create().await,
                45..60 => self.update_own().await,
                60..70 => self.put_shared().await,
                70..74 => self.delete_shared().await,
                74..84 => self.read_own().await,
                _ if self.own.len() > OWN => self.delete_own().await,
                _ => {}
            }
            let pause = self.random.random_range(0..20);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self
    }

    fn node(&mut self) -> usize {
        self.random.random_range(0..self.apis.len())
    }

    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    async fn create(&mut self) {
        let value = self.value();
        let key = format!("own-{}-{value}", self.name);
        let body = json!({"key": key, "value": value});
        let (node, change) = (self.node(), Change::Put(value));
        let request = self.apis[node].request(Method::POST, "/configs");
        let request = request.map(|request| request.json(&body));
        if let Some(version) = self.write(node, &key, change, request).await {
            self.own.push_back((key, version));
        }
    }

    async fn update_own(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.own.len());
        let (key, version) = self.own[index].clone();
        let (node, value) = (self.node(), self.value());
        let request = self.apis[node].request(Method::PUT, &format!("/configs/{key}?upsert=true"));
        let request = request.map(|request| {
            request
                .header("X-OSC-Version", version)
                .json(&json!({"value": value}))
        });
        if let Some(version) = self.write(node, &key, Change::Put(value), request).await {
            self.own[index].1 = version;
        }
    }

    async fn delete_own(&mut self) {
        let Some((key, version)) = self.own.pop_front() else {
            return;
        };
        let node = self.node();
        let request = self.apis[node].request(Method::DELETE, &format!("/configs/{key}"));
        let request = request.map(|request| request.header("X-OSC-Version", version));
        self.write(node, &key, Change::Delete, request).await;
    }

    async fn put_shared(&mut self) {
        let key = format!("shared-{}", self.random.random_range(0..SHARED));
        let (node, value) = (self.node(), self.value());
        let request = self.apis[node].request(Method::PUT, &format!("/configs/{key}?upsert=true"));
        let request = request.map(|request| request.json(&json!({"value": value})));
        self.write(node, &key, Change::Put(value), request).await;
    }

    async fn delete_shared(&mut self) {
        let key = format!("shared-{}", self.random.random_range(0..SHARED));
        let node = self.node();
        let request = self.apis[node].request(Method::DELETE, &format!("/configs/{key}"));
        self.write(node, &key, Change::Delete, request).await;
    }

    /// Sends a write and records it; gives the version if the node acknowledged it.
    async fn write(
        &mut self,
        node: usize,
        key: &str,
        change: Change,
        request: Option<RequestBuilder>,
    ) -> Option<String> {
        let request = request?;
        let request = match self.random.random_range(0..10) {
            0 => request.header("X-OSC-Ack", "all"),
            1..4 => request.header("X-OSC-Ack", "local"),
            _ => request,
        };
        let operation = self.record.begin(node, key, change);
        let outcome = match Api::send(Some(request)).await {
            Some(answer) => outcome(&answer),
            None => Outcome::Unknown,
        };
        self.record.end(operation, outcome.clone());
        match outcome {
            Outcome::Acknowledged { version, .. } => Some(version),
            Outcome::Unknown | Outcome::Refused => None,
        }
    }

    /// Reads one of the client's entries at any node, which must know the version or answer that it is behind.
    async fn read_own(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.own.len());
        let (key, version) = self.own[index].clone();
        let node = self.node();
        let request = self.apis[node].request(Method::GET, &format!("/configs/{key}"));
        let request = request.map(|request| request.header("X-OSC-Min-Version", &version));
        let Some(answer) = Api::send(request).await else {
            return;
        };
        let right = match answer.status {
            200 => answer.version() >= version || answer.header("x-osc-version-lost").is_some(),
            status => status == 503,
        };
        let wrong = (!right).then(|| WrongRead {
            what: format!("{key} at n{node} since {version}: {answer:?}"),
            named: version,
        });
        self.record.read(wrong);
    }
}

fn outcome(answer: &Answer) -> Outcome {
    match answer.status {
        200..=202 => Outcome::Acknowledged {
            version: answer.version(),
            held: answer
                .header("x-osc-acked")
                .and_then(|acked| acked.split_once('/')?.0.parse().ok())
                .unwrap_or(1),
        },
        400..=499 | 507 => Outcome::Refused,
        // A node that is not ready refuses a request before it does anything.
        503 if answer.header("retry-after").is_some() => Outcome::Refused,
        _ => Outcome::Unknown,
    }
}
