//! State that an HTTP/2 connection makes the node keep beside bodies: endless heads, waiting requests, waiting answers.

use std::{net::SocketAddr, time::Duration};

use futures::FutureExt as _;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{attacker, connect},
    http2_frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, field, frame},
    node::API_KEY,
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

const CONTINUATION: u8 = 9;
/// Requests that are open on one connection at a time.
const STREAMS: u32 = 32;
/// The attackers' addresses: enough that a quarter of everything for each is more than all.
const ADDRESSES: usize = 8;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "heads of 1,900 fields that do not end, HTTP/2",
        caller: Caller::Network,
        run: |scale| heads_without_end(scale).boxed(),
    },
    Attack {
        name: "32 requests a connection that wait for their bodies, HTTP/2",
        caller: Caller::ApiKey,
        run: |scale| waiting_requests(scale).boxed(),
    },
    Attack {
        name: "32 refusals a connection that no client reads, HTTP/2",
        caller: Caller::Network,
        run: |scale| unread_refusals(scale).boxed(),
    },
];

/// The beginning of a connection on which the node may send this many bytes of each answer.
fn beginning(window: u32) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let initial_window_size = [&[0, 4][..], &window.to_be_bytes()].concat();
    bytes.extend(frame(SETTINGS, 0, 0, &initial_window_size));
    bytes
}

fn request(method: &str, path: &str) -> Vec<u8> {
    [
        field(":method", method),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "node"),
    ]
    .concat()
}

/// Opens connections and sends these bytes on each; gives the connections that took them.
async fn hold(to: SocketAddr, connections: usize, bytes: Vec<u8>) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for number in 0..connections {
        let Ok(mut connection) = connect(to, attacker(number % ADDRESSES)).await else {
            continue;
        };
        if connection.write_all(&bytes).await.is_ok() {
            held.push(connection);
        }
    }
    held
}

async fn attack(scale: Scale, connections: usize, bytes: Vec<u8>) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let held = hold(to, connections, bytes).await;
            sleep(Duration::from_secs(scale.of(2, 15))).await;
            Spoils::note(format!("{} connections sent it", held.len()))
        })
        .await
}

async fn heads_without_end(scale: Scale) -> Figures {
    let mut bytes = beginning(65_535);
    // One good request, so that the node does not count the connection as silent.
    let good = request("GET", "/health");
    bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &good));
    let mut head = request("GET", "/health");
    for number in 0..1900 {
        head.extend(field(&format!("h{number:04}"), "v"));
    }
    for (number, part) in head.chunks(16_000).enumerate() {
        let (kind, flags) = if number == 0 {
            (HEADERS, END_STREAM)
        } else {
            (CONTINUATION, 0)
        };
        bytes.extend(frame(kind, flags, 3, part));
    }
    attack(scale, scale.of(1_200, 4_000), bytes).await
}

async fn waiting_requests(scale: Scale) -> Figures {
    let mut head = [
        request("POST", "/configs"),
        field("content-type", "application/json"),
        field("x-api-key", API_KEY),
        field("x-user-key", USER_KEY),
    ]
    .concat();
    for number in 0..85 {
        head.extend(field(&format!("h{number:03}"), &"v".repeat(60)));
    }
    let mut bytes = beginning(65_535);
    for stream in 0..STREAMS {
        bytes.extend(frame(HEADERS, END_HEADERS, 1 + 2 * stream, &head));
    }
    attack(scale, scale.of(1_000, 3_000), bytes).await
}

async fn unread_refusals(scale: Scale) -> Figures {
    let head = request("GET", "/configs/x");
    let mut bytes = beginning(0);
    for stream in 0..STREAMS {
        bytes.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            1 + 2 * stream,
            &head,
        ));
    }
    attack(scale, scale.of(3_000, 4_000), bytes).await
}
