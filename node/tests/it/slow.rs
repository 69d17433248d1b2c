//! Clients that are slow to send, slow to read, or do neither.

use std::time::{Duration, Instant};

use opensecureconf_node::config::Timeouts;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::node::{API_KEY, TestNode, USER_KEY};

const ALL_BUT_STALLS: Timeouts = Timeouts {
    headers: Duration::from_millis(300),
    body: Duration::from_millis(300),
    message: Duration::from_millis(300),
    stall: Duration::from_mins(1),
    list: Duration::from_mins(1),
    idle: Duration::from_mins(1),
    age: Duration::from_mins(1),
    rest: Duration::from_secs(1),
    ..Timeouts::DEFAULT
};
const SHORT: Timeouts = Timeouts {
    stall: Duration::from_millis(300),
    ..ALL_BUT_STALLS
};

fn node(more: &[(&str, &str)], timeouts: Timeouts) -> TestNode {
    TestNode::start_with(TempDir::new().unwrap(), more, timeouts)
}

/// A connection with a small receive buffer.
async fn connect(url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    socket.connect(address).await.unwrap()
}

/// The bytes that come until the node closes the connection.
async fn rest(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = connection.read_to_end(&mut bytes);
    // A connection that is reset ends too.
    let _ = timeout(Duration::from_secs(20), read).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn request(method: &str, path: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\n{more}\r\n"
    )
}

/// Entries that are together larger than all buffers between the node and its client.
async fn fill(node: &TestNode) {
    for n in 0..14 {
        let body = json!({"key": format!("k{n}"), "value": "x".repeat(900_000)});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201);
    }
}

const ASSET: &str = "/docs/swagger-ui-bundle.js";

/// Whether this kernel lets the node limit the unsent bytes of a connection; the kernels of some sandboxes do not.
#[expect(
    clippy::print_stderr,
    reason = "people should know what was not tested"
)]
fn kernel_bounds_what_is_unsent(connection: &TcpStream) -> bool {
    const BYTES: u32 = 1 << 20;
    let socket = socket2::SockRef::from(connection);
    // Some kernels accept the option and ignore it.
    let kept = socket
        .set_tcp_notsent_lowat(BYTES)
        .and_then(|()| socket.tcp_notsent_lowat());
    let bounds = matches!(kept, Ok(BYTES));
    if !bounds {
        eprintln!(
            "this kernel knows no bound of unsent bytes ({kept:?}): only that clients are served is tested"
        );
    }
    bounds
}

#[tokio::test]
async fn what_a_client_does_not_take_waits_in_the_node_and_not_in_the_kernel() {
    let node = node(&[], SHORT);
    let mut unread = connect(&node.url).await;
    if !kernel_bounds_what_is_unsent(&unread) {
        return a_client_that_waits_gets_the_whole_asset().await;
    }
    let asset = request("GET", ASSET, "");
    unread.write_all(asset.as_bytes()).await.unwrap();
    let given_up = async {
        // Either of the two rules may act first.
        while !counts_one(&node, "broken").await && !counts_one(&node, "slow_reader").await {
            sleep(SHORT.stall / 4).await;
        }
    };
    timeout(Duration::from_secs(20), given_up).await.unwrap();
    // The bytes that still come had left the node before.
    let kept = rest(&mut unread).await.len();
    assert!((1..100_000).contains(&kept), "{kept} bytes");
    node.stop().await;
}

