//! Batches of the most rows that the node allows, in bodies of the greatest size, from many clients at once.

use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{attacker, client, connect_narrow, head, total},
    node::API_KEY,
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

const PATH: &str = "/configs/batch";

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "batches of 1,000 small rows by 16",
        caller: Caller::ApiKey,
        run: |scale| written(scale, PATH, rows(1)).boxed(),
    },
    Attack {
        name: "batches of 1,000 rows and 1 MB by 16, all or nothing",
        caller: Caller::ApiKey,
        run: |scale| {
            let path = "/configs/batch?all_or_nothing=true";
            written(scale, path, rows(900)).boxed()
        },
    },
    Attack {
        name: "batches of 1,000 rows that are none by 16",
        caller: Caller::ApiKey,
        run: |scale| written(scale, PATH, |_| Value::from(vec![json!({}); 1_000])).boxed(),
    },
    Attack {
        name: "batches of long names whose answers are not read, 64 at a time",
        caller: Caller::ApiKey,
        run: |scale| unread(scale).boxed(),
    },
];

/// Rows that one client writes again and again, each with a value of this length.
fn rows(length: usize) -> impl Fn(usize) -> Value + Send + Sync + 'static {
    move |client| {
        (0..1_000)
            .map(|row| json!({"op": "upsert", "key": format!("{client}-{row}"), "value": "x".repeat(length)}))
            .collect()
    }
}

async fn written(
    scale: Scale,
    path: &'static str,
    rows: impl Fn(usize) -> Value + Send + Sync + 'static,
) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let url = format!("{}{path}", scene.node.url);
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let writers = (0..16).map(|number| {
                let (url, body) = (url.clone(), rows(number).to_string());
                tokio::spawn(async move {
                    let client = client(number % 4);
                    let (mut done, mut refused) = (0, 0);
                    while Instant::now() < end {
                        let request = client
                            .post(&url)
                            .header("X-API-Key", API_KEY)
                            .header("X-User-Key", USER_KEY)
                            .header("Content-Type", "application/json")
                            .body(body.clone());
                        let whole =
                            async { request.send().await?.error_for_status()?.bytes().await };
                        match whole.await {
                            Ok(_) => done += 1,
                            Err(_) => refused += 1,
                        }
                    }
                    (done, refused)
                })
            });
            let (done, refused) = total(writers).await;
            Spoils::note(format!("{done} done, {refused} refused"))
        })
        .await
}

/// Answers of 600 lines of some kilobytes each. Their clients read only the head.
async fn unread(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let attackers = (0..64).map(|number| {
                tokio::spawn(async move {
                    let long = "\u{1}".repeat(250);
                    let rows: Value = (0..600)
                        .map(|row| json!({"op": "delete", "key": format!("{long}{row}")}))
                        .collect();
                    let body = rows.to_string();
                    let length = format!("Content-Length: {}\r\n", body.len());
                    let request = head("POST", PATH, USER_KEY, &length) + &body;
                    let mut connection = connect_narrow(to, attacker(number % 8)).await.ok()?;
                    connection.write_all(request.as_bytes()).await.ok()?;
                    connection.read_exact(&mut [0; 16]).await.ok()?;
                    Some(connection)
                })
            });
            let attackers = futures::future::join_all(attackers);
            let held = tokio::time::timeout(scale.lasts(), attackers).await;
            let held: Vec<_> = held.into_iter().flatten().flatten().flatten().collect();
            sleep(Duration::from_secs(scale.of(2, 10))).await;
            Spoils::note(format!("{} of 64 held an answer", held.len()))
        })
        .await
}
