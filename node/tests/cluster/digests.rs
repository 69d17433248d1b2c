//! Nodes find rows that were removed behind a node's back by comparing digests, and repair them.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::{cluster::Cluster, wait::until};

/// How often digests are compared.
const ROUND: i64 = 300_000;

/// How far ahead clocks must be for rows of now to be old enough, and for a round to end in 40 seconds: by then all nodes
/// have looked through their tables once.
fn ahead() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let later = 4 * ROUND;
    later + (ROUND - 40_000) - (now + later) % ROUND
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_deletes_in_the_database_of_a_stopped_node_comes_back() {
    let mut cluster = Cluster::bootstrapped(2).await;
    for key in ["lost", "kept", "deleted"] {
        cluster.api(0).create(key, key).await.with(201);
    }
    cluster.api(0).delete("deleted").await.with(200);
    let before = cluster.converged().await;
    assert_eq!(before.len(), 2);
    for node in &mut cluster.nodes {
        node.stop().await;
    }
    let database = Connection::open(cluster.nodes[1].folder.join("configurations.db")).unwrap();
    let deleted = database
        .execute("DELETE FROM entries WHERE key = 'lost'", [])
        .unwrap();
    assert_eq!(deleted, 1);
    drop(database);

    let ahead = ahead();
    for node in 0..2 {
        cluster.skew_clock(node, ahead);
    }
    cluster.start_all().await;
    cluster.all_ready().await;
    cluster.api(1).get("/configs/lost").await.with(404);

    let repaired = cluster.logged(1, "row_repaired", 1).await;
    assert_eq!(repaired["key"], "lost");
    assert_eq!(repaired["source"], "n0");
    assert_eq!(cluster.converged().await, before);
    assert_eq!(cluster.nodes[0].events("row_repaired").len(), 0);
    let metrics = cluster.api(1).get("/metrics").await.with(200).body;
    let metrics = metrics.as_str().unwrap();
    assert!(
        metrics.contains("\nosc_anti_entropy_repaired_total 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\nosc_anti_entropy_mismatches{member=\"n0\"} 1\n"),
        "{metrics}"
    );
    until("both show the digest of the round", async || {
        let (one, other) = (cluster.api(0).status().await, cluster.api(1).status().await);
        let seen = &other["details"]["members"][0]["digest"];
        let own = &one["details"]["digest"];
        (own["root"].is_string() && own["root"] == seen["root"] && seen["mismatches"] == 1)
            .then_some(())
    })
    .await;
}
