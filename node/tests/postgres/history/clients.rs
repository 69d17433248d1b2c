//! Clients that read and write the same few entries through all nodes, and record their operations.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    model::{Call, Number, Outcome},
    record::{ENTRIES, History},
};
use crate::world::{Answer, Caller};

const CLIENTS: u64 = 12;
/// How long a client waits after an answer without information on the entry.
const AGAIN: Duration = Duration::from_millis(20);

/// The nodes that clients may ask.
pub(super) type Nodes = Arc<Mutex<Vec<Caller>>>;

/// Clients at work.
pub(super) struct Clients {
    tasks: JoinSet<()>,
    stopped: Arc<AtomicBool>,
}

impl Clients {
    /// Starts the clients. The same seed leads to the same operations.
    pub(super) fn start(nodes: &Nodes, history: &Arc<History>, seed: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let tasks = (0..CLIENTS).map(|number| {
            let client = Client {
                nodes: Arc::clone(nodes),
                history: Arc::clone(history),
                random: StdRng::seed_from_u64(seed.wrapping_mul(CLIENTS).wrapping_add(number)),
                seen: HashMap::new(),
            };
            client.work(Arc::clone(&stopped))
        });
        Self {
            tasks: tasks.collect(),
            stopped,
        }
    }

    /// Stops the clients once each has finished its operation.
    pub(super) async fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// Reads every entry through every node.
pub(super) async fn read_all(nodes: &Nodes, history: &Arc<History>) {
    let nodes = nodes.lock().unwrap().clone();
    for node in nodes {
        for entry in 0..ENTRIES {
            let began = history.now();
            let read = node.until(&path(entry), &[200, 404]).await;
            let (outcome, _) = met(Call::Read, &read, history).unwrap();
            history.end(entry, began, Call::Read, outcome);
        }
    }
}

struct Client {
    nodes: Nodes,
    history: Arc<History>,
    random: StdRng,
    /// The last write that the client saw of each entry, and its tag.
    seen: HashMap<usize, Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    number: Number,
    tag: String,
}

impl Client {
    async fn work(mut self, stopped: Arc<AtomicBool>) {
        while !stopped.load(Ordering::Relaxed) {
            if !self.ask().await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Sends one operation; gives whether its outcome is known.
    async fn ask(&mut self) -> bool {
        let entry = self.random.random_range(0..ENTRIES);
        let call = self.choose(entry);
        let node = {
            let nodes = self.nodes.lock().unwrap();
            let number = self.random.random_range(0..nodes.len());
            nodes.get(number).unwrap().clone()
        };
        let tag = self.seen.get(&entry).map(|seen| seen.tag.clone());
        let began = self.history.now();
        let answer = send(&node, entry, call, tag.as_deref()).await;
        let met = match &answer {
            Ok(answer) => met(call, answer, &self.history),
            // The node went away with it.
            Err(_) if call == Call::Read => None,
            Err(_) => Some((Outcome::Unknown, None)),
        };
        let Some((outcome, seen)) = met else {
            return false;
        };
        self.history.end(entry, began, call, outcome);
        if let Some(seen) = seen {
            self.seen.insert(entry, seen);
        }
        outcome != Outcome::Unknown
    }

    fn choose(&mut self, entry: usize) -> Call {
        let number = self.history.new_number();
        let seen = self.seen.get(&entry).map(|seen| seen.number);
        match (self.random.random_range(0..100), seen) {
            (..40, _) => Call::Read,
            (40..55, _) => Call::Create(number),
            (70..85, Some(seen)) => Call::PutOver { seen, number },
            (85..92, Some(seen)) => Call::DeleteOver { seen },
            (85.., _) => Call::Delete,
            _ => Call::Put(number),
        }
    }
}

fn key(entry: usize) -> String {
    format!("entry-{entry}")
}

fn path(entry: usize) -> String {
    format!("/configs/{}", key(entry))
}

async fn send(
    node: &Caller,
    entry: usize,
    call: Call,
    tag: Option<&str>,
) -> Result<Answer, reqwest::Error> {
    let path = path(entry);
    let over = tag.map(|tag| ("If-Match", tag));
    let over = over.as_slice();
    let value = |number: Number| Some(json!({ "value": number }));
    match call {
        Call::Create(number) => {
            let body = json!({ "key": key(entry), "value": number });
            node.call(Method::POST, "/configs", &[], Some(body)).await
        }
        Call::Put(number) => node.call(Method::PUT, &path, &[], value(number)).await,
        Call::PutOver { number, .. } => node.call(Method::PUT, &path, over, value(number)).await,
        Call::Delete => node.call(Method::DELETE, &path, &[], None).await,
        Call::DeleteOver { .. } => node.call(Method::DELETE, &path, over, None).await,
        Call::Read | Call::Promotion => node.call(Method::GET, &path, &[], None).await,
    }
}

/// The outcome of an answer, and the write that it shows; `None` where the node did nothing.
fn met(call: Call, answer: &Answer, history: &History) -> Option<(Outcome, Option<Seen>)> {
    let seen = |number: Number| {
        let tag = answer.header("etag").unwrap().to_owned();
        history.names(answer.header("x-osc-version").unwrap(), number);
        Some(Seen { number, tag })
    };
    let outcome = match (call, answer.status.as_u16()) {
        (Call::Read, 200) => {
            let shown = answer.json();
            let number = shown.get("value").and_then(serde_json::Value::as_u64);
            return Some((Outcome::Shown(number), seen(number.unwrap())));
        }
        (Call::Create(number), 201) | (Call::Put(number) | Call::PutOver { number, .. }, 200) => {
            return Some((Outcome::Done, seen(number)));
        }
        (Call::Delete | Call::DeleteOver { .. }, 200) => {
            history.names(
                answer.header("x-osc-version").unwrap(),
                history.new_number(),
            );
            Outcome::Done
        }
        (Call::Read, 404) => Outcome::Shown(None),
        (Call::Create(_), 400) => Outcome::Exists,
        (_, 404) => Outcome::Missing,
        (Call::PutOver { .. } | Call::DeleteOver { .. }, 412) => Outcome::OtherVersion,
        (_, 503) if answer.header("x-osc-outcome") == Some("unknown") => Outcome::Unknown,
        // Other clients change the entry, or the database is away: the node wrote nothing.
        (_, 409 | 503) => return None,
        _ => panic!("{call:?}: {answer:?}"),
    };
    Some((outcome, None))
}
