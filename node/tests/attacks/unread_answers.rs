//! Answers that clients ask for and never read: how much the node holds for them, and for how long.

use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use tokio::{io::AsyncWriteExt, time::sleep};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{Http2, attacker, connect_narrow, head},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

const ASSET: &str = "/docs/swagger-ui-bundle.js";
/// More than a node allows: it ends connections that ask for so many at once.
const STREAMS: usize = 256;
/// Fewer than a node allows: only the rules of answers end such a connection.
pub(crate) const FEW_STREAMS: usize = 24;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "unread assets, HTTP/2 window 0, 1 connection",
        caller: Caller::Network,
        run: |scale| http_2(scale, 1, ASSET).boxed(),
    },
    Attack {
        name: "unread assets, HTTP/2 window 0, 8 connections",
        caller: Caller::Network,
        run: |scale| http_2(scale, 8, ASSET).boxed(),
    },
    Attack {
        name: "unread values of 1 MiB, HTTP/2 window 0, 1 connection",
        caller: Caller::ApiKey,
        run: |scale| http_2(scale, 1, "/configs/large").boxed(),
    },
    Attack {
        name: "unread values of 1 MiB, HTTP/2 window 0, 8 connections",
        caller: Caller::ApiKey,
        run: |scale| http_2(scale, 8, "/configs/large").boxed(),
    },
    Attack {
        name: "unread assets, 600 connections of HTTP/1.1",
        caller: Caller::Network,
        run: |scale| async move { http_1(scene(scale).await, ASSET).await }.boxed(),
    },
    Attack {
        name: "unread values of 1 MiB, 600 connections of HTTP/1.1",
        caller: Caller::ApiKey,
        run: |scale| async move { http_1(scene(scale).await, "/configs/large").await }.boxed(),
    },
];

async fn scene(scale: Scale) -> Scene {
    let scene = Scene::start(scale, &[]).await;
    scene.create("large", &json!("x".repeat(1_000_000))).await;
    scene
}

async fn http_2(scale: Scale, connections: usize, path: &'static str) -> Figures {
    http_2_at(scene(scale).await, connections, STREAMS, path).await
}

/// Connections from two addresses; each sends so many requests, or as many as the node allows.
pub(crate) async fn http_2_at(
    scene: Scene,
    connections: usize,
    streams: usize,
    path: &'static str,
) -> Figures {
    let (to, scale) = (scene.node.address, scene.scale);
    scene
        .measure(async move {
            let mut attackers = Vec::new();
            for number in 0..connections {
                attackers.push(tokio::spawn(async move {
                    let mut connection = Http2::connect(to, attacker(number % 2), 0).await.ok()?;
                    let mut answers = Vec::new();
                    while answers.len() < streams
                        && let Some(answer) = connection.get(path, USER_KEY).await
                    {
                        answers.push(answer);
                    }
                    Some((connection, answers))
                }));
            }
            let held = futures::future::join_all(attackers).await;
            // Longer than an unread answer may stay in the whole form.
            sleep(Duration::from_secs(scale.of(4, 30))).await;
            let held: Vec<_> = held.into_iter().filter_map(|held| held.unwrap()).collect();
            let asked: usize = held.iter().map(|(_, answers)| answers.len()).sum();
            let open = held.iter().filter(|(held, _)| held.is_open()).count();
            Spoils {
                // Nothing of the answers was taken for three times as long as is allowed.
                fault: (scale == Scale::Full && open > 0)
                    .then(|| format!("{open} connections are open")),
                ..Spoils::note(format!("{asked} asked for, {open} connections left"))
            }
        })
        .await
}

/// Connections from four addresses, each with one unread answer.
pub(crate) async fn http_1(scene: Scene, path: &'static str) -> Figures {
    let (to, scale) = (scene.node.address, scene.scale);
    scene
        .measure(async move {
            let mut held = Vec::new();
            for number in 0..600 {
                let Ok(mut connection) = connect_narrow(to, attacker(number % 4)).await else {
                    continue;
                };
                let request = head("GET", path, USER_KEY, "");
                if connection.write_all(request.as_bytes()).await.is_ok() {
                    held.push(connection);
                }
            }
            sleep(Duration::from_secs(scale.of(4, 30))).await;
            Spoils::note(format!("{} sent", held.len()))
        })
        .await
}
