//! When a connection of HTTP/2 says goodbye (GOAWAY). Several clients, httpx and Java's among them, drop all running requests as
//! soon as they read it: `findings/http2-goodbye.sh`.

use std::time::{Duration, Instant};

use opensecureconf_node::config::Timeouts;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpStream, task::yield_now, time::sleep};

use crate::{
    http2_frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, field, frame},
    node::{API_KEY, TestNode, USER_KEY},
    raw_http::{Frame, RawHttp},
};

const DATA: u8 = 0;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;

/// The body of a create, of which the second half comes later.
const BODY: &str = r#"{"key": "k", "value": "written while the connection ends"}"#;

/// A client that sends what it likes, and sees the order of frames.
struct Client {
    http: RawHttp,
    /// Frames that were seen before they were asked for.
    seen: Vec<Frame>,
}

impl Client {
    async fn connect(url: &str) -> Self {
        Self::connect_from(url, "127.0.0.1").await
    }

    async fn connect_from(url: &str, source: &str) -> Self {
        let mut client = Self {
            http: RawHttp::connect_from(url, source).await,
            seen: Vec::new(),
        };
        client.http.send(PREFACE).await;
        client.send(SETTINGS, 0, 0, b"").await;
        client.send(SETTINGS, ACK, 0, b"").await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.http.send(frame(kind, flags, stream, payload)).await;
    }

