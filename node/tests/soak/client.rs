//! A client that remembers the answers, and compares later ones with them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};

/// Entries of one client: a fixed number, so that the store does not grow.
const NAMES: usize = 200;
const USER_KEY: &str = "correct-horse-battery";

/// The sums of all clients' observations.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) written: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) compared: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// The values that an entry may have: the last acknowledged one, and the one that the client sent when the node was killed.
#[derive(Debug, Clone, Default)]
struct Known {
    acknowledged: Option<u64>,
    unanswered: Vec<Option<u64>>,
}

pub(crate) struct Client {
    number: usize,
    http: reqwest::Client,
    addresses: watch::Receiver<Option<String>>,
    counts: Arc<Counts>,
    known: Vec<Known>,
    random: u64,
}

impl Client {
    pub(crate) fn new(
        number: usize,
        addresses: watch::Receiver<Option<String>>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            number,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            addresses,
            counts,
            known: vec![Known::default(); NAMES],
            random: 0x9E37_79B9_7F4A_7C15 ^ (number as u64 + 1),
        }
    }

    /// Writes, reads and deletes until the end, then checks all entries once more.
    pub(crate) async fn run(mut self, end: Instant) {
        while Instant::now() < end {
            let name = usize::try_from(self.next() % NAMES as u64).unwrap();
            match self.next() % 10 {
                0..4 => self.put(name).await,
                4 => self.delete(name).await,
                5 => self.list().await,
                _ => self.compare(name).await,
            };
        }
        for name in 0..NAMES {
            while !self.compare(name).await {}
            self.counts.compared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// xorshift64: the same on every run.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn path(&self, name: usize) -> String {
        format!("/configs/c{}-{name}", self.number)
    }

    /// The status and body of an answer; `None` when the node went away.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let url = self.addresses.borrow().clone();
        let Some(url) = url else {
            sleep(Duration::from_millis(20)).await;
            return None;
        };
        let request = self
            .http
            .request(method, format!("{url}{path}"))
            .header("X-User-Key", USER_KEY);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    async fn put(&mut self, name: usize) -> bool {
        let value = self.next() >> 12;
        let body = json!({"value": {"serial": value, "text": "x".repeat(100)}});
        let path = format!("{}?upsert=true", self.path(name));
        self.known[name].unanswered.push(Some(value));
        let answer = self.call(Method::PUT, &path, Some(body)).await;
        self.settle(name, Some(value), answer, &[200, 201])
    }

    async fn delete(&mut self, name: usize) -> bool {
        self.known[name].unanswered.push(None);
        let answer = self.call(Method::DELETE, &self.path(name), None).await;
        self.settle(name, None, answer, &[200, 404])
    }

    /// Records the result of an answered write; an unanswered one may have happened or not.
    fn settle(
        &mut self,
        name: usize,
        wanted: Option<u64>,
        answer: Option<(u16, Value)>,
        done: &[u16],
    ) -> bool {
        let known = &mut self.known[name];
        match answer {
            Some((status, _)) if done.contains(&status) => {
                known.acknowledged = wanted;
                known.unanswered.clear();
                self.counts.written.fetch_add(1, Ordering::Relaxed);
                true
            }
            Some((status, body)) => {
                assert!(matches!(status, 503 | 507), "{status} {body}");
                known.unanswered.pop();
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
            None => false,
        }
    }

    async fn compare(&mut self, name: usize) -> bool {
        let answer = self.call(Method::GET, &self.path(name), None).await;
        let found = match answer {
            None => return false,
            Some((200, body)) => Some(body["value"]["serial"].as_u64().unwrap()),
            Some((404, _)) => None,
            Some((503, _)) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            Some((status, body)) => panic!("{status} {body}"),
        };
        let known = &mut self.known[name];
        if found != known.acknowledged && !known.unanswered.contains(&found) {
            println!(
                "{name} of client {}: {found:?} instead of {known:?}",
                self.number
            );
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        *known = Known {
            acknowledged: found,
            unanswered: Vec::new(),
        };
        self.counts.read.fetch_add(1, Ordering::Relaxed);
        true
    }

    async fn list(&mut self) -> bool {
        let answer = self.call(Method::GET, "/configs?limit=100", None).await;
        let Some((200, body)) = answer else {
            return false;
        };
        assert!(body.as_array().unwrap().len() <= 100);
        self.counts.read.fetch_add(1, Ordering::Relaxed);
        true
    }
}
