//! A node, an honest client, and an attack on the node while the client works.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    honest::{ENTRY, Honest, USER_KEY},
    memory_limit::POD_BYTES,
    node::{API_KEY, Node},
    report::{Figures, Learned},
};

/// How long an attack lasts and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A part of `make test`.
    Short,
    /// `make attack`.
    Full,
}

impl Scale {
    pub(crate) fn of<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }

    /// How long attacks last that have no time of their own.
    pub(crate) fn lasts(self) -> Duration {
        Duration::from_secs(self.of(4, 15))
    }
}

/// Time between two samples of the node's memory.
const SAMPLE: Duration = Duration::from_millis(20);

/// What an attacker reports.
#[derive(Debug, Default)]
pub(crate) struct Spoils {
    pub(crate) learned: Option<Learned>,
    pub(crate) note: String,
    pub(crate) fault: Option<String>,
    /// Whether the attack is one on the honest client's time: then that is bounded in a short run too, on a machine with other work.
    pub(crate) starves: bool,
}

impl Spoils {
    pub(crate) fn note(note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..Self::default()
        }
    }
}

pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) scale: Scale,
}

impl Scene {
    /// A node with the entry of the honest client.
    pub(crate) async fn start(scale: Scale, more: &[(&str, &str)]) -> Self {
        Self::start_after(scale, more, |_| {}).await
    }

    /// The same, for a node that needs a preparation before it serves entries.
    pub(crate) async fn start_after(
        scale: Scale,
        more: &[(&str, &str)],
        prepare: impl FnOnce(&Node),
    ) -> Self {
        let node = Node::start(POD_BYTES, more).await;
        prepare(&node);
        Self::with(scale, node).await
    }

    /// The same in a pod with other memory than the usual.
    pub(crate) async fn start_in_pod(scale: Scale, bytes: u64) -> Self {
        Self::with(scale, Node::start(bytes, &[]).await).await
    }

    async fn with(scale: Scale, node: Node) -> Self {
        let scene = Self { node, scale };
        scene.ready().await;
        scene.create(ENTRY, &json!({"port": 5432})).await;
        // A key proves itself only by entries that are older than its place in the cache.
        let scene = Self {
            node: scene.node.restart_after(|_| {}).await,
            scale,
        };
        scene.ready().await;
        let read = call(&scene.node.url, Method::GET, &format!("/configs/{ENTRY}")).await;
        assert_eq!(read, StatusCode::OK);
        scene
    }

    /// Waits until the node serves reads.
    pub(crate) async fn ready(&self) {
        let ready = async {
            while call(&self.node.url, Method::GET, "/ready").await != StatusCode::OK {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_mins(1), ready).await.unwrap();
    }

    /// Creates an entry of the honest client.
    pub(crate) async fn create(&self, key: &str, value: &Value) {
        let created = create(&Client::new(), &self.node.url, key, value).await;
        assert_eq!(created, StatusCode::CREATED, "{key}");
    }

    /// Creates many small entries of the honest client.
    pub(crate) async fn fill(&self, count: usize) {
        let client = Client::builder().no_proxy().build().unwrap();
        let mut workers = JoinSet::new();
        for worker in 0..64 {
            let (client, url) = (client.clone(), self.node.url.clone());
            workers.spawn(async move {
                for number in (worker..count).step_by(64) {
                    let (key, value) = (format!("entry-{number}"), json!(number));
                    let created = create(&client, &url, &key, &value).await;
                    assert_eq!(created, StatusCode::CREATED);
                }
            });
        }
        workers.join_all().await;
    }

    /// Measures the honest client alone, then beside the attack, and the node's memory meanwhile.
    pub(crate) async fn measure(mut self, attack: impl Future<Output = Spoils>) -> Figures {
        let honest = Honest::start(&self.node.url);
        sleep(Duration::from_millis(500)).await;
        honest.take();
        sleep(
            self.scale
                .of(Duration::from_secs(1), Duration::from_secs(4)),
        )
        .await;
        let before = honest.take();
        self.node.forget_peak();
        let began = Instant::now();
        let (mut peak, mut ended) = (0.0_f64, None);
        let watch = async {
            let mut ticks = interval(SAMPLE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Some(resident) = self.node.resident() {
                    peak = peak.max(resident.most());
                }
                if !self.node.runs() {
                    break;
                }
            }
        };
        let spoils = tokio::select! {
            spoils = attack => spoils,
            () = watch => {
                ended = Some(began.elapsed());
                Spoils::default()
            }
        };
        // A node that has ended answers no more, so the honest client's open requests fail at once.
        let under = tokio::task::spawn_blocking(|| honest.finish())
            .await
            .unwrap();
        let resident = self.node.resident();
        if let Some(resident) = resident {
            peak = peak.max(resident.most());
        }
        let mut note = spoils.note;
        if !self.node.is_limited() {
            note += " (no memory limit can be set here)";
        }
        let sampled = resident.is_some_and(|resident| resident.peak.is_none());
        if sampled {
            note += " (memory as seen every 20 ms, 256 MiB allowed)";
        }
        Figures {
            peak: Some(peak),
            sampled,
            ended,
            before: Some(before),
            under: Some(under),
            learned: spoils.learned,
            starves: spoils.starves,
            note,
            // Memory that cannot be read would keep any bound.
            fault: spoils
                .fault
                .or_else(|| (peak <= 0.0).then(|| "its memory could not be read".to_owned())),
        }
    }
}

async fn create(client: &Client, url: &str, key: &str, value: &Value) -> StatusCode {
    let request = client
        .post(format!("{url}/configs"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY)
        .json(&json!({"key": key, "value": value}));
    request.send().await.unwrap().status()
}

async fn call(url: &str, method: Method, path: &str) -> StatusCode {
    let request = Client::new()
        .request(method, format!("{url}{path}"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    request.send().await.unwrap().status()
}
