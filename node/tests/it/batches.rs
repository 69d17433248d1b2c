//! Many changes in one request.

use std::collections::BTreeSet;

use reqwest::{Method, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    node::{API_KEY, Answer, OTHER_USER_KEY, TestNode, USER_KEY, client},
    process::Process,
};

const BATCH: &str = "/configs/batch";
const ALL_OR_NOTHING: &str = "/configs/batch?all_or_nothing=true";

async fn batch(node: &TestNode, path: &str, rows: Value) -> Answer {
    node.call(Method::POST, path, Some(rows)).await
}

/// The lines of an answer, which are numbered like the rows.
fn lines(text: &str) -> Vec<Value> {
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(line["row"], row, "{line}");
    }
    lines
}

/// The statuses of the rows.
fn statuses(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    lines(&answer.text)
        .iter()
        .map(|line| line["status"].as_u64().unwrap())
        .collect()
}

fn create(key: &str) -> Value {
    json!({"op": "create", "key": key, "value": 1})
}

fn creates(rows: std::ops::Range<usize>) -> Value {
    rows.map(|row| create(&format!("entry-{row:04}"))).collect()
}

/// The keys and values that the node has under the user key of the tests.
async fn stored(node: &TestNode) -> Vec<(String, Value)> {
    let list = node.call(Method::GET, "/configs", None).await.json();
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["key"].as_str().unwrap().to_owned(),
                entry["value"].clone(),
            )
        })
        .collect()
}

#[tokio::test]
async fn each_row_is_answered_as_a_request_of_its_own_would_be() {
    let node = TestNode::start();
    for (key, user_key) in [
        ("taken", USER_KEY),
        ("kept", USER_KEY),
        ("theirs", OTHER_USER_KEY),
    ] {
        let body = Some(json!({"key": key, "value": 0, "category": "c"}));
        let created = node.call_as(user_key, Method::POST, "/configs", body).await;
        assert_eq!(created.status, 201);
    }
    let answer = batch(
        &node,
        BATCH,
        json!([
            {"op": "create", "key": "new", "value": {"a": [1]}, "environment": "prod"},
            {"op": "create", "key": "taken", "value": 1},
            {"op": "update", "key": "kept", "value": 2},
            {"op": "update", "key": "missing", "value": 1},
            {"op": "upsert", "key": "upserted", "value": 3},
            {"op": "delete", "key": "taken", "environment": "prod"},
            {"op": "update", "key": "theirs", "value": 1},
            {"op": "create", "key": "theirs", "value": 1, "environment": "x".repeat(101)},
            {"op": "rename", "key": "theirs", "environment": "prod"},
        ]),
    )
    .await;
    assert_eq!(
        statuses(&answer),
        [201, 400, 200, 404, 201, 404, 403, 422, 422]
    );
    let lines = lines(&answer.text);
    for (line, method, path, body) in [
        (
            1,
            Method::POST,
            "/configs",
            Some(json!({"key": "taken", "value": 1})),
        ),
        (
            3,
            Method::PUT,
            "/configs/missing",
            Some(json!({"value": 1})),
        ),
        (5, Method::DELETE, "/configs/taken?environment=prod", None),
        (6, Method::PUT, "/configs/theirs", Some(json!({"value": 1}))),
    ] {
        let alone = node.call(method, path, body).await;
        assert_eq!(lines[line]["status"], alone.status.as_u16());
        assert_eq!(lines[line]["detail"], alone.json()["detail"]);
    }
    let named = (&lines[0]["key"], &lines[0]["environment"]);
    assert_eq!(named, (&json!("new"), &json!("prod")));
    assert_eq!(
        lines[7]["detail"][0]["loc"],
        json!(["body", 7, "environment"])
    );

    let read = |path: &'static str| node.call(Method::GET, path, None);
    let new = read("/configs/new?environment=prod&mode=full").await;
    assert_eq!(new.json()["value"], json!({"a": [1]}));
    assert_eq!(new.json()["created_at"], lines[0]["created_at"]);
    assert_eq!(new.header("x-osc-version"), lines[0]["version"].as_str());
    let kept = read("/configs/kept").await.json();
    let kept = (&kept["value"], &kept["category"]);
    assert_eq!(kept, (&json!(2), &json!("c")), "its category stays");
    assert_eq!(read("/configs/taken").await.json()["value"], 0);

    let deleted = batch(&node, BATCH, json!([{"op": "delete", "key": "taken"}])).await;
    assert_eq!(statuses(&deleted), [200]);
    assert_eq!(read("/configs/taken").await.status, 404);
    node.stop().await;
}

