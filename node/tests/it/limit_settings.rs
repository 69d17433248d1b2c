//! A node keeps the limits that its settings give it.

use std::time::{Duration, Instant};

use h2::client::handshake;
use http::Request;
use reqwest::Method;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    node::{API_KEY, USER_KEY, client},
    process::{Process, osc_node},
    raw_http::RawHttp,
};

/// Longer than the changed time, and shorter than the default.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_head_has_the_seconds_of_its_setting() {
    let folder = TempDir::new().unwrap();
    let node = Process::start(folder.path(), &[("OSC_HEADER_SECONDS", "1")]);
    let mut slow = RawHttp::connect(&node.url).await;
    let began = Instant::now();
    slow.send("GET /health HTTP/1.1\r\nHost: node\r\n").await;
    slow.answer().await.unwrap().assert_refusal(408);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    node.kill();
}

#[tokio::test]
async fn a_connection_has_the_seconds_of_its_setting() {
    let folder = TempDir::new().unwrap();
    let node = Process::start(folder.path(), &[("OSC_CONNECTION_SECONDS", "1")]);
    let mut old = RawHttp::connect(&node.url).await;
    let began = Instant::now();
    loop {
        old.send("GET /health HTTP/1.1\r\nHost: node\r\n\r\n").await;
        if old.answer().await.unwrap().closes() {
            break;
        }
        assert!(began.elapsed() < SOON, "it is never too old");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    node.kill();
}

#[tokio::test]
async fn a_connection_of_http2_has_as_many_streams_as_its_setting_says() {
    for (setting, streams) in [("1", 1), ("100", 100)] {
        let folder = TempDir::new().unwrap();
        let node = Process::start(folder.path(), &[("OSC_HTTP2_STREAMS", setting)]);
        let address = node.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://node/health").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        // The node's settings have come by then.
        assert_eq!(answer.await.unwrap().status(), 200);
        assert_eq!(client.current_max_send_streams(), streams);
        node.kill();
    }
}

#[tokio::test]
async fn a_body_comes_as_fast_as_its_setting_says() {
    let folder = TempDir::new().unwrap();
    let node = Process::start(folder.path(), &[("OSC_BODY_BYTES_PER_SECOND", "1048576")]);
    let mut slow = RawHttp::connect(&node.url).await;
    let began = Instant::now();
    slow.send(format!(
        "POST /configs HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\nContent-Length: 400000\r\n\r\n"
    ))
    .await;
    // With the default these bytes would be worth eighteen seconds.
    slow.send(" ".repeat(300_000)).await;
    slow.answer().await.unwrap().assert_refusal(408);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    node.kill();
}

#[tokio::test]
async fn an_answer_is_taken_within_the_seconds_of_its_setting() {
    let folder = TempDir::new().unwrap();
    let more = [
        ("OSC_ANSWER_SECONDS", "10"),
        ("OSC_ANSWER_BYTES_PER_SECOND", "1024"),
    ];
    let mut node = Process::start(folder.path(), &more);
    for n in 0..14 {
        let body = serde_json::json!({"key": format!("k{n}"), "value": "x".repeat(900_000)});
        let created = client()
            .request(Method::POST, format!("{}/configs", node.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY)
            .json(&body);
        assert_eq!(created.send().await.unwrap().status(), 201);
    }
    let mut slow = RawHttp::connect_narrow(&node.url).await;
    let began = Instant::now();
    slow.send(format!(
        "GET /configs HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\n\r\n"
    ))
    .await;
    // Fast enough for any other rule of answers, and one state of the store is kept for half a minute.
    let reading = tokio::spawn(async move {
        while slow.more().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let aborted = tokio::task::spawn_blocking(move || {
        node.event("list_aborted");
        node
    });
    let node = aborted.await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    reading.abort();
    node.kill();
}

#[test]
fn the_limits_in_effect_are_shown() {
    let folder = TempDir::new().unwrap();
    for (name, default, changed) in [
        ("OSC_HEADER_SECONDS", "10", "11"),
        ("OSC_CONNECTION_SECONDS", "3600", "60"),
        ("OSC_HTTP2_STREAMS", "32", "8"),
        ("OSC_BODY_BYTES_PER_SECOND", "16384", "1024"),
        ("OSC_ANSWER_BYTES_PER_SECOND", "65536", "2048"),
        ("OSC_ANSWER_SECONDS", "120", "60"),
    ] {
        let show = |value: Option<&str>| {
            let mut command = osc_node(folder.path());
            command.arg("config").envs(value.map(|value| (name, value)));
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        for (value, shown) in [(None, default), (Some(changed), changed)] {
            let (all, line) = (show(value), format!("{name}={shown}"));
            assert!(all.lines().any(|other| other == line), "{line}: {all}");
        }
    }
}
