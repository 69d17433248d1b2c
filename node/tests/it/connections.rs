//! Connections: how many there may be, how long they may be idle and how old, and how large their heads may be.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream as BlockingStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http::Request;
use opensecureconf_node::config::Timeouts;
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    node::{API_KEY, TestNode, environment},
    process::{Process, osc_node},
    raw_http::RawHttp,
};

/// The preface, and settings as they are.
const HTTP2_BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GET: &str = "GET /health HTTP/1.1\r\nHost: node\r\n\r\n";

fn impatient(timeouts: Timeouts) -> TestNode {
    TestNode::start_with(TempDir::new().unwrap(), &[], timeouts)
}

#[tokio::test]
async fn an_idle_connection_stays_longer_than_a_head_may_take_and_then_ends() {
    let node = impatient(Timeouts {
        headers: Duration::from_millis(300),
        idle: Duration::from_secs(2),
        ..Timeouts::default()
    });
    let mut connection = RawHttp::connect(&node.url).await;
    connection.send(GET).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.header("keep-alive"), Some("timeout=2"));
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    sleep(Duration::from_millis(900)).await;
    connection.send(GET).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    let answered = Instant::now();
    assert_eq!(connection.rest().await, "");
    assert!(answered.elapsed() >= Duration::from_millis(1900));
    node.stop().await;
}

#[tokio::test]
async fn the_announced_idle_time_is_the_settings() {
    let node = TestNode::start();
    let mut connection = RawHttp::connect(&node.url).await;
    connection.send(GET).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.header("keep-alive"), Some("timeout=75"));
    node.stop().await;
}

