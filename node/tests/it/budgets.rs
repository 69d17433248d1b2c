//! How much of a node's memory one client may take.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::node::{API_KEY, TestNode, USER_KEY};

fn node(folder: TempDir, more: &[(&str, &str)]) -> TestNode {
    TestNode::start_in(folder, more)
}

/// A gauge or counter of one memory share.
async fn of_share(node: &TestNode, metric: &str, share: &str) -> u64 {
    let page = node.call(Method::GET, "/metrics", None).await.text;
    let start = format!("{metric}{{share=\"{share}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().parse().unwrap()
}

/// An object with many members of the smallest kind.
fn many_members(count: usize) -> Value {
    (0..count).map(|n| (format!("{n:x}"), json!({}))).collect()
}

#[tokio::test]
async fn a_value_of_too_many_parts_is_refused_and_a_stored_one_stays_readable() {
    let more = |most| [("OSC_MAX_JSON_VALUES", most)];
    let node = node(TempDir::new().unwrap(), &more("10"));
    let create = async |key: &str, value: Value| {
        let body = json!({"key": key, "value": value});
        node.call(Method::POST, "/configs", Some(body)).await
    };
    assert_eq!(create("ten", many_members(10)).await.status, 201);
    let refused = create("eleven", many_members(11)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.text, r#"{"detail":"Value has more than 10 parts"}"#);
    let nested = create("nested", json!([[[[1, 2, 3], [4, 5]], [6, 7]]])).await;
    assert_eq!(nested.status, 400, "parts of parts count too");
    let node = TestNode::start_in(node.stop().await, &more("5"));
    let stored = node.call(Method::GET, "/configs/ten", None).await;
    assert_eq!(stored.json()["value"], many_members(10));
    node.stop().await;
}

#[tokio::test]
async fn a_value_that_could_never_be_stored_is_told_how_long_it_would_be() {
    let memory = [("OSC_MEMORY_BYTES", "40000000")];
    let node = node(TempDir::new().unwrap(), &memory);
    let write = async |path: &str, value: &str| {
        let body = json!({ "value": value });
        node.call(Method::PUT, path, Some(body)).await
    };
    let (fits, grows) = ("x".repeat(600_000), "😀".repeat(150_000));
    assert_eq!(write("/configs/k?upsert=true", &fits).await.status, 201);
    for path in ["/configs/k", "/configs/new?upsert=true"] {
        let refused = write(path, &grows).await;
        assert_eq!(refused.status, 413);
        assert_eq!(
            refused.text,
            r#"{"detail":"The value is stored as 1800002 bytes, and this node has memory for 1666666 at most (OSC_MEMORY_BYTES)"}"#
        );
    }
    let kept = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(kept.json()["value"], fits);
    node.stop().await;
}

#[tokio::test]
async fn large_values_come_back_as_they_were_sent() {
    let node = node(TempDir::new().unwrap(), &[]);
    let values = [
        many_members(60_000),
        json!("é€😀\u{7f}".repeat(60_000)),
        json!(vec![1.5e300; 90_000]),
    ];
    for (n, value) in values.iter().enumerate() {
        let key = format!("k{n}");
        let body = json!({"key": key, "value": value, "category": "large"});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.json()["value"], *value);
        let path = format!("/configs/{key}");
        let read = node.call(Method::GET, &path, None).await;
        assert_eq!(read.json()["value"], *value);
        let updated = node.call(Method::PUT, &path, Some(json!({"value": value})));
        let updated = updated.await;
        assert_eq!(updated.status, 200, "{}", updated.text);
        assert_eq!(updated.json()["value"], *value);
        assert_eq!(updated.json()["category"], "large");
    }
    let all = node.call(Method::GET, "/configs", None).await;
    assert_eq!(all.json()[1]["value"], values[1]);
    for share in ["values", "answers", "bodies", "small_bodies"] {
        // An answer's memory is free once its last piece is sent, which may be after the client has it.
        while of_share(&node, "osc_memory_reserved_bytes", share).await > 0 {
            tokio::task::yield_now().await;
        }
    }
    node.stop().await;
}

const CLUSTER_KEY: &str = "the cluster key of the tests";

/// A body that never ends, of which so much is sent.
async fn unfinished(url: &str, route: &str, sent: usize) -> TcpStream {
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let head = format!(
        "{route} HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\n\
         X-Cluster-Key: {CLUSTER_KEY}\r\nContent-Length: 1000000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // The node may refuse it in the middle.
    let _ = connection.write_all(&vec![b' '; sent]).await;
    connection
}

#[tokio::test]
async fn unfinished_bodies_of_one_address_take_no_more_than_its_part() {
    for route in ["POST /configs", "PUT /configs/k", "POST /configs/batch"] {
        one_address_has_its_part(route).await;
    }
}

#[tokio::test]
async fn unfinished_bodies_of_orders_take_no_more_than_that_either() {
    for route in [
        "POST /cluster/salt",
        "POST /cluster/bootstrap",
        "PUT /admin/log-level",
    ] {
        one_address_has_its_part(route).await;
    }
}

/// Unfinished bodies to this route leave room for those of others.
async fn one_address_has_its_part(route: &str) {
    let settings = [
        ("OSC_MEMORY_BYTES", "40000000"),
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
    ];
    let node = node(TempDir::new().unwrap(), &settings);
    let mut refused = 0;
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut connection = unfinished(&node.url, route, 500_000).await;
        let mut answer = [0; 64];
        let read = connection.read(&mut answer);
        match timeout(Duration::from_millis(300), read).await {
            Err(_) => held.push(connection),
            Ok(answered) => {
                let answer = String::from_utf8_lossy(&answer[..answered.unwrap_or(0)]).into_owned();
                assert!(
                    answer.is_empty() || answer.starts_with("HTTP/1.1 503"),
                    "{answer}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused >= 8, "{route}: {refused} were refused");
    assert!(!held.is_empty());
    let reserved = of_share(&node, "osc_memory_reserved_bytes", "bodies").await;
    let size = of_share(&node, "osc_memory_share_bytes", "bodies").await;
    assert!(reserved <= size / 2, "{reserved} of {size}");
    assert!(of_share(&node, "osc_memory_refusals_total", "bodies").await >= 8);
    let small = json!({"key": "small", "value": 1});
    let created = node.call(Method::POST, "/configs", Some(small)).await;
    assert_eq!(
        created.status, 201,
        "small bodies have a reserve of their own"
    );
    // The node waits for requests that run.
    drop(held);
    node.stop().await;
}