#[tokio::test]
async fn a_row_acts_only_on_the_version_that_it_names() {
    let node = TestNode::start();
    let rows = json!([create("a"), create("b"), create("c"), create("d")]);
    let created = batch(&node, BATCH, rows).await;
    let versions: Vec<_> = lines(&created.text)
        .into_iter()
        .map(|line| line["version"].clone())
        .collect();
    let quoted = format!("\"{}\"", versions[1].as_str().unwrap());
    let answer = batch(
        &node,
        BATCH,
        json!([
            {"op": "update", "key": "a", "value": 2, "if_match": versions[0]},
            {"op": "delete", "key": "b", "if_match": quoted},
            {"op": "update", "key": "c", "value": 2, "if_match": versions[0]},
            {"op": "upsert", "key": "d", "value": 2, "if_none_match": "*"},
            {"op": "update", "key": "e", "value": 2, "if_none_match": "*"},
            {"op": "upsert", "key": "f", "value": 2, "if_match": "*"},
        ]),
    )
    .await;
    assert_eq!(statuses(&answer), [200, 200, 412, 412, 201, 412]);
    let entry = |key: &str, value: u64| (key.to_owned(), json!(value));
    assert_eq!(
        stored(&node).await,
        [entry("a", 2), entry("c", 1), entry("d", 1), entry("e", 2)]
    );
    node.stop().await;
}

#[tokio::test]
async fn where_one_row_is_refused_a_batch_that_is_all_or_nothing_changes_nothing() {
    let node = TestNode::start();
    let old = batch(&node, BATCH, json!([create("old"), create("gone")])).await;
    assert_eq!(statuses(&old), [201, 201]);
    let before = stored(&node).await;
    let theirs = json!({"key": "theirs", "value": 0});
    let theirs = node.call_as(OTHER_USER_KEY, Method::POST, "/configs", Some(theirs));
    assert_eq!(theirs.await.status, 201);
    for (status, refused) in [
        (400, create("old")),
        (404, json!({"op": "delete", "key": "missing"})),
        (403, json!({"op": "delete", "key": "theirs"})),
        (
            412,
            json!({"op": "upsert", "key": "old", "value": 3, "if_none_match": "*"}),
        ),
        (422, json!({"op": "create", "key": "nothing"})),
    ] {
        let rows = json!([
            create("new"),
            {"op": "delete", "key": "gone"},
            refused,
            {"op": "upsert", "key": "another", "value": 3},
        ]);
        let answer = batch(&node, ALL_OR_NOTHING, rows).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.json()["row"], 2);
        assert!(!answer.json()["detail"].is_null());
        assert_eq!(stored(&node).await, before, "{refused}");
    }
    let rows = json!([create("new"), {"op": "delete", "key": "gone"}, {"op": "update", "key": "old", "value": 2}]);
    let answer = batch(&node, ALL_OR_NOTHING, rows).await;
    assert_eq!(statuses(&answer), [201, 200, 200]);
    let entry = |key: &str, value: u64| (key.to_owned(), json!(value));
    assert_eq!(stored(&node).await, [entry("new", 1), entry("old", 2)]);
    node.stop().await;
}