async fn http2(
    url: &str,
) -> (
    h2::client::SendRequest<bytes::Bytes>,
    tokio::task::JoinHandle<Result<(), h2::Error>>,
) {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

async fn get_http2(client: &mut h2::client::SendRequest<bytes::Bytes>) -> http::StatusCode {
    let request = Request::get("http://node/health").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    answer.await.unwrap().status()
}

#[tokio::test]
async fn an_http2_connection_without_a_stream_ends_in_good_order() {
    let node = impatient(Timeouts {
        headers: Duration::from_millis(300),
        idle: Duration::from_secs(1),
        ..Timeouts::default()
    });
    let (mut client, connection) = http2(&node.url).await;
    assert_eq!(get_http2(&mut client).await, 200);
    sleep(Duration::from_millis(600)).await;
    assert_eq!(get_http2(&mut client).await, 200);
    // Pings are answered all the time; only requests count.
    connection.await.unwrap().unwrap();
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn an_http2_connection_has_thirty_two_requests_at_a_time() {
    let node = impatient(Timeouts::default());
    let (mut client, connection) = http2(&node.url).await;
    // The node's settings have come by now.
    assert_eq!(get_http2(&mut client).await, 200);
    assert_eq!(client.current_max_send_streams(), 32);
    drop(client);
    connection.await.unwrap().unwrap();
    node.stop().await;
}

#[tokio::test]
async fn an_old_connection_ends_with_an_answer_or_a_goaway() {
    let node = impatient(Timeouts {
        age: Duration::from_millis(500),
        ..Timeouts::default()
    });
    let (mut client, goaway) = http2(&node.url).await;
    let mut connection = RawHttp::connect(&node.url).await;
    connection.send(GET).await;
    assert!(!connection.answer().await.unwrap().closes());
    assert_eq!(get_http2(&mut client).await, 200);
    sleep(Duration::from_millis(600)).await;
    connection.send(GET).await;
    let last = connection.answer().await.unwrap();
    assert_eq!(last.status, 200);
    assert!(last.closes() && last.header("keep-alive").is_none());
    assert_eq!(connection.rest().await, "");
    goaway.await.unwrap().unwrap();
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn every_refusal_before_the_router_is_json_with_an_id() {
    let node = impatient(Timeouts {
        headers: Duration::from_millis(500),
        ..Timeouts::default()
    });
    let large = format!(
        "GET / HTTP/1.1\r\nHost: node\r\nX-Large: {}\r\n\r\n",
        "x".repeat(70 << 10)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: node\r\n{}\r\n",
        "X-Many: y\r\n".repeat(120)
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: node\r\n\r\n", "x".repeat(65_534));
    let unfinished = "GET / HTTP/1.1\r\nHost: node\r\nX-Slow: y";
    for (request, status) in [
        ("no request at all\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: node\r\nno header\r\n\r\n", 400),
        ("GET / HTTP/7.1\r\nHost: node\r\n\r\n", 400),
        ("PRI", 400),
        (
            "POST /configs HTTP/1.1\r\nHost: node\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        (&large, 431),
        (&many, 431),
        (&long, 431),
        (unfinished, 408),
        ("P", 408),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ] {
        let what = &request[..request.len().min(60)];
        let mut connection = RawHttp::connect(&node.url).await;
        connection.send(request).await;
        // The node answers nothing to half a preface of HTTP/2.
        if request == "PRI" {
            assert_eq!(connection.rest().await, "");
            continue;
        }
        let answer = connection.answer().await.expect(what);
        answer.assert_refusal(status);
        if !what.contains("HTTP/1.1\r\n\r\n") && !what.contains("Host: a") {
            assert!(answer.closes(), "{what}");
            assert_eq!(connection.rest().await, "", "{what}");
        }
    }
    let mut connection = RawHttp::connect(&node.url).await;
    connection.send("GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_refused_head_behind_a_good_request_takes_no_answer_away() {
    let node = TestNode::start();
    let mut connection = RawHttp::connect(&node.url).await;
    connection.send(format!("{GET}rubbish\r\n\r\n")).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    connection.answer().await.unwrap().assert_refusal(400);
    node.stop().await;
}

#[tokio::test]
async fn large_heads_share_their_room_and_small_ones_need_none() {
    let node = TestNode::start_in(
        TempDir::new().unwrap(),
        &[("OSC_CONNECTION_MEMORY_BYTES", "131072")],
    );
    let head = |bytes: usize| {
        format!(
            "GET /health HTTP/1.1\r\nHost: node\r\nX-Large: {}",
            "x".repeat(bytes)
        )
    };
    let mut first = RawHttp::connect(&node.url).await;
    first.send(head(20 << 10)).await;
    let mut second = RawHttp::connect_from(&node.url, "127.0.0.2").await;
    second.send(head(20 << 10)).await;
    // Both have room for all that they may still send.
    while !node
        .call(reqwest::Method::GET, "/metrics", None)
        .await
        .text
        .contains("osc_memory_reserved_bytes{share=\"connections\"} 114688")
    {
        sleep(Duration::from_millis(20)).await;
    }
    let mut third = RawHttp::connect_from(&node.url, "127.0.0.3").await;
    third.send(head(20 << 10)).await;
    third.answer().await.unwrap().assert_refusal(431);
    let mut small = RawHttp::connect_from(&node.url, "127.0.0.3").await;
    small.send(format!("{}\r\n\r\n", head(5 << 10))).await;
    assert_eq!(small.answer().await.unwrap().status, 200);
    first.send("\r\n\r\n").await;
    assert_eq!(first.answer().await.unwrap().status, 200);
    node.stop().await;
}

#[tokio::test]
async fn one_address_has_a_quarter_and_scarce_connections_go_to_those_who_prove_a_key() {
    let node = TestNode::start_in(TempDir::new().unwrap(), &[("OSC_MAX_CONNECTIONS", "64")]);
    let mut proved = RawHttp::connect(&node.url).await;
    let list = format!(
        "GET /configs/none HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: a user key\r\n\r\n"
    );
    proved.send(&list).await;
    assert_eq!(proved.answer().await.unwrap().status, 404);
    let mut others = Vec::new();
    for n in 0..47 {
        let mut connection =
            RawHttp::connect_from(&node.url, &format!("127.0.1.{}", n / 16 + 1)).await;
        connection.send(GET).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
        others.push(connection);
    }
    let mut over = RawHttp::connect_from(&node.url, "127.0.1.1").await;
    over.answer().await.unwrap().assert_refusal(503);

    let mut new = RawHttp::connect_from(&node.url, "127.0.2.1").await;
    new.send(GET).await;
    assert_eq!(new.answer().await.unwrap().status, 200);
    assert_eq!(others[0].rest().await, "", "the oldest without a key");
    proved.send(&list).await;
    assert_eq!(proved.answer().await.unwrap().status, 404);
    others[1].send(GET).await;
    assert_eq!(others[1].answer().await.unwrap().status, 200);

    proved
        .send("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
        .await;
    let metrics = proved.answer().await.unwrap().body;
    assert!(
        metrics.contains(r#"osc_connections_refused_total{port="http",reason="address"} 1"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"osc_connections_closed_total{port="http",reason="evicted"} 1"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"osc_connections_open{port="http"} 48"#),
        "{metrics}"
    );
    node.stop().await;
}

#[tokio::test]
async fn a_flood_never_meets_a_node_that_is_full_of_connections_that_were_told_to_end() {
    let node = TestNode::start_in(TempDir::new().unwrap(), &[("OSC_MAX_CONNECTIONS", "64")]);
    let mut held = Vec::new();
    for n in 0..400 {
        let from = format!("127.0.{}.{}", n / 200 + 3, n % 200 + 1);
        let mut connection = RawHttp::connect_from(&node.url, &from).await;
        // The connection gets the order to end and stays as long as it may: it answers no HTTP/2 frame.
        connection.send(HTTP2_BEGINNING).await;
        assert!(connection.more().await, "{n}");
        assert!(!connection.came(b"HTTP/1.1 503"), "{n}: refused");
        held.push(connection);
    }
    let mut honest = RawHttp::connect(&node.url).await;
    honest
        .send("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
        .await;
    let metrics = honest.answer().await.unwrap().body;
    for line in metrics.lines() {
        let refused = line.strip_prefix("osc_connections_refused_total{");
        assert!(refused.is_none_or(|line| line.ends_with(" 0")), "{line}");
    }
    drop(held);
    node.stop().await;
}

#[tokio::test]
async fn over_the_limit_a_tls_connection_ends_before_its_handshake() {
    let folder = TempDir::new().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&cert, certificate.cert.pem()).unwrap();
    fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let more = [
        ("OSC_MAX_CONNECTIONS", "64"),
        ("OSC_HTTPS_ENABLED", "true"),
        ("OSC_SSL_CERTFILE", cert.to_str().unwrap()),
        ("OSC_SSL_KEYFILE", key.to_str().unwrap()),
    ];
    let node = TestNode::start_in(folder, &more);
    let mut taken = Vec::new();
    for _ in 0..16 {
        taken.push(RawHttp::connect(&node.url).await);
    }
    let mut over = RawHttp::connect(&node.url).await;
    over.send("\x16\x03\x01").await;
    let began = Instant::now();
    assert_eq!(over.rest().await, "");
    // The other connections still have their time.
    assert!(began.elapsed() < Timeouts::default().headers);
    drop(taken);
    node.stop().await;
}

fn probe(address: &str, path: &str) -> String {
    let mut stream = BlockingStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn probes_on_their_own_port_are_answered_while_nothing_else_is() {
    let node = TestNode::start_in(
        TempDir::new().unwrap(),
        &[("OSC_HEALTH_BIND", "127.0.0.1:0")],
    );
    let ready = node.call(reqwest::Method::GET, "/ready", None).await;
    assert_eq!(ready.status, 200, "the node serves");
    let address = node.health_url.clone().unwrap();
    let address = address.strip_prefix("http://").unwrap();
    let silent: Vec<_> = (0..100)
        .map(|_| BlockingStream::connect(address).unwrap())
        .collect();
    // This thread is the only one that serves requests, and it is blocked.
    let health = probe(address, "/health");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
    assert!(
        health.ends_with(r#"{"status":"healthy","writes":"accepted"}"#),
        "{health}"
    );
    let ready = probe(address, "/ready");
    assert!(
        ready.ends_with(r#"{"ready":true,"writes":"accepted"}"#),
        "{ready}"
    );
    let other = probe(address, "/configs");
    assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
    drop(silent);
    node.stop().await;
}

#[tokio::test]
async fn the_port_for_probes_answers_like_every_other_one() {
    let node = TestNode::start_in(
        TempDir::new().unwrap(),
        &[("OSC_HEALTH_BIND", "127.0.0.1:0")],
    );
    let url = node.health_url.clone().unwrap();
    let large = format!(
        "GET /health HTTP/1.1\r\nHost: node\r\n{}\r\n",
        "A: b\r\n".repeat(200)
    );
    for (head, status) in [
        ("GET /nothing HTTP/1.1\r\nHost: node\r\n\r\n", 404),
        ("POST /health HTTP/1.1\r\nHost: node\r\n\r\n", 405),
        ("this is no request\r\n\r\n", 400),
        ("GET /health HTTP/9.9\r\n\r\n", 400),
        (&large, 431),
    ] {
        let mut connection = RawHttp::connect(&url).await;
        connection.send(head).await;
        connection.answer().await.unwrap().assert_refusal(status);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_probe_that_has_begun_is_answered_after_any_number_of_connections_that_send_nothing() {
    let node = TestNode::start_in(
        TempDir::new().unwrap(),
        &[("OSC_HEALTH_BIND", "127.0.0.1:0")],
    );
    let mut probe = RawHttp::connect(node.health_url.as_deref().unwrap()).await;
    let (half, other_half) = GET.split_at(GET.len() / 2);
    probe.send(half).await;
    let address = node.health_url.clone().unwrap();
    let address = address.strip_prefix("http://").unwrap();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    probe.send(other_half).await;
    let answer = probe.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    drop(silent);
    node.stop().await;
}

/// The answer of a path on a new connection.
fn ask_once(address: &str, path: &str) -> String {
    let mut stream = BlockingStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A node with a limit of open files, as the shell's `ulimit` sets it.
fn start_with_open_files(folder: &TempDir, limit: &str) -> Process {
    let mut command = Command::new("sh");
    let binary = osc_node(folder.path()).get_program().to_owned();
    command
        .env_clear()
        .current_dir(folder.path())
        .arg("-c")
        .arg(format!("ulimit {limit}; exec \"$0\""))
        .arg(binary)
        .envs(environment(folder.path()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Process::start_command(&mut command)
}

#[test]
fn a_low_soft_limit_of_open_files_does_not_limit_connections() {
    let folder = TempDir::new().unwrap();
    let node = start_with_open_files(&folder, "-Sn 60");
    let address = node.url.strip_prefix("http://").unwrap().to_owned();
    let many: Vec<_> = (0..70)
        .map(|_| BlockingStream::connect(&address).unwrap())
        .collect();
    let health = ask_once(&address, "/health");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
    drop(many);
    node.kill();
}

#[test]
fn without_file_descriptors_the_node_says_so_and_goes_on() {
    let folder = TempDir::new().unwrap();
    let mut node = start_with_open_files(&folder, "-n 60");
    let address = node.url.strip_prefix("http://").unwrap().to_owned();
    let many: Vec<_> = (0..70)
        .map(|_| BlockingStream::connect(&address).unwrap())
        .collect();
    node.event("file_descriptors_exhausted");
    drop(many);
    node.event("file_descriptors_available");
    let metrics = ask_once(&address, "/metrics");
    assert!(
        metrics.contains("osc_file_descriptors_exhausted_total 1\n"),
        "{metrics}"
    );
    node.kill();
}

#[test]
fn a_hangup_stops_the_node_in_good_order() {
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[]);
    let id = node.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    node.event("node_stopped");
    assert_eq!(node.wait().code(), Some(0));
    let log = fs::metadata(folder.path().join("configurations.db-wal"));
    assert_eq!(log.map_or(0, |file| file.len()), 0);
}

#[test]
fn a_hangup_that_is_ignored_from_the_start_stays_ignored() {
    let folder = TempDir::new().unwrap();
    let node = osc_node(folder.path()).get_program().to_owned();
    let mut command = Command::new("sh");
    // As `nohup` does.
    command
        .args(["-c", "trap '' HUP; exec \"$0\""])
        .arg(node)
        .env_clear()
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .envs(environment(folder.path()));
    let mut node = Process::start_command(&mut command);
    let id = node.id().to_string();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    assert_eq!(ignored & 1, 1, "SIGHUP is the first signal: {status}");
    for signal in ["-HUP", "-TERM"] {
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }
    node.event("node_stopped");
    assert_eq!(node.wait().code(), Some(0));
}
