//! What any caller may ask for without a key: metrics, the state of a node, and refusals of the routes of nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use opensecureconf_node::api::routes;
use reqwest::Method;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Attack,
    http::{attacker, client, connect, exchange},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
    unread_answers::{FEW_STREAMS, http_2_at},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "metrics of every method and route, unread, 16 connections",
        caller: Caller::Network,
        run: |scale| every_series(scale).boxed(),
    },
    Attack {
        name: "metrics read by 64",
        caller: Caller::Network,
        run: |scale| read(scale, &["/metrics"]).boxed(),
    },
    Attack {
        name: "/ready and /health on the one port by 64",
        caller: Caller::Network,
        run: |scale| read(scale, &["/ready", "/health"]).boxed(),
    },
    Attack {
        name: "refusals of /cluster/v1 unread, HTTP/2",
        caller: Caller::Network,
        run: |scale| refused(scale).boxed(),
    },
];

/// Callers that read at the same time.
const READERS: usize = 64;
/// The longest time for an honest probe.
const PROBE: Duration = Duration::from_secs(1);

/// Makes the page as long as a caller can, and takes nothing of it.
async fn every_series(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let callers = client(0);
    for (_, path) in routes() {
        let path = path.replace("{key}", "k").replace("{file}", "f");
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MINE",
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = callers.request(method, format!("{}{path}", scene.node.url));
            // The node counts it, whatever becomes of the answer.
            let _ = request.send().await;
        }
    }
    let page = callers.get(format!("{}/metrics", scene.node.url)).send();
    let length = page.await.unwrap().bytes().await.unwrap().len();
    let figures = http_2_at(scene, 16, FEW_STREAMS, "/metrics").await;
    Figures {
        note: format!("a page has {} KiB, {}", length >> 10, figures.note),
        ..figures
    }
}

/// Reads these, on connections that stay, as fast as the node answers, with an honest probe beside it.
async fn read(scale: Scale, paths: &'static [&'static str]) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let (to, url) = (scene.node.address, scene.node.url.clone());
    scene
        .measure(async move {
            let (end, done) = (
                Instant::now() + scale.lasts(),
                Arc::<AtomicUsize>::default(),
            );
            let readers = (0..READERS).map(|number| {
                let done = Arc::clone(&done);
                tokio::spawn(async move {
                    while Instant::now() < end {
                        let Ok(mut connection) = connect(to, attacker(number % 4)).await else {
                            continue;
                        };
                        for path in paths.iter().cycle() {
                            let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
                            let answer = exchange(&mut connection, request.as_bytes()).await;
                            if Instant::now() >= end || !answer.is_ok_and(|answer| !answer.closes) {
                                break;
                            }
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            });
            let readers: Vec<_> = readers.collect();
            let slowest = slowest_probe(&url, end).await;
            futures::future::join_all(readers).await;
            let fault = (scale == Scale::Full && slowest > PROBE)
                .then(|| format!("an honest /ready took {slowest:?}"));
            Spoils {
                fault,
                ..Spoils::note(format!(
                    "{} read, the slowest honest /ready {} ms",
                    done.load(Ordering::Relaxed),
                    slowest.as_millis()
                ))
            }
        })
        .await
}

/// Asks as a kubelet does, on a new connection each time, until this moment.
async fn slowest_probe(url: &str, end: Instant) -> Duration {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        let began = Instant::now();
        let answer = client.get(format!("{url}/ready")).send();
        let answer = timeout(Duration::from_secs(10), answer).await;
        let took = match answer {
            Ok(Ok(answer)) if answer.status().is_success() => began.elapsed(),
            _ => Duration::from_secs(10),
        };
        slowest = slowest.max(took);
        sleep(Duration::from_millis(200)).await;
    }
    slowest
}

/// A node without a cluster key, whose routes for nodes are refused.
async fn refused(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    http_2_at(scene, 16, FEW_STREAMS, "/cluster/v1/exchange").await
}
