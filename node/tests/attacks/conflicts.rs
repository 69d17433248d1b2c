//! Many large lost versions, which clients list at once.

use std::path::Path;

use futures::FutureExt as _;
use reqwest::{Client, Method};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Attack,
    honest::USER_KEY,
    node::API_KEY,
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
    unread_answers,
    values::members,
};

const LOSERS: i64 = 90;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "conflicts: 90 losers of 1 MiB",
        caller: Caller::ApiKey,
        run: |scale| read(scale, json!("x".repeat(1_000_000))).boxed(),
    },
    Attack {
        name: "conflicts: 90 losers of 78,000 members",
        caller: Caller::ApiKey,
        run: |scale| read(scale, members()).boxed(),
    },
    Attack {
        name: "unread conflicts of 1 MiB, 600 connections of HTTP/1.1",
        caller: Caller::ApiKey,
        run: |scale| unread(scale).boxed(),
    },
];

/// Makes every large entry a loser many times over, as concurrent writes on two nodes would.
fn add_losers(folder: &Path) {
    let database = Connection::open(folder.join("configurations.db")).unwrap();
    let statement = "INSERT INTO conflicts (environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, extra, seen_at)
         SELECT environment, key, category, token, created_at, updated_at, clock - ?1, incarnation, row_hash, clocks, extra, updated_at
         FROM entries WHERE key = 'large'";
    for number in 0..LOSERS {
        assert_eq!(database.execute(statement, [number]).unwrap(), 1);
    }
}

/// A node with losers of this value.
async fn scene(scale: Scale, value: Value) -> Scene {
    let scene = Scene::start(scale, &[]).await;
    scene.create("large", &value).await;
    Scene {
        node: scene.node.restart_after(add_losers).await,
        scale,
    }
}

async fn unread(scale: Scale) -> Figures {
    let scene = scene(scale, json!("x".repeat(1_000_000))).await;
    unread_answers::http_1(scene, "/cluster/conflicts").await
}

async fn read(scale: Scale, value: Value) -> Figures {
    let scene = scene(scale, value).await;
    let url = format!("{}/cluster/conflicts", scene.node.url);
    let ask = move |client: &Client| {
        client
            .request(Method::GET, &url)
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY)
            .send()
    };
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let readers = (0..4).map(|_| async {
                let client = Client::builder().no_proxy().build().unwrap();
                let (mut bytes, mut answers, mut refused) = (0, 0, 0);
                while Instant::now() < end {
                    match ask(&client).await {
                        Ok(mut answer) if answer.status().is_success() => {
                            answers += 1;
                            while let Ok(Some(chunk)) = answer.chunk().await {
                                bytes += chunk.len();
                            }
                        }
                        _ => {
                            refused += 1;
                            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        }
                    }
                }
                (bytes, answers, refused)
            });
            let done = futures::future::join_all(readers).await;
            let bytes: usize = done.iter().map(|(bytes, ..)| bytes).sum();
            let answers: usize = done.iter().map(|(_, answers, _)| answers).sum();
            let refused: usize = done.iter().map(|(.., refused)| refused).sum();
            Spoils {
                note: format!("{answers} answers, {} MiB, {refused} refused", bytes >> 20),
                fault: (answers == 0).then(|| "no conflict was shown".to_owned()),
                ..Spoils::default()
            }
        })
        .await
}
