//! Rows that a disk damaged: they stop no exchange, no node passes them on, and an intact member restores them.

use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;

use crate::{cluster::Cluster, wait::until};

fn damage(cluster: &Cluster, node: usize, sql: &str) {
    let path = cluster.nodes[node].folder.join("configurations.db");
    let database = Connection::open(path).unwrap();
    assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_nobody_can_read_stops_no_feed_and_comes_back_whole() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster.nodes[2].stop().await;
    for key in ["before", "token", "category", "hash", "behind"] {
        cluster.api(0).create(key, key).await.with(201);
    }
    cluster.converged().await;
    cluster.nodes[0].stop().await;
    for sql in [
        "UPDATE entries SET token = CAST(x'67ff41' AS TEXT) WHERE key = 'token'",
        "UPDATE entries SET category = CAST(x'67ff41' AS TEXT) WHERE key = 'category'",
        "UPDATE entries SET row_hash = x'ff' WHERE key = 'hash'",
    ] {
        damage(&cluster, 0, sql);
    }
    // The rows that n2 has missed are in n0's feed beside the damaged rows and behind them.
    cluster.start_all().await;
    cluster.all_ready().await;
    cluster.api(0).create("later-0", 0).await.with(201);
    cluster.api(1).create("later-1", 1).await.with(201);
    until("n0 has all of them whole", async || {
        for key in ["token", "category", "hash"] {
            let read = cluster.api(0).get(&format!("/configs/{key}")).await;
            if read.status != 200 || read.body["category"] != Value::Null {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert_eq!(cluster.converged().await.len(), 7);
    cluster.logged(0, "row_damaged", 3).await;
    assert_eq!(cluster.nodes[0].events("write_failed").len(), 0);
    cluster.nodes[0].stop().await;
    let (code, text) = cluster.nodes[0].run_to_its_end(&["check"]);
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_from_one_that_has_rows_which_nobody_can_read() {
    let mut cluster = Cluster::bootstrapped(2).await;
    let keys = ["a", "category", "hash", "name", "token", "z"];
    for key in keys {
        cluster.api(0).create(key, key).await.with(201);
    }
    cluster.converged().await;
    cluster.nodes[0].stop().await;
    for sql in [
        "UPDATE entries SET token = CAST(x'67ff41' AS TEXT) WHERE key = 'token'",
        "UPDATE entries SET category = CAST(x'67ff41' AS TEXT) WHERE key = 'category'",
        "UPDATE entries SET row_hash = x'ff' WHERE key = 'hash'",
        "UPDATE entries SET key = CAST(x'6eff' AS TEXT) WHERE key = 'name'",
    ] {
        damage(&cluster, 0, sql);
    }
    cluster.start_all().await;
    cluster.all_ready().await;
    cluster.nodes[1].stop().await;
    cluster.nodes[1].wipe();
    cluster.start_all().await;
    cluster.all_ready().await;
    for key in ["a", "z"] {
        assert_eq!(cluster.api(1).value(key).await, key);
    }
    // Nobody has these whole any more: their names can be had again.
    for key in ["category", "hash", "token"] {
        let path = format!("/admin/configs/{key}");
        cluster
            .api(0)
            .owner(Method::DELETE, &path, None)
            .await
            .with(200);
        cluster.api(0).create(key, "anew").await.with(201);
    }
    cluster.api(1).create("name", "anew").await.with(201);
    assert_eq!(cluster.converged().await.len(), keys.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_changed_on_one_disk_is_refused_there_and_comes_back_whole() {
    let mut cluster = Cluster::bootstrapped(2).await;
    for key in ["a", "b"] {
        cluster.api(0).create(key, key).await.with(201);
    }
    cluster.converged().await;
    cluster.nodes[0].stop().await;
    damage(
        &cluster,
        0,
        "UPDATE entries SET token = (SELECT token FROM entries WHERE key = 'b') WHERE key = 'a'",
    );
    cluster.start_all().await;
    cluster.all_ready().await;
    let seen = cluster.api(0).get("/configs/a").await;
    assert_ne!(seen.body["value"], "b", "it is never served");
    until("n0 has it whole", async || {
        let read = cluster.api(0).get("/configs/a").await;
        (read.status == 200 && read.body["value"] == "a").then_some(())
    })
    .await;
    cluster.logged(0, "row_damaged", 1).await;
}
