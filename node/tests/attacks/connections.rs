//! Connections that cost the node resources and carry no request.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, interval, sleep},
};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{Http2, attacker, connect},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

/// The attackers' addresses: enough that a quarter of all connections for each is more than all.
const ADDRESSES: usize = 8;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "idle HTTP/2 connections after one request",
        caller: Caller::Network,
        run: |scale| idle_http_2(scale).boxed(),
    },
    Attack {
        name: "connections that send nothing, from 8 addresses",
        caller: Caller::Network,
        run: |scale| silent(scale).boxed(),
    },
    Attack {
        name: "connections opened and closed",
        caller: Caller::Network,
        run: |scale| opened_and_closed(scale).boxed(),
    },
    Attack {
        name: "bursts of connections from 1,000 addresses",
        caller: Caller::Network,
        run: |scale| bursts(scale).boxed(),
    },
    Attack {
        name: "headers sent a line a second",
        caller: Caller::Network,
        run: |scale| slow_headers(scale).boxed(),
    },
    Attack {
        name: "headers of 60 KiB that do not end",
        caller: Caller::Network,
        run: |scale| large_headers(scale).boxed(),
    },
];

/// Opens connections until there are this many, or the node accepts no more.
async fn open(to: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
    let openers = (0..32).map(|opener| async move {
        let mut opened = Vec::new();
        for number in (opener..count).step_by(32) {
            if let Ok(connection) = connect(to, attacker(number % ADDRESSES)).await {
                opened.push(connection);
            }
        }
        opened
    });
    let opened = futures::future::join_all(openers).await;
    opened.into_iter().flatten().collect()
}

async fn idle_http_2(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let count = scale.of(1000, 2000);
            let openers = (0..32).map(|opener| async move {
                let mut opened = Vec::new();
                for number in (opener..count).step_by(32) {
                    let from = attacker(number % ADDRESSES);
                    if let Ok(mut connection) = Http2::connect(to, from, 65_535).await
                        && let Some(answer) = connection.get("/health", USER_KEY).await
                    {
                        // A refused connection counts as never opened.
                        if answer.await.is_ok() {
                            opened.push(connection);
                        }
                    }
                }
                opened
            });
            let opened = futures::future::join_all(openers).await;
            let opened: Vec<_> = opened.into_iter().flatten().collect();
            // Idle connections may stay 75 s.
            sleep(Duration::from_secs(scale.of(4, 85))).await;
            let left = opened.iter().filter(|held| held.is_open()).count();
            let fault = (scale == Scale::Full && left > opened.len() / 100)
                .then(|| format!("{left} connections are idle for longer than 75 s"));
            Spoils {
                note: format!("{} opened, {left} left", opened.len()),
                fault,
                ..Spoils::default()
            }
        })
        .await
}

async fn silent(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let held = open(to, scale.of(3000, 6000)).await;
            sleep(scale.lasts()).await;
            Spoils::note(format!("{} opened", held.len()))
        })
        .await
}

async fn opened_and_closed(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let openers = (0..16).map(|number| async move {
                let mut opened = 0;
                while Instant::now() < end {
                    opened += usize::from(connect(to, attacker(number % ADDRESSES)).await.is_ok());
                }
                opened
            });
            let opened: usize = futures::future::join_all(openers).await.iter().sum();
            Spoils::note(format!("{opened} times"))
        })
        .await
}

/// Thousands of connections at a time, faster than the node accepts them, each held until the next burst. The listen queue is
/// full, and the node has to close some connections to accept others.
async fn bursts(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let (end, size) = (Instant::now() + scale.lasts(), scale.of(2000, 6000));
            let (mut held, mut bursts, mut taken) = (Vec::new(), 0, 0);
            while Instant::now() < end {
                let dialled = (0..size).map(|number| connect(to, attacker(number % 1000)));
                let opened: Vec<_> = futures::future::join_all(dialled).await;
                held = opened.into_iter().filter_map(Result::ok).collect();
                bursts += 1;
                taken += held.len();
            }
            drop(held);
            Spoils::note(format!("{taken} in {bursts} bursts"))
        })
        .await
}

async fn slow_headers(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let mut held = open(to, scale.of(1000, 3000)).await;
            for connection in &mut held {
                let _ = connection
                    .write_all(b"GET /health HTTP/1.1\r\nHost: node\r\n")
                    .await;
            }
            let mut seconds = interval(Duration::from_secs(1));
            for _ in 0..scale.of(4, 15) {
                seconds.tick().await;
                for connection in &mut held {
                    let _ = connection.write_all(b"X-Slow: yes\r\n").await;
                }
            }
            Spoils::note(format!("{} connections", held.len()))
        })
        .await
}

async fn large_headers(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let mut held = open(to, 4000).await;
            let head = format!(
                "GET /health HTTP/1.1\r\nHost: node\r\nX-Large: {}",
                "x".repeat(60 << 10)
            );
            let mut sent = 0;
            for connection in &mut held {
                sent += usize::from(connection.write_all(head.as_bytes()).await.is_ok());
            }
            sleep(scale.lasts()).await;
            Spoils::note(format!("{sent} connections"))
        })
        .await
}
