//! Guesses of a user key whose holder is at work, by every route that reads one, each from an address of its own.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Attack,
    honest::{ENTRY, USER_KEY},
    http::{Answer, attacker, connect, exchange, head},
    node::Node,
    report::{Caller, Figures, Learned},
    scene::{Scale, Scene, Spoils},
};

/// How many guesses an address has in a minute, wherever that minute begins.
const A_MINUTE: usize = 30;
const MINUTE: Duration = Duration::from_mins(1);
/// Pairs of a right and a wrong key by which a route's answers, times and figures are compared.
const PAIRS: usize = 5;

pub(crate) const ATTACKS: &[Attack] = &[Attack {
    name: "guessed user keys, by eleven routes",
    caller: Caller::ApiKey,
    run: |scale| guess(scale).boxed(),
}];

/// One way to try a key by a route.
struct Route {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    /// The body of the try with this number.
    body: Option<fn(usize) -> String>,
    /// Whether the owner's own key would change the entry: then only wrong keys are sent.
    harmful: bool,
}

const fn reading(name: &'static str, path: &'static str) -> Route {
    Route {
        name,
        method: "GET",
        path,
        body: None,
        harmful: false,
    }
}

const ROUTES: &[Route] = &[
    reading("read", "/configs/honest"),
    reading("list", "/configs"),
    reading("list of names", "/configs?keys_only=true"),
    reading("empty list", "/configs?category=nothing-is-in-it"),
    reading("conflicts", "/cluster/conflicts"),
    Route {
        name: "update",
        method: "PUT",
        path: "/configs/honest",
        body: Some(|_| json!({"value": {"port": 1}}).to_string()),
        harmful: true,
    },
    Route {
        name: "delete",
        method: "DELETE",
        path: "/configs/honest",
        body: None,
        harmful: true,
    },
    Route {
        name: "create of a taken name",
        method: "POST",
        path: "/configs",
        body: Some(|_| json!({"key": ENTRY, "value": 1}).to_string()),
        harmful: false,
    },
    Route {
        name: "create of a free name",
        method: "POST",
        path: "/configs",
        body: Some(|number| json!({"key": format!("free-{number}"), "value": 1}).to_string()),
        // The write does no harm, but the holder of the right key sees the entry that it makes.
        harmful: true,
    },
    Route {
        name: "batch over a thousand names",
        method: "POST",
        path: "/configs/batch",
        body: Some(|number| {
            let rows = (1..1_000).map(|row| format!("free-{number}-{row}"));
            let rows = std::iter::once(ENTRY.to_owned()).chain(rows);
            let rows = rows.map(|key| json!({"op": "update", "key": key, "value": {"port": 1}}));
            rows.collect::<serde_json::Value>().to_string()
        }),
        harmful: true,
    },
    Route {
        name: "batch of a taken name",
        method: "POST",
        path: "/configs/batch",
        body: Some(|_| json!([{"op": "create", "key": ENTRY, "value": 1}]).to_string()),
        harmful: false,
    },
];

impl Route {
    fn request(&self, user_key: &str, number: usize) -> String {
        let body = self.body.map(|body| body(number)).unwrap_or_default();
        let length = format!("Content-Length: {}\r\n", body.len());
        head(self.method, self.path, user_key, &length) + &body
    }
}

/// What one try shows the guesser.
struct Shown {
    answer: (u16, Vec<u8>),
    took: Duration,
    figures: BTreeMap<String, f64>,
}

