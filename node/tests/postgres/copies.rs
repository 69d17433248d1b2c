//! A store moves from a node's file into the shared database, and back.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{API_KEY, Answer, Node, SOON, USER_KEY, World};

/// The settings of a node alone that has the world's salt.
const SALT: (&str, &str) = ("OSC_SALT_SECRET_FILE", "../salt");
const INTO_SHARED: [&str; 5] = [
    "copy",
    "--from",
    "alone/configurations.db",
    "--to",
    "shared",
];
const OUT_OF_SHARED: [&str; 5] = ["copy", "--from", "shared", "--to", "back/configurations.db"];

/// A node with a database of its own in a folder of the world.
fn alone(world: &World, folder: &str) -> Node {
    let folder = world.folder().join(folder);
    fs::create_dir_all(&folder).unwrap();
    Node::alone_with(&folder, &[SALT])
}

async fn post(node: &Node, entry: Value) {
    let made = node.call(Method::POST, "/configs", &[], Some(entry)).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn change(node: &Node, method: Method, path: &str, value: Option<i64>) {
    let body = value.map(|value| json!({ "value": value }));
    let changed = node.call(method, path, &[], body).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}

/// Entries of every kind: with a category, in an environment, changed, deleted, made anew, of any characters.
async fn fill(node: &Node) {
    post(node, json!({"key": "plain", "value": 1})).await;
    post(
        node,
        json!({"key": "of a category", "value": {"port": 5432}, "category": "database"}),
    )
    .await;
    post(
        node,
        json!({"key": "plain", "value": "of staging", "environment": "staging"}),
    )
    .await;
    post(node, json!({"key": "caf\u{e9} \u{1f980}", "value": [1, 2]})).await;
    for key in ["changed", "deleted", "again"] {
        post(node, json!({"key": key, "value": 1})).await;
    }
    change(node, Method::PUT, "/configs/changed", Some(2)).await;
    change(node, Method::DELETE, "/configs/deleted", None).await;
    change(node, Method::DELETE, "/configs/again", None).await;
    post(node, json!({"key": "again", "value": 3})).await;
}

/// All that a client can see of the entries: values, categories, times, versions.
async fn seen(node: &Node) -> Vec<(u16, Option<String>, Value)> {
    let mut seen = Vec::new();
    for path in [
        "/configs/plain",
        "/configs/of%20a%20category",
        "/configs/plain?environment=staging",
        "/configs/caf%C3%A9%20%F0%9F%A6%80",
        "/configs/changed",
        "/configs/deleted",
        "/configs/again",
        "/configs",
    ] {
        let answer = node.get(path).await;
        let version = answer.header("x-osc-version").map(str::to_owned);
        seen.push((answer.status.as_u16(), version, answer.json()));
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_into_the_shared_database_and_back_with_all_that_it_has() {
    let world = World::new().await;
    let mut old = alone(&world, "alone");
    fill(&old).await;
    let before = seen(&old).await;
    old.kill();
    let (code, text) = world.run(&INTO_SHARED, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("6 entries and 1 deletes"), "{text}");
    assert!(text.contains("the copy is finished"), "{text}");

    let mut shared = world.node();
    assert_eq!(seen(&shared).await, before);
    // A deleted entry stays deleted, and a new entry of that name comes after its delete.
    post(&shared, json!({"key": "deleted", "value": 4})).await;
    change(&shared, Method::DELETE, "/configs/changed", None).await;
    let after = seen(&shared).await;
    shared.kill();
    let back = async {
        loop {
            let (code, text) = world.run(&OUT_OF_SHARED, &[]);
            // The server finds out after a moment that the node is gone.
            if code != Some(4) {
                return (code, text);
            }
        }
    };
    let (code, text) = tokio::time::timeout(SOON, back).await.unwrap();
    assert_eq!(code, Some(0), "{text}");
    let back = alone(&world, "back");
    assert_eq!(seen(&back).await, after);
    post(&back, json!({"key": "changed", "value": 5})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_on_after_those_of_the_old_nodes() {
    let world = World::new().await;
    let mut old = alone(&world, "alone");
    post(&old, json!({"key": "k", "value": 1})).await;
    let first = old.get("/configs/k").await;
    let version = |answer: &Answer| answer.header("x-osc-version").unwrap().to_owned();
    change(&old, Method::DELETE, "/configs/k", None).await;
    old.kill();
    assert_eq!(world.run(&INTO_SHARED, &[]).0, Some(0));
    let node = world.node();
    post(&node, json!({"key": "k", "value": 2})).await;
    let second = node.get("/configs/k").await;
    assert!(version(&second) > version(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_written_to_is_copied_again_until_its_node_is_gone() {
    let world = World::new().await;
    let mut old = alone(&world, "alone");
    fill(&old).await;
    let (code, text) = world.run(&INTO_SHARED, &[]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("a node still uses"), "{text}");
    // Until then it is no node's.
    let (code, text) = world.run(&[], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("osc-node copy"), "{text}");
    assert_ne!(world.run(&["database", "migrate"], &[]).0, Some(0));

    change(&old, Method::PUT, "/configs/plain", Some(9)).await;
    post(&old, json!({"key": "new", "value": 1})).await;
    change(&old, Method::DELETE, "/configs/again", None).await;
    let before = seen(&old).await;
    old.kill();
    // An interrupted run may leave any table half filled.
    world
        .server
        .sql("DELETE FROM opensecureconf.entries WHERE category IS NOT NULL; \
              INSERT INTO opensecureconf.entries (environment, key, created_at, updated_at, clock, incarnation, row_hash, clocks) \
              VALUES ('', 'not of it', 0, 0, 1, 1, '', '')")
        .await;
    let (code, text) = world.run(&INTO_SHARED, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("this run wrote 4 and took 1 away"), "{text}");
    assert_eq!(seen(&world.node()).await, before);
}

/// Creates entries one after the other until the node is gone; gives the numbers of those that it acknowledged.
async fn create_until_it_is_gone(url: String) -> Vec<u64> {
    let client = reqwest::Client::new();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let entry = json!({"key": format!("k{number}"), "value": number});
        let request = client.post(format!("{url}/configs")).json(&entry);
        let request = request
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY);
        match request.send().await {
            Ok(answer) if answer.status() == 201 => acknowledged.push(number),
            _ => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_under_load_loses_nothing_that_was_acknowledged() {
    let world = World::new().await;
    let mut old = alone(&world, "alone");
    let creating = tokio::spawn(create_until_it_is_gone(old.url.clone()));
    old.until("/configs/k9", 200).await;
    for _ in 0..3 {
        let (code, text) = world.run(&INTO_SHARED, &[]);
        assert_eq!(code, Some(4), "{text}");
    }
    old.kill();
    let acknowledged = creating.await.unwrap();
    let (code, text) = world.run(&INTO_SHARED, &[]);
    assert_eq!(code, Some(0), "{text}");
    let node = world.node();
    for number in acknowledged {
        let read = node.get(&format!("/configs/k{number}")).await;
        assert_eq!(read.json()["value"], number, "{}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_over_entries_or_between_two_salts() {
    let world = World::new().await;
    let mut old = alone(&world, "alone");
    fill(&old).await;
    old.kill();
    fs::write(world.folder().join("other-salt"), [8; 64]).unwrap();
    let other_salt = [("OSC_SALT_SECRET_FILE", "other-salt")];
    let (code, text) = world.run(&INTO_SHARED, &other_salt);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("osc-node salt export --from"), "{text}");
    let (code, text) = world.run(&["copy", "--from", "shared", "--to", "shared"], &[]);
    assert_eq!(code, Some(2), "{text}");
    let missing = ["copy", "--from", "none.db", "--to", "shared"];
    assert_eq!(world.run(&missing, &[]).0, Some(1));
    assert!(!world.folder().join("none.db.lock").exists());

    let node = world.node();
    post(&node, json!({"key": "there", "value": 1})).await;
    let (code, text) = world.run(&INTO_SHARED, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("has entries already"), "{text}");
    let onto_a_file = [
        "copy",
        "--from",
        "shared",
        "--to",
        "alone/configurations.db",
    ];
    let (code, text) = world.run(&onto_a_file, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("exists already"), "{text}");
    assert_eq!(node.get("/configs/there").await.json()["value"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_refuses_writes_for_less_than_ten_seconds() {
    let world = World::new().await;
    let mut old = alone(&world, "alone");
    for number in 0..200 {
        post(&old, json!({"key": format!("k{number}"), "value": number})).await;
    }
    // The long part, while the old node serves.
    assert_eq!(world.run(&INTO_SHARED, &[]).0, Some(4));
    post(&old, json!({"key": "meanwhile", "value": 1})).await;
    old.kill();
    let stopped = Instant::now();
    let (code, text) = world.run(&INTO_SHARED, &[]);
    assert_eq!(code, Some(0), "{text}");
    let node = world.node();
    post(&node, json!({"key": "after", "value": 1})).await;
    let refused = stopped.elapsed();
    assert!(refused < Duration::from_secs(10), "{refused:?}");
    assert_eq!(node.get("/configs/meanwhile").await.json()["value"], 1);
}
