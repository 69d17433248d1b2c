//! The database's disk is full: the node refuses writes and says why, reads go on, and no acknowledged write is lost.

use std::time::Duration;

use crate::{
    server::Server,
    world::{Answer, Node, SOON, World},
};

/// A store whose entries are on a small disk, most of which another table fills.
async fn almost_full() -> World {
    let world = World::on(Server::with_small_disk().await);
    let place = world.server.small_disk().display().to_string();
    world
        .server
        .sql(&format!(
            "CREATE TABLESPACE small LOCATION '{place}'; ALTER TABLE opensecureconf.entries SET TABLESPACE small; \
             CREATE TABLE filler (text text) TABLESPACE small; ALTER TABLE filler ALTER text SET STORAGE EXTERNAL; \
             INSERT INTO filler VALUES (repeat('x', 5000000))"
        ))
        .await;
    world
}

/// Creates large entries until the node refuses one; gives the names of the created ones, and the refusal.
async fn fill(node: &Node) -> (Vec<String>, Answer) {
    let mut taken = Vec::new();
    loop {
        let key = format!("k{}", taken.len());
        let body = serde_json::json!({"key": key, "value": "x".repeat(100_000)});
        let answer = node
            .call(reqwest::Method::POST, "/configs", &[], Some(body))
            .await;
        if answer.status != 201 {
            return (taken, answer);
        }
        taken.push(key);
        assert!(taken.len() < 100, "8 MiB do not hold this much");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_database_refuses_writes_and_no_reads() {
    let world = almost_full().await;
    let node = world.node();
    let (taken, refused) = fill(&node).await;
    assert_eq!(refused.status, 507, "{}", refused.text);
    assert!(refused.text.contains("disk is full"), "{}", refused.text);
    assert!(!taken.is_empty());
    let health = node.get("/health").await;
    assert!(
        health.text.contains("refused: disk full"),
        "{}",
        health.text
    );
    node.until("/ready", 200).await;
    let page = node.get("/metrics").await.text;
    assert!(
        page.lines()
            .any(|line| line == "osc_store_writes_refused 1")
    );
    for key in &taken {
        assert_eq!(node.get(&format!("/configs/{key}")).await.status, 200);
    }
    let lost = node.get(&format!("/configs/k{}", taken.len())).await;
    assert_eq!(lost.status, 404, "what was refused is not there");

    world.server.sql("DROP TABLE filler").await;
    let accepting = async {
        while !node.get("/health").await.text.contains("accepted") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, accepting).await.unwrap();
    assert_eq!(node.create("small", 1, &[]).await.status, 201);
}