async fn a_client_that_waits_gets_the_whole_asset() {
    let node = node(&[], ALL_BUT_STALLS);
    let asset = node.call(Method::GET, ASSET, None).await.text;
    let mut slow = connect(&node.url).await;
    let request = request("GET", ASSET, "Connection: close\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    slow.readable().await.unwrap();
    sleep(SHORT.stall).await;
    let came = rest(&mut slow).await;
    assert!(came.ends_with(&asset), "{} bytes", came.len());
    node.stop().await;
}

/// Whether the node closed one connection for this reason.
async fn counts_one(node: &TestNode, reason: &str) -> bool {
    let page = node.call(Method::GET, "/metrics", None).await.text;
    let counted = format!("osc_connections_closed_total{{port=\"http\",reason=\"{reason}\"}} 1\n");
    page.contains(&counted)
}

#[tokio::test]
async fn who_sends_nothing_is_cut_off_on_both_ports() {
    let node = node(&[("OSC_METRICS_BIND", "127.0.0.1:0")], SHORT);
    for url in [&node.url, node.metrics_url.as_ref().unwrap()] {
        let mut silent = connect(url).await;
        assert_eq!(rest(&mut silent).await, "");
    }
    node.stop().await;
}

#[tokio::test]
async fn who_sends_headers_slowly_is_cut_off() {
    let node = node(&[], SHORT);
    let mut slow = connect(&node.url).await;
    let start = Instant::now();
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: node\r\n")
        .await
        .unwrap();
    let (mut reading, mut writing) = slow.into_split();
    let drip = tokio::spawn(async move {
        while writing.write_all(b"X-Slow: y\r\n").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = timeout(Duration::from_secs(20), reading.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("200 OK"));
    assert!(start.elapsed() >= SHORT.headers);
    drip.await.unwrap();
    node.stop().await;
}

#[tokio::test]
async fn who_sends_a_body_slowly_is_told_so() {
    let node = node(&[], SHORT);
    let mut slow = connect(&node.url).await;
    let head = request(
        "POST",
        "/configs",
        "Content-Length: 100\r\nConnection: close\r\n",
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(b"{\"key\": ").await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{answer}"
    );
    assert!(answer.contains(r#"{"detail":"The request body did not arrive in time"}"#));
    node.stop().await;
}

#[tokio::test]
async fn who_does_not_read_answers_is_cut_off() {
    let node = node(&[], SHORT);
    // Answers that cost the node little, and that together exceed all buffers on the way.
    let one = node.call(Method::GET, "/openapi.json", None).await;
    let count = (12 << 20) / one.text.len();
    let mut silent = connect(&node.url).await;
    let all = request("GET", "/openapi.json", "").repeat(count);
    silent.write_all(all.as_bytes()).await.unwrap();
    sleep(SHORT.stall * 5).await;
    let came = rest(&mut silent).await;
    assert!(
        came.len() < count * one.text.len(),
        "{} bytes came",
        came.len()
    );
    node.stop().await;
}

#[tokio::test]
async fn a_list_that_broke_off_does_not_pass_for_a_whole_one() {
    let node = node(&[("OSC_WORKERS", "1")], SHORT);
    fill(&node).await;
    let mut stalling = connect(&node.url).await;
    stalling
        .write_all(request("GET", "/configs", "Connection: close\r\n").as_bytes())
        .await
        .unwrap();
    stalling.peek(&mut [0; 1]).await.unwrap();
    // The only reader is free again once the list was given up.
    let given_up = async {
        while node
            .call(Method::GET, "/configs?limit=1", None)
            .await
            .status
            == 503
        {
            sleep(SHORT.stall / 4).await;
        }
    };
    timeout(Duration::from_secs(20), given_up).await.unwrap();
    let came = rest(&mut stalling).await;
    assert!(came.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(!came.ends_with("0\r\n\r\n"), "{} bytes came", came.len());
    let whole = node.call(Method::GET, "/configs", None).await;
    assert_eq!(whole.json().as_array().unwrap().len(), 14);
    node.stop().await;
}

#[tokio::test]
async fn slow_readers_of_lists_make_others_wait_but_not_for_ever() {
    let node = node(&[("OSC_WORKERS", "1")], ALL_BUT_STALLS);
    fill(&node).await;
    let mut slow = connect(&node.url).await;
    slow.write_all(request("GET", "/configs", "").as_bytes())
        .await
        .unwrap();
    slow.read_exact(&mut [0; 1]).await.unwrap();
    let refused = node.call(Method::GET, "/configs", None).await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.text,
        r#"{"detail":"Too many lists are being read; try again"}"#
    );
    assert_eq!(refused.header("retry-after"), Some("5"));
    let single = node.call(Method::GET, "/configs/k0", None).await;
    assert_eq!(single.status, 200, "other reads go on");
    drop(slow);
    let list = node.call(Method::GET, "/configs", None).await;
    assert_eq!(list.status, 200);
    node.stop().await;
}

/// A client of HTTP/2 that opens no window, sends eight of these requests, and answers pings until the node ends the connection.
async fn asks_and_opens_no_window(node: &TestNode, method: &Method, path: &str) {
    let stream = connect(&node.url).await;
    let handshake = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, bytes::Bytes>(stream);
    let (mut client, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let mut unread = Vec::new();
    for _ in 0..8 {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://node{path}"));
        let (answer, _) = client
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        unread.push(answer.await.unwrap());
    }
    let ended = timeout(Duration::from_secs(20), connection).await;
    // How it ends is not said: with an error or without.
    let _ = ended.unwrap().unwrap();
    assert!(counts_one(node, "slow_reader").await, "{method} {path}");
}

#[tokio::test]
async fn a_client_of_http2_that_opens_no_window_loses_its_connection_although_it_answers_pings() {
    const ALONE: &[(&str, &str)] = &[];
    const CLUSTER: &[(&str, &str)] = &[("OSC_CLUSTER_KEY", "the cluster key of the tests")];
    for (method, path, more) in [
        (Method::GET, ASSET, ALONE),
        // Refusals of the routes of nodes, which have a budget of their own.
        (Method::POST, "/cluster/v1/exchange", ALONE),
        (Method::POST, "/cluster/v1/exchange", CLUSTER),
        (Method::GET, "/cluster/v1/exchange", CLUSTER),
    ] {
        let node = node(more, SHORT);
        asks_and_opens_no_window(&node, &method, path).await;
        node.stop().await;
    }
}