#[tokio::test]
async fn a_thousand_rows_are_answered_in_their_order_and_one_more_is_refused() {
    for path in [BATCH, ALL_OR_NOTHING] {
        let node = TestNode::start();
        let refused = batch(&node, path, creates(0..1_001)).await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.json()["detail"][0]["type"], "too_long");
        assert_eq!(stored(&node).await.len(), 0);
        let answer = batch(&node, path, creates(0..1_000)).await;
        assert_eq!(statuses(&answer), vec![201; 1_000]);
        assert_eq!(stored(&node).await.len(), 1_000);
        let again = batch(&node, BATCH, creates(0..1_000)).await;
        assert_eq!(statuses(&again), vec![400; 1_000]);
        assert_eq!(statuses(&batch(&node, path, json!([])).await), [0_u64; 0]);
        node.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let node = TestNode::start_in(TempDir::new().unwrap(), &[("OSC_MAX_BODY_BYTES", "1000")]);
    let twice = json!([create("a"), create("b"), create("a")]);
    let too_large = json!([{"op": "create", "key": "a", "value": "x".repeat(1_000)}]);
    for (status, kind, rows) in [
        (422, Some("value_error"), twice),
        (422, Some("list_type"), json!({"op": "create"})),
        (422, Some("missing"), Value::Null),
        (413, None, too_large),
    ] {
        let answer = batch(&node, BATCH, rows).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.json()["detail"][0]["type"].as_str(), kind);
    }
    let environments =
        json!([create("a"), {"op": "create", "key": "a", "value": 1, "environment": "prod"}]);
    assert_eq!(
        statuses(&batch(&node, BATCH, environments).await),
        [201, 201],
        "these are two entries"
    );
    let send = |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status() };
    let body = || json!([create("b")]).to_string();
    let request = || node.request(Method::POST, BATCH).body(body());
    assert_eq!(send(request()).await, 422, "without a user key");
    assert_eq!(send(request().header("X-User-Key", "short")).await, 401);
    let form = request()
        .header("X-User-Key", USER_KEY)
        .header(header::CONTENT_TYPE, "application/x-ndjson");
    assert_eq!(send(form).await, 422);
    let no_api_key = node
        .client
        .post(format!("{}{BATCH}", node.url))
        .body(body());
    assert_eq!(send(no_api_key).await, 403);
    let odd = "/configs/batch?all_or_nothing=perhaps";
    assert_eq!(batch(&node, odd, json!([])).await.status, 422);
    node.stop().await;
}

#[tokio::test]
async fn a_batch_is_one_guess_of_its_user_key_however_many_entries_that_does_not_open() {
    let node = TestNode::start();
    let created = batch(&node, BATCH, creates(0..100)).await;
    assert_eq!(statuses(&created), vec![201; 100]);
    let limit = [("OSC_AUTH_FAILURES_PER_MINUTE", "3")];
    let node = TestNode::start_in(node.stop().await, &limit);
    let rows: Value = (0..100)
        .map(|row| json!({"op": "delete", "key": format!("entry-{row:04}")}))
        .collect();
    let guess = |number: usize| {
        let key = format!("a guess of the tests, number {number}");
        let request = node.request(Method::POST, BATCH).header("X-User-Key", key);
        let request = request.json(&rows);
        async { Answer::of(request.send().await.unwrap()).await }
    };
    for number in 0..3 {
        let refused = statuses(&guess(number).await);
        assert_eq!(refused, vec![403; 100], "guess {number}");
    }
    assert_eq!(guess(3).await.status, 429);
    let read = node.call(Method::GET, "/configs/entry-0000", None).await;
    assert_eq!(read.status, 429, "by any route");
    node.stop().await;
}

