//! Lists of few large values, in the room that a small node has.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{Answer, TestNode};

/// A node with values of so many bytes.
async fn node_with_values(count: usize, bytes: usize, settings: &[(&str, &str)]) -> TestNode {
    let node = TestNode::start_in(TempDir::new().unwrap(), settings);
    for n in 0..count {
        let body = json!({"key": format!("k{n}"), "value": value(n, bytes)});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
    }
    node
}

fn value(n: usize, bytes: usize) -> Value {
    let letter = ["a", "b", "c", "d", "e", "f", "g", "h"][n];
    json!(letter.repeat(bytes))
}

/// The answer has exactly the first entries, each with its own value.
#[track_caller]
fn assert_is_list(answer: &Answer, count: usize, bytes: usize) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries = answer.json();
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), count);
    for (n, entry) in entries.iter().enumerate() {
        assert_eq!(entry["key"], format!("k{n}"));
        assert!(entry["value"] == value(n, bytes), "the value of k{n}");
    }
}

async fn refusals_of_answers(node: &TestNode) -> u64 {
    let page = node.call(Method::GET, "/metrics", None).await.text;
    let start = "osc_memory_refusals_total{share=\"answers\"} ";
    let line = page.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap().parse().unwrap()
}

/// Lists and pages of three values of 1 MB are whole. The node refuses a list that waits for room that it holds itself, after a
/// while.
async fn lists_are_whole(settings: &[(&str, &str)]) {
    const BYTES: usize = 1_000_000;
    let node = node_with_values(3, BYTES, settings).await;
    for (path, count) in [
        ("/configs", 3),
        ("/configs?mode=full", 3),
        ("/configs?limit=1", 1),
        ("/configs?limit=2", 2),
        ("/configs?limit=3", 3),
    ] {
        let answer = node.call(Method::GET, path, None).await;
        assert_is_list(&answer, count, BYTES);
    }
    assert_eq!(refusals_of_answers(&node).await, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_list_of_large_values_needs_little_memory() {
    for memory in ["67108864", "100663296", "134217728"] {
        lists_are_whole(&[("OSC_MEMORY_BYTES", memory)]).await;
    }
}

#[tokio::test]
async fn a_list_in_pieces_of_large_values_needs_little_memory() {
    lists_are_whole(&[
        ("OSC_MEMORY_BYTES", "67108864"),
        ("OSC_LIST_SNAPSHOT_ROWS", "1"),
        ("OSC_LIST_PAGE_ROWS", "10"),
    ])
    .await;
}

#[tokio::test]
async fn a_list_whose_buffer_leaves_no_room_for_a_larger_value_begins_anew() {
    let node = node_with_values(0, 0, &[("OSC_ANSWER_MEMORY_BYTES", "1500000")]).await;
    let lengths = [300_000, 300_000, 1_000_000, 10];
    for (n, bytes) in lengths.into_iter().enumerate() {
        let body = json!({"key": format!("k{n}"), "value": value(n, bytes)});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
    }
    let answer = node.call(Method::GET, "/configs", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries = answer.json();
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), lengths.len());
    for (n, bytes) in lengths.into_iter().enumerate() {
        assert!(entries[n]["value"] == value(n, bytes), "the value of k{n}");
    }
    assert_eq!(refusals_of_answers(&node).await, 0);
    node.stop().await;
}

#[tokio::test]
async fn four_clients_of_one_address_all_get_their_list() {
    const BYTES: usize = 900_000;
    let node = node_with_values(6, BYTES, &[]).await;
    let client = async || {
        for path in ["/configs?limit=6", "/configs?limit=5", "/configs?limit=6"] {
            let count = if path.ends_with('5') { 5 } else { 6 };
            let answer = node.call(Method::GET, path, None).await;
            assert_is_list(&answer, count, BYTES);
        }
    };
    join_all((0..4).map(|_| client())).await;
    assert_eq!(refusals_of_answers(&node).await, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_list_does_not_wait_for_what_it_holds_itself() {
    const BYTES: usize = 3_000_000;
    let node = node_with_values(3, BYTES, &[("OSC_MAX_BODY_BYTES", "3145728")]).await;
    for path in ["/configs", "/configs?limit=3"] {
        let answer = node.call(Method::GET, path, None).await;
        assert_is_list(&answer, 3, BYTES);
    }
    assert_eq!(refusals_of_answers(&node).await, 0);
    node.stop().await;
}

#[tokio::test]
async fn one_value_larger_than_an_addresss_part_is_answered() {
    let node = node_with_values(1, 1_000_000, &[("OSC_ANSWER_MEMORY_BYTES", "3000000")]).await;
    let answer = node.call(Method::GET, "/configs/k0", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.json()["value"] == value(0, 1_000_000));
    assert_eq!(refusals_of_answers(&node).await, 0);
    node.stop().await;
}

/// A list of these entries, of which those whose names end with `x` were written for other entries, has all others. The node has
/// little memory for answers, of which one address has 450,000 bytes.
async fn list_is_whole_beside_misplaced(entries: &[(&str, usize)]) {
    let little = [("OSC_ANSWER_MEMORY_BYTES", "2400000")];
    let node = TestNode::start_in(TempDir::new().unwrap(), &little);
    for (key, bytes) in entries {
        let body = json!({"key": key, "value": "v".repeat(*bytes)});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
    }
    let folder = node.stop().await;
    crate::at_rest::take_seals_away(folder.path(), "key LIKE '%x'");
    let node = TestNode::start_in(folder, &little);
    let whole = entries.iter().map(|(key, _)| *key);
    let whole: Vec<_> = whole.filter(|key| !key.ends_with('x')).collect();
    for path in ["/configs", "/configs?limit=100"] {
        let list = node.call(Method::GET, path, None).await;
        assert_eq!(list.status, 200, "{}", list.text);
        let list = list.json();
        let keys = list.as_array().unwrap().iter();
        let keys: Vec<_> = keys.map(|entry| entry["key"].as_str().unwrap()).collect();
        assert_eq!(keys, whole, "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_list_that_begins_anew_behind_a_misplaced_entry_has_its_last_entry() {
    // Of the buffer some is kept, and the value for which it has no room needs less than that.
    let mut entries = Vec::new();
    let names: Vec<_> = (0..20)
        .map(|n| (format!("k{n:02}"), format!("k{n:02}x")))
        .collect();
    for (whole, misplaced) in &names {
        entries.extend([(whole.as_str(), 60_000), (misplaced.as_str(), 10)]);
    }
    entries.push(("last", 10));
    list_is_whole_beside_misplaced(&entries).await;
}

#[tokio::test]
async fn a_list_that_gives_its_buffer_back_behind_a_misplaced_entry_has_its_last_entry() {
    // The room of the buffer is too little for the last value, and there is no more beside it.
    let entries = [
        ("a", 40_000),
        ("bx", 10),
        ("c", 40_000),
        ("dx", 10),
        ("e", 420_000),
        ("f", 10),
        ("g", 10),
    ];
    list_is_whole_beside_misplaced(&entries).await;
}
