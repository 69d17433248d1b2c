//! A caller who has the cluster key and is no member: its messages end no node, and stop no node's writes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{api::Api, cluster::Cluster};

/// Sends a message in the name of this greeting; gives the answer.
async fn say(to: &Api, hello: &Value, body: Value) -> Value {
    let message = json!({ "hello": hello, "body": body });
    let answer = to
        .owner(Method::POST, "/cluster/v1/exchange", Some(message))
        .await;
    answer.with(200).body
}

/// A greeting of a node that no member knows.
fn greeting() -> Value {
    json!({
        "protocol": { "major": 1, "minor": 2 }, "release": "none", "cluster": "tests", "mode": "replica",
        "name": "nobody", "incarnation": 4711, "process_epoch": 4712, "turn": 1, "heard": null, "epoch_began": 0,
        "address": null, "cluster_uid": null, "salt": null, "ready": false, "source": false,
        "acknowledges": false, "fenced": false, "has_rows": false, "head": 0, "purged": 0,
        "origin": null, "received": null, "roster": 0, "entries": 0, "time": 0,
    })
}

/// A node's greeting, which every holder of the cluster key gets by asking.
async fn greeting_of(api: &Api) -> Value {
    say(api, &greeting(), json!("heartbeat")).await["hello"].clone()
}

/// The greeting of one node, changed as if it were made for another node just now.
async fn copied(of: &Api, to: &Api) -> Value {
    let (mut hello, hearer) = (greeting_of(of).await, greeting_of(to).await);
    hello["heard"] = json!([hearer["process_epoch"], hearer["turn"]]);
    hello["turn"] = json!(hello["turn"].as_u64().unwrap() + 1_000_000);
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn greetings_in_members_names_fence_nobody() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.converged().await;
    let apis = cluster.apis();
    let mut incarnations = Vec::new();
    for api in &apis {
        incarnations.push(api.incarnation().await);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        for to in 0..3 {
            for of in (0..3).filter(|of| *of != to) {
                let mut hello = copied(&apis[of], &apis[to]).await;
                hello["purged"] = json!(1_u64 << 40);
                hello["head"] = json!(1_u64 << 41);
                say(&apis[to], &hello, json!("heartbeat")).await;
                // A message of another process of that node, too: no member has heard its head.
                hello["process_epoch"] = json!(4713);
                hello["epoch_began"] = json!(1_u64 << 41);
                say(&apis[to], &hello, json!("heartbeat")).await;
            }
            assert_eq!(apis[to].value("entry").await, 1);
            apis[to].put(&format!("entry-{to}?upsert=true"), 1).await;
        }
    }
    cluster.converged().await;
    for node in 0..3 {
        assert!(
            cluster.nodes[node].events("node_fenced").is_empty(),
            "n{node}"
        );
        cluster.nodes[node].stop().await;
    }
    cluster.start_all().await;
    cluster.all_ready().await;
    let written = cluster.api(0).create("after", 1).await.with(201);
    cluster.everywhere("after", &written.version()).await;
    cluster.converged().await;
    for (api, before) in cluster.apis().iter().zip(incarnations) {
        assert_eq!(api.incarnation().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_from_beyond_all_time_ends_no_writes() {
    let cluster = Cluster::bootstrapped(3).await;
    let apis = cluster.apis();
    for to in 0..3 {
        let of = (to + 1) % 3;
        let hello = copied(&apis[of], &apis[to]).await;
        for clock in [i64::MAX, 454_989_289_881_600_000] {
            let entry = json!([4711, {
                "name": "nobody", "phase": "joining",
                "admitted": { "clock": clock, "incarnation": hello["incarnation"] },
            }]);
            let roster = json!({ "roster": { "entries": [entry], "removals": [] } });
            say(&apis[to], &hello, roster).await;
        }
    }
    for (number, api) in apis.iter().enumerate() {
        let created = api.create(&format!("entry-{number}"), 1).await.with(201);
        cluster
            .everywhere(&format!("entry-{number}"), &created.version())
            .await;
    }
    cluster.converged().await;
    let status = apis[0].status().await;
    assert_eq!(
        status["details"]["members"].as_array().unwrap().len(),
        2,
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_misses_nothing_is_not_unfenced() {
    let cluster = Cluster::bootstrapped(1).await;
    let api = cluster.api(0);
    for order in ["/cluster/unfence?dry_run=true", "/cluster/unfence"] {
        let refused = api.owner(Method::POST, order, None).await;
        assert_eq!(refused.status, 409, "{order}: {}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_at_its_end_is_left_behind_with_its_cluster() {
    let mut cluster = Cluster::bootstrapped(1).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.nodes[0].stop().await;
    let folder = cluster.nodes[0].folder.clone();
    let database = rusqlite::Connection::open(folder.join("configurations.db")).unwrap();
    let last = 454_989_289_881_599_999_i64;
    let poisoned = database.execute(
        "UPDATE meta SET value = ?1 WHERE name = 'clock_high_water'",
        [last],
    );
    assert_eq!(poisoned.unwrap(), 1);
    drop(database);
    cluster.nodes[0].start().await;
    cluster.ready(0).await;
    cluster.api(0).create("more", 1).await.with(503);
    cluster.nodes[0].stop().await;
    for command in [
        &["backup", "--output", "b.db"][..],
        &["restore", "--input", "b.db", "--force", "--new-cluster"],
    ] {
        let (code, complaint) = cluster.nodes[0].run_to_its_end(command);
        assert_eq!(code, Some(0), "{complaint}");
    }
    cluster.nodes[0].start().await;
    cluster.bootstrap(0).await.with(200);
    cluster.ready(0).await;
    cluster.api(0).create("more", 1).await.with(201);
    cluster.api(0).put("entry", 2).await.with(200);
}