    async fn begin(&mut self, stream: u32, method: &str, path: &str, flags: u8) {
        let mut fields = vec![
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "node"),
        ];
        if path.starts_with("/configs") {
            fields.extend([
                ("content-type", "application/json"),
                ("x-api-key", API_KEY),
                ("x-user-key", USER_KEY),
            ]);
        }
        let block = fields.into_iter().map(|(name, value)| field(name, value));
        let block = block.collect::<Vec<_>>().concat();
        self.send(HEADERS, END_HEADERS | flags, stream, &block)
            .await;
    }

    /// A create whose body stays unfinished.
    async fn begin_create(&mut self) {
        self.begin(1, "POST", "/configs", 0).await;
        let half = &BODY.as_bytes()[..BODY.len() / 2];
        self.send(DATA, 0, 1, half).await;
        self.answers().await;
    }

    async fn finish_create(&mut self) {
        let half = &BODY.as_bytes()[BODY.len() / 2..];
        self.send(DATA, END_STREAM, 1, half).await;
    }

    /// Waits until the node has read all that this client sent, and has sent what it had to.
    async fn answers(&mut self) {
        for _ in 0..2 {
            self.send(PING, 0, 0, &[7; 8]).await;
            loop {
                let frame = self.http.frame().await.unwrap();
                if frame.kind == PING && frame.flags == ACK {
                    break;
                }
                self.seen.push(frame);
            }
        }
    }

    fn has_goodbye(&self) -> bool {
        self.seen.iter().any(|frame| frame.kind == GOAWAY)
    }

    /// All frames until the connection ends. Answers pings, as every client does.
    async fn rest(mut self) -> Vec<Frame> {
        while let Some(frame) = self.http.frame().await {
            if frame.kind == PING && frame.flags != ACK {
                self.send(PING, ACK, 0, &frame.payload).await;
            }
            self.seen.push(frame);
        }
        self.seen
    }

    /// The end of the answer of stream 1 comes, then the goodbye, then the end.
    async fn assert_goodbye_after_the_answer(self) {
        let frames = self.rest().await;
        let place = |what: &str, is: &dyn Fn(&Frame) -> bool| {
            let place = frames.iter().position(is);
            place.unwrap_or_else(|| panic!("no {what}: {frames:?}"))
        };
        let answered = place("answer", &|frame| {
            frame.stream == 1
                && matches!(frame.kind, HEADERS | DATA)
                && frame.flags & END_STREAM != 0
        });
        let goodbye = place("goodbye", &|frame| frame.kind == GOAWAY);
        assert!(answered < goodbye, "{frames:?}");
        // It names the last request that was read, so that clients repeat later ones, and nothing is behind it.
        assert_eq!(frames[goodbye].payload, [0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(goodbye + 1, frames.len(), "{frames:?}");
    }
}

/// Waits until the node listens no more, so that its connections know that it stops.
async fn listens_no_more(url: &str) {
    let address = url.strip_prefix("http://").unwrap();
    while TcpStream::connect(address).await.is_ok() {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_node_that_stops_says_goodbye_after_the_answer_of_a_running_request() {
    let node = TestNode::start();
    let url = node.url.clone();
    let mut client = Client::connect(&url).await;
    client.begin_create().await;
    let stopped = tokio::spawn(node.stop());
    listens_no_more(&url).await;
    client.answers().await;
    assert!(!client.has_goodbye(), "{:?}", client.seen);
    client.finish_create().await;
    client.assert_goodbye_after_the_answer().await;
    let node = TestNode::start_in(stopped.await.unwrap(), &[]);
    let kept = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(kept.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_says_goodbye_once_the_client_has_all_of_its_answer() {
    let node = TestNode::start();
    let value = json!({"key": "k", "value": "x".repeat(200_000)});
    let created = node.call(Method::POST, "/configs", Some(value)).await;
    assert_eq!(created.status, 201);
    let url = node.url.clone();
    let mut client = Client::connect(&url).await;
    client.begin(1, "GET", "/configs/k", END_STREAM).await;
    let mut came = 0;
    // The window of every stream at its beginning.
    while came < 65_535 {
        let frame = client.http.frame().await.unwrap();
        came += if frame.kind == DATA {
            frame.payload.len()
        } else {
            0
        };
    }
    let stopped = tokio::spawn(node.stop());
    listens_no_more(&url).await;
    client.answers().await;
    assert!(!client.has_goodbye(), "{:?}", client.seen);
    // At last only what HTTP/2 itself holds is left of the answer.
    for window in [120_000_u32, 1_000_000] {
        for stream in [0, 1] {
            client
                .send(WINDOW_UPDATE, 0, stream, &window.to_be_bytes())
                .await;
        }
        if window < 200_000 {
            client.answers().await;
            assert!(!client.has_goodbye(), "{:?}", client.seen);
        }
    }
    client.assert_goodbye_after_the_answer().await;
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_node_that_stops_waits_for_no_client_without_a_request() {
    let node = TestNode::start();
    let url = node.url.clone();
    let mut client = Client::connect(&url).await;
    client.begin(1, "GET", "/health", END_STREAM).await;
    client.answers().await;
    let began = Instant::now();
    let stopped = tokio::spawn(node.stop());
    client.assert_goodbye_after_the_answer().await;
    stopped.await.unwrap();
    // It has half a minute for clients whose requests run.
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_old_connection_says_goodbye_after_the_answer_of_a_running_request() {
    let age = Duration::from_millis(500);
    let timeouts = Timeouts {
        age,
        ..Timeouts::default()
    };
    let node = TestNode::start_with(TempDir::new().unwrap(), &[], timeouts);
    let mut client = Client::connect(&node.url).await;
    client.begin_create().await;
    sleep(age + Duration::from_millis(100)).await;
    client.answers().await;
    assert!(!client.has_goodbye(), "{:?}", client.seen);
    client.finish_create().await;
    client.assert_goodbye_after_the_answer().await;
    node.stop().await;
}

#[tokio::test]
async fn a_connection_that_must_make_room_says_goodbye_after_the_answer_or_after_half_a_second() {
    let node = TestNode::start_in(TempDir::new().unwrap(), &[("OSC_MAX_CONNECTIONS", "64")]);
    // It proves no key, and its answer waits for its window: it is the first that has to go.
    let mut client = Client::connect(&node.url).await;
    let asset = "/docs/swagger-ui-bundle.js";
    client.begin(1, "GET", asset, END_STREAM).await;
    client.answers().await;
    let mut others = Vec::new();
    for n in 0..47 {
        let source = format!("127.0.1.{}", n / 16 + 1);
        others.push(Client::connect_from(&node.url, &source).await);
    }
    for other in &mut others {
        other.answers().await;
    }
    let began = Instant::now();
    // Of an address without another one: the place of a connection that is about to end would be taken at once.
    let mut new = Client::connect_from(&node.url, "127.0.2.1").await;
    new.answers().await;
    let frames = client.rest().await;
    let has_goodbye = frames.iter().any(|frame| frame.kind == GOAWAY);
    assert!(has_goodbye, "{frames:?}");
    assert!(began.elapsed() >= Duration::from_millis(500));
    node.stop().await;
}
