//! `OSC_DATABASE_TIMEOUT` is the limit of a whole request, however many questions it has for the database.

use std::time::Duration;

use opensecureconf_node::store::BATCH_ROWS;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    ways::SlowWay,
    world::{Answer, Node, World},
};

const LIMIT: Duration = Duration::from_secs(2);
/// Less than the limit of a request, and more than a third of it.
const DELAY: Duration = Duration::from_millis(900);

async fn put(node: &Node, headers: &[(&str, &str)], value: i64) -> Answer {
    let body = Some(json!({ "value": value }));
    node.call(Method::PUT, "/configs/k", headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_several_questions_has_one_limit_for_all() {
    let world = World::new().await;
    let way = SlowWay::to(&world.server);
    let url = way.url();
    let node = world.node_with(&[
        ("OSC_DATABASE_URL", url.as_str()),
        ("OSC_DATABASE_TIMEOUT", "2"),
    ]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    assert_eq!(put(&node, &[], 2).await.status, 200);
    way.delay_answers(DELAY);
    // A PUT reads the entry, reads it again before it writes, and writes: each of these in time, and all of them not.
    let begun = Instant::now();
    let answer = put(&node, &[], 3).await;
    let took = begun.elapsed();
    assert_eq!(answer.status, 503, "after {took:?}: {}", answer.text);
    assert!(took < 2 * LIMIT, "{took:?}");
    // Of a condition that does not hold the node makes sure, which is one more question.
    let begun = Instant::now();
    let other = [("If-Match", "\"0000000000000000-0000000000000000\"")];
    let answer = put(&node, &other, 3).await;
    let took = begun.elapsed();
    assert!(took < 2 * LIMIT, "{took:?}: {}", answer.text);

    way.delay_answers(Duration::ZERO);
    node.until("/ready", 200).await;
    assert_eq!(put(&node, &[], 4).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_over_a_silent_database_ends_after_the_time_of_a_request() {
    let world = World::new().await;
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "2")]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let rows: Vec<_> = (0..200)
        .map(|number| json!({"op": "update", "key": format!("k{number}"), "value": 1}))
        .collect();
    let hanging = world.server.hang().await;
    let begun = Instant::now();
    let answer = node
        .call(Method::POST, "/configs/batch", &[], Some(json!(rows)))
        .await;
    let took = begun.elapsed();
    drop(hanging);
    assert!(took < 3 * LIMIT, "{took:?}: {}", answer.text);
    node.until("/ready", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_another_session_holds_costs_a_batch_no_other_row() {
    /// More than are under way while the first ones wait.
    const CREATED: usize = 8 * BATCH_ROWS;
    let world = World::new().await;
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "4")]);
    assert_eq!(node.create("held", 1, &[]).await.status, 201);
    let mut other = world.server.connect("postgres").await.unwrap();
    let holding = other.transaction().await.unwrap();
    let hold = "SELECT FROM opensecureconf.entries FOR UPDATE";
    holding.batch_execute(hold).await.unwrap();
    let mut rows = vec![json!({"op": "update", "key": "held", "value": 2})];
    let create = |number| json!({"op": "create", "key": format!("k{number}"), "value": 1});
    rows.extend((0..CREATED).map(create));
    let answer = node
        .call(Method::POST, "/configs/batch", &[], Some(json!(rows)))
        .await;
    let lines: Vec<serde_json::Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let made = lines.iter().filter(|line| line["status"] == 201).count();
    assert_eq!(made, CREATED, "{}", answer.text);
    assert_eq!(lines[0]["status"], 503, "{}", lines[0]);
    holding.rollback().await.unwrap();
}