/// The public figures of keys.
async fn figures(node: &Node) -> BTreeMap<String, f64> {
    let text = reqwest::get(format!("{}/metrics", node.url)).await.unwrap();
    let text = text.text().await.unwrap();
    let lines = text.lines().filter(|line| {
        !line.starts_with('#')
            && ["key", "cache", "deriv", "auth"]
                .iter()
                .any(|part| line.contains(part))
            && !["_bucket", "_sum", "_count"]
                .iter()
                .any(|part| line.contains(part))
    });
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

async fn show(node: &Node, route: &Route, key: &str, from: usize) -> Shown {
    let before = figures(node).await;
    let mut connection = connect(node.address, attacker(from)).await.unwrap();
    let began = Instant::now();
    let answer = exchange(&mut connection, route.request(key, from).as_bytes()).await;
    let Answer { status, body, .. } = answer.unwrap();
    let took = began.elapsed();
    // Figures that are counted after the answer.
    sleep(Duration::from_millis(20)).await;
    let mut after = figures(node).await;
    for (name, value) in &mut after {
        *value -= before.get(name).copied().unwrap_or_default();
    }
    Shown {
        answer: (status, body),
        took,
        figures: after,
    }
}

/// How the route tells the right key from a wrong one while the right key is in the cache.
async fn told_by(scale: Scale, node: &Node, route: &Route, first: usize) -> Option<&'static str> {
    if route.harmful {
        return Some("status");
    }
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let wrong_key = format!("a wrong key, {} {pair}", route.name);
        wrong.push(show(node, route, &wrong_key, first + 2 * pair).await);
        right.push(show(node, route, USER_KEY, first + 2 * pair + 1).await);
    }
    let mut pairs = right.iter().zip(&wrong);
    if pairs.all(|(right, wrong)| right.answer != wrong.answer) {
        return Some("answer");
    }
    let mut pairs = right.iter().zip(&wrong);
    if pairs.all(|(right, wrong)| right.figures != wrong.figures) {
        return Some("public figures");
    }
    // A short run shares the machine with other work: its times tell no keys apart.
    if scale == Scale::Short {
        return None;
    }
    let median = |shown: &[Shown]| {
        let mut times: Vec<_> = shown.iter().map(|shown| shown.took).collect();
        times.sort();
        times[PAIRS / 2]
    };
    let (right, wrong) = (median(&right), median(&wrong));
    let (less, more) = (right.min(wrong), right.max(wrong));
    (more > less * 3 && more > less + Duration::from_millis(10)).then_some("time")
}

/// A guess that the node tried and did not put off: when it was sent, and when the answer was there.
type Tried = (Instant, Instant);

/// The most guesses that lie within one minute as a whole, wherever it begins.
fn most_in_a_minute(tried: &[Tried]) -> usize {
    let within = |from: Instant| {
        let within = |(sent, answered): &&Tried| *sent >= from && *answered < from + MINUTE;
        tried.iter().filter(within).count()
    };
    tried
        .iter()
        .map(|(sent, _)| within(*sent))
        .max()
        .unwrap_or_default()
}

/// Tries keys until the end; gives those that the node tried and did not put off.
async fn tries(
    to: std::net::SocketAddr,
    route: &'static Route,
    from: usize,
    end: Instant,
) -> Vec<Tried> {
    let guessers = (0..4).map(|guesser| {
        tokio::spawn(async move {
            let (mut tried, mut number) = (Vec::new(), 0);
            let mut connection = connect(to, attacker(from)).await.unwrap();
            while Instant::now() < end {
                number += 1;
                let key = format!("guess {number} of {guesser} by {}", route.name);
                let request = route.request(&key, number * 4 + guesser);
                let sent = Instant::now();
                match exchange(&mut connection, request.as_bytes()).await {
                    Ok(answer) if matches!(answer.status, 429 | 503) => {
                        sleep(Duration::from_millis(100)).await;
                    }
                    Ok(_) => tried.push((sent, Instant::now())),
                    Err(_) => connection = connect(to, attacker(from)).await.unwrap(),
                }
            }
            tried
        })
    });
    let tried = futures::future::join_all(guessers).await;
    tried.into_iter().flat_map(Result::unwrap).collect()
}

async fn guess(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    let mut oracles = Vec::new();
    for (number, route) in ROUTES.iter().enumerate() {
        oracles.push(told_by(scale, &scene.node, route, 100 + 20 * number).await);
    }
    scene
        .measure(async move {
            // Where the limit is whole again after a minute, the border between two minutes is seen.
            let seconds = scale.of(10, 75);
            let end = Instant::now() + Duration::from_secs(seconds);
            let tried = ROUTES
                .iter()
                .enumerate()
                .map(|(from, route)| tries(to, route, from, end));
            let tried = futures::future::join_all(tried).await;
            let mut most = 0;
            let mut notes = Vec::new();
            for ((route, tried), oracle) in ROUTES.iter().zip(&tried).zip(&oracles) {
                let in_a_minute = most_in_a_minute(tried);
                if oracle.is_some() {
                    most = most.max(in_a_minute);
                }
                let oracle = oracle.map_or("not told".to_owned(), |by| format!("told by {by}"));
                notes.push(format!("{} {in_a_minute} ({oracle})", route.name));
            }
            Spoils {
                learned: Some(Learned {
                    count: most,
                    bound: A_MINUTE,
                }),
                note: format!("the most in a minute of {seconds} s: {}", notes.join(", ")),
                ..Spoils::default()
            }
        })
        .await
}
