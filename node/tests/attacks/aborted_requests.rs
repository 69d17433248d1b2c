//! Requests with new user keys that are given up at once: derivations for a client that has gone.

use std::{io::ErrorKind, time::Duration};

use futures::FutureExt as _;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, interval, sleep},
};

use crate::{
    Attack,
    http::{Http2, attacker, connect, exchange, head},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "aborted requests with new user keys, HTTP/1.1",
        caller: Caller::ApiKey,
        run: |scale| aborted(scale, false).boxed(),
    },
    Attack {
        name: "aborted requests with new user keys, HTTP/2",
        caller: Caller::ApiKey,
        run: |scale| aborted(scale, true).boxed(),
    },
];

async fn abort_over_http_1(to: std::net::SocketAddr, number: usize, end: Instant) -> usize {
    let mut sent = 0;
    while Instant::now() < end {
        let Ok(mut connection) = connect(to, attacker(number)).await else {
            continue;
        };
        let key = format!("a guess of {number}, {sent}");
        let request = head("GET", "/configs/honest", &key, "");
        if connection.write_all(request.as_bytes()).await.is_ok() {
            sent += 1;
        }
        // Long enough to be read, too short for a derivation.
        sleep(Duration::from_millis(5)).await;
    }
    sent
}

async fn abort_over_http_2(to: std::net::SocketAddr, number: usize, end: Instant) -> usize {
    let mut sent = 0;
    while Instant::now() < end {
        let Ok(mut connection) = Http2::connect(to, attacker(number), 65_535).await else {
            continue;
        };
        while Instant::now() < end && connection.is_open() {
            let key = format!("a guess of {number}, {sent}");
            let Some(answer) = connection.get("/configs/honest", &key).await else {
                break;
            };
            sent += 1;
            sleep(Duration::from_millis(5)).await;
            drop(answer);
        }
    }
    sent
}

async fn aborted(scale: Scale, over_http_2: bool) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let end = Instant::now() + Duration::from_secs(scale.of(6, 22));
            let attackers = (0..8).map(|number| {
                tokio::spawn(async move {
                    if over_http_2 {
                        abort_over_http_2(to, number % 2, end).await
                    } else {
                        abort_over_http_1(to, number % 2, end).await
                    }
                })
            });
            let attackers = futures::future::join_all(attackers);
            // Honest clients with new keys, from an address of their own each.
            let newcomers = async {
                let (mut served, mut refused, mut late) = (0, 0, 0);
                let mut seconds = interval(Duration::from_secs(1));
                for number in 0.. {
                    seconds.tick().await;
                    if Instant::now() >= end {
                        break;
                    }
                    let key = format!("the key of newcomer {number}");
                    let body = json!({"key": format!("of-{number}"), "value": 1}).to_string();
                    let length = format!("Content-Length: {}\r\n", body.len());
                    let request = head("POST", "/configs", &key, &length) + &body;
                    let answer = async {
                        let mut connection = connect(to, attacker(1000 + number)).await?;
                        exchange(&mut connection, request.as_bytes()).await
                    };
                    match answer.await {
                        Ok(answer) if answer.status == 201 => served += 1,
                        Err(error) if error.kind() == ErrorKind::TimedOut => late += 1,
                        _ => refused += 1,
                    }
                }
                (served, refused, late)
            };
            let (sent, (served, refused, late)) = futures::future::join(attackers, newcomers).await;
            let sent: usize = sent.into_iter().map(Result::unwrap).sum();
            let all = served + refused + late;
            let failed = refused + scale.of(0, late);
            Spoils {
                note: format!("{sent} aborted, {served} of {all} honest new keys served"),
                fault: (failed > 0).then(|| format!("{failed} honest new keys not served")),
                ..Spoils::default()
            }
        })
        .await
}