#[tokio::test]
async fn rows_are_counted_like_requests_of_their_own() {
    let node = TestNode::start();
    batch(
        &node,
        BATCH,
        json!([create("a"), create("b"), {"op": "upsert", "key": "c", "value": 1}, {"op": "delete", "key": "d"}]),
    )
    .await;
    let page = node.call(Method::GET, "/metrics", None).await.text;
    for line in [
        r#"osc_config_operations_total{operation="create",status="success"} 2"#,
        r#"osc_config_operations_total{operation="update",status="success"} 1"#,
        r#"osc_config_operations_total{operation="delete",status="not_found"} 1"#,
        r#"osc_encryption_operations_total{operation="encrypt"} 3"#,
        r#"osc_http_requests_total{endpoint="/configs/batch",method="POST",status_code="200"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    node.stop().await;
}

#[tokio::test]
async fn an_entry_may_be_called_batch() {
    let node = TestNode::start();
    let created = node.call(
        Method::POST,
        "/configs",
        Some(json!({"key": "batch", "value": 1})),
    );
    assert_eq!(created.await.status, 201);
    let updated = node.call(Method::PUT, BATCH, Some(json!({"value": 2})));
    assert_eq!(updated.await.json()["value"], 2);
    assert_eq!(node.call(Method::GET, BATCH, None).await.json()["value"], 2);
    assert_eq!(node.call(Method::DELETE, BATCH, None).await.status, 200);
    let page = node.call(Method::GET, "/metrics", None).await.text;
    let line =
        r#"osc_http_requests_total{endpoint="/configs/{key}",method="GET",status_code="200"} 1"#;
    assert!(page.lines().any(|found| found == line), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn large_values_are_replaced_like_small_ones() {
    let node = TestNode::start();
    let large = |letter: &str| letter.repeat(300 << 10);
    for (op, letter, status) in [("create", "a", 201), ("update", "b", 200)] {
        let rows = json!([
            create(&format!("small-{op}")),
            {"op": op, "key": "large-1", "value": large(letter)},
            {"op": op, "key": "large-2", "value": large(letter)},
        ]);
        let answer = batch(&node, BATCH, rows).await;
        assert_eq!(statuses(&answer), [201, status, status]);
    }
    let read = node.call(Method::GET, "/configs/large-2", None).await;
    assert_eq!(read.json()["value"], large("b"));
    node.stop().await;
}

#[tokio::test]
async fn where_the_client_goes_away_what_is_written_is_a_beginning_of_the_batch() {
    let node = TestNode::start();
    let body = creates(0..1_000).to_string();
    let head = format!(
        "POST {BATCH} HTTP/1.1\r\nHost: test\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let address = node.url.strip_prefix("http://").unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut first = [0; 16];
    connection.read_exact(&mut first).await.unwrap();
    assert_eq!(&first[..], b"HTTP/1.1 200 OK\r");
    drop(connection);
    let node = TestNode::start_in(node.stop().await, &[]);
    let stored = stored(&node).await;
    for (row, (key, _)) in stored.iter().enumerate() {
        assert_eq!(*key, format!("entry-{row:04}"));
    }
    node.stop().await;
}

#[tokio::test]
async fn every_line_that_came_is_durable_when_the_node_is_killed_in_the_middle() {
    let folder = TempDir::new().unwrap();
    let mut answered = BTreeSet::new();
    for round in 0..5 {
        let node = Process::start(folder.path(), &[]);
        let rows: Value = (0..1_000)
            .map(|row| create(&format!("{round}-{row}")))
            .collect();
        let request = client()
            .post(format!("{}{BATCH}", node.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY);
        let mut answer = request.json(&rows).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let (mut text, mut node) = (Vec::new(), Some(node));
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend_from_slice(&chunk);
            // The first lines came, and other rows are under way.
            if let Some(node) = node.take() {
                node.kill();
            }
        }
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in lines(std::str::from_utf8(&text[..whole]).unwrap()) {
            assert_eq!(line["status"], 201, "{line}");
            answered.insert(line["key"].as_str().unwrap().to_owned());
        }
    }
    assert!(answered.len() >= 5, "{}", answered.len());
    let node = Process::start(folder.path(), &[]);
    let list = client()
        .get(format!("{}/configs", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    let entries: Value = list.send().await.unwrap().json().await.unwrap();
    let stored: BTreeSet<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["key"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = answered.difference(&stored).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test]
async fn of_two_batches_over_the_same_names_each_row_is_made_once() {
    let node = TestNode::start();
    let (one, other) = tokio::join!(
        batch(&node, BATCH, creates(0..300)),
        batch(&node, BATCH, creates(0..300))
    );
    for (one, other) in statuses(&one).into_iter().zip(statuses(&other)) {
        assert!(
            matches!((one, other), (201, 400) | (400, 201)),
            "{one} {other}"
        );
    }
    let (one, other) = tokio::join!(
        batch(&node, ALL_OR_NOTHING, creates(300..600)),
        batch(&node, ALL_OR_NOTHING, creates(300..600))
    );
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [200, 400]);
    assert_eq!(stored(&node).await.len(), 600);
    node.stop().await;
}
