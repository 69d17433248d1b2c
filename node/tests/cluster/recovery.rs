//! Nodes that stop, die, lose their disk or get an old disk back.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{cluster::Cluster, network::Way, wait::until};

const LOCAL: [(&str, &str); 1] = [("X-OSC-Ack", "local")];

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_wrote_is_read_on_every_other_one() {
    let cluster = Cluster::bootstrapped(3).await;
    for writer in 0..3 {
        let key = format!("from-n{writer}");
        let written = cluster
            .api(writer)
            .create(&key, json!({"by": writer}))
            .await
            .with(201);
        for api in cluster.apis() {
            // Where all nodes acknowledged the write, the test need not wait.
            if written.header("x-osc-acked") == Some("3/3") {
                assert_eq!(api.value(&key).await, json!({"by": writer}));
            }
        }
        cluster.everywhere(&key, &written.version()).await;
    }
    assert_eq!(cluster.converged().await.len(), 3);
    cluster.one_salt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_catches_up_before_it_is_ready() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("before", 1).await.with(201);
    cluster.api(0).create("doomed", 1).await.with(201);
    cluster.converged().await;
    cluster.nodes[2].kill();
    for number in 0..300 {
        let key = format!("meanwhile-{number}");
        cluster.api(number % 2).create(&key, number).await.with(201);
    }
    cluster.api(1).put("before", 2).await.with(200);
    cluster.api(1).delete("doomed").await.with(200);
    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    // Not eventually, but at once.
    let list = cluster.api(2).get("/configs").await.with(200).body;
    assert_eq!(list.as_array().unwrap().len(), 301);
    assert_eq!(cluster.api(2).value("before").await, 2);
    cluster.api(2).get("/configs/doomed").await.with(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_and_catches_up_while_the_others_are_written_to_without_pause() {
    let mut cluster = Cluster::bootstrapped(3).await;
    let (mut writers, stop) = (JoinSet::new(), CancellationToken::new());
    for writer in 0..6 {
        let (api, stop) = (cluster.api(writer % 2), stop.clone());
        writers.spawn(async move {
            let mut number = 0;
            while !stop.is_cancelled() {
                let path = format!("/configs/busy-{writer}-{}?upsert=true", number % 20);
                let body = json!({"value": number});
                let written = api.call_with(Method::PUT, &path, Some(body), &LOCAL).await;
                assert!([200, 201].contains(&written.status), "{}", written.body);
                number += 1;
            }
        });
    }
    cluster.nodes[2].kill();
    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    cluster.nodes[2].kill();
    cluster.nodes[2].wipe();
    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    cluster
        .status_until(0, "n2 is a member for the others", |status| {
            let mut members = status["details"]["members"].as_array().unwrap().iter();
            members.any(|member| member["name"] == "n2" && member["state"] == "member")
        })
        .await;
    // On a busy machine the first write, which derives the key, may take longer than the whole outage.
    cluster
        .status_until(0, "every name is written", |status| {
            status["details"]["entries"] == 120
        })
        .await;
    stop.cancel();
    writers.join_all().await;
    assert_eq!(cluster.converged().await.len(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_data_that_reaches_nobody_is_ready() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.converged().await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes[1].start().await;
    cluster.ready(1).await;
    assert_eq!(cluster.api(1).value("entry").await, 1);
    cluster.api(1).put("entry", 2).await.with(200);
    cluster.start_all().await;
    assert_eq!(cluster.converged().await[0]["value"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_a_wiped_disk_join_anew_with_the_same_salt() {
    let mut cluster = Cluster::bootstrapped(3).await;
    for number in 0..50 {
        cluster
            .api(0)
            .create(&format!("entry-{number}"), number)
            .await
            .with(201);
    }
    let (before, salt) = (cluster.converged().await, cluster.one_salt().await);
    // The bootstrap node as well: it must not bootstrap again.
    for node in [2, 0] {
        let old = cluster.api(node).incarnation().await;
        cluster.nodes[node].kill();
        cluster.nodes[node].wipe();
        cluster.nodes[node].start().await;
        cluster.ready(node).await;
        assert_ne!(cluster.api(node).incarnation().await, old);
        let list = cluster.api(node).get("/configs").await.with(200).body;
        assert_eq!(list, json!(before));
        assert_eq!(cluster.one_salt().await, salt);
    }
    assert_eq!(cluster.nodes[0].events("cluster_bootstrapped").len(), 1);
    let written = cluster.api(0).create("afterwards", 1).await.with(201);
    cluster.everywhere("afterwards", &written.version()).await;
    assert_eq!(cluster.converged().await.len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_went_back_is_fenced_and_keeps_its_own_rows_as_conflicts() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster.api(2).create("entry", "first").await.with(201);
    cluster.converged().await;
    cluster.nodes[2].kill();
    cluster.nodes[2].copy_disk_aside();
    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    // The others see both writes; then the writer loses them.
    cluster.api(2).put("entry", "second").await.with(200);
    cluster.api(2).create("forgotten", 1).await.with(201);
    cluster.converged().await;
    let old = cluster.api(2).incarnation().await;
    cluster.nodes[2].kill();
    cluster.nodes[2].roll_disk_back();
    cluster.cut_off(&[2]);
    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    assert_eq!(cluster.api(2).value("entry").await, "first");
    cluster.api(2).create("mine", "only here").await.with(201);

    cluster.network.heal();
    let fenced = cluster.logged(2, "node_fenced", 1).await;
    assert!(fenced["reason"].as_str().is_some());
    cluster.logged(2, "cluster_joined", 2).await;
    let list = cluster.converged().await;
    let keys: Vec<_> = list.iter().map(|entry| &entry["key"]).collect();
    assert_eq!(keys, ["entry", "forgotten"]);
    assert_eq!(list[0]["value"], "second");
    assert_ne!(cluster.api(2).incarnation().await, old);
    let conflicts = cluster
        .api(2)
        .get("/cluster/conflicts")
        .await
        .with(200)
        .body;
    assert_eq!(conflicts.as_array().unwrap().len(), 1, "{conflicts}");
    assert_eq!(conflicts[0]["key"], "mine");
    assert_eq!(conflicts[0]["value"], "only here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_in_good_order_hands_its_last_writes_over() {
    let mut cluster = Cluster::bootstrapped(3).await;
    for to in [1, 2] {
        cluster
            .network
            .one_way(0, to, Way::Delayed(Duration::from_millis(100)));
    }
    for number in 0..40 {
        let key = format!("last-{number}");
        cluster
            .api(0)
            .create_with(&key, number, &LOCAL)
            .await
            .with(201);
    }
    let status = cluster.nodes[0].stop().await;
    assert!(status.success());
    assert_eq!(cluster.nodes[0].events("node_stopped").len(), 1);
    assert!(
        cluster.nodes[0]
            .events("shutdown_flush_timed_out")
            .is_empty()
    );
    // Without the node that wrote them.
    for node in [1, 2] {
        let list = cluster.api(node).get("/configs").await.with(200).body;
        assert_eq!(list.as_array().unwrap().len(), 40, "n{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_go_on_beside_a_frozen_node_and_it_catches_up() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.nodes[2].freeze(true);
    for number in 0..50 {
        let key = format!("entry-{number}");
        cluster.api(number % 2).create(&key, number).await.with(201);
    }
    cluster.sees_healthy(0, 1).await;
    cluster.nodes[2].freeze(false);
    assert_eq!(cluster.converged().await.len(), 50);
    cluster.sees_healthy(0, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_and_is_repaired_loses_nothing() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.skew_clock(1, 3 * 24 * 3600 * 1000);
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    cluster.all_ready().await;
    cluster.api(1).create("entry", 1).await.with(201);
    let deleted = cluster.api(1).delete("entry").await.with(200);
    cluster.converged().await;
    cluster.nodes[1].stop().await;
    cluster.skew_clock(1, 0);
    cluster.nodes[1].start().await;
    cluster.ready(1).await;
    // Its tombstone is from the future; a create after it must stand all the same, wherever it is made.
    for node in [0, 2, 1] {
        let key = "entry";
        let created = cluster.api(node).create(key, node).await.with(201);
        assert!(created.version() > deleted.version());
        cluster.everywhere(key, &created.version()).await;
        let gone = cluster.api(node).delete(key).await.with(200);
        until("it is deleted everywhere", async || {
            for api in cluster.apis() {
                let read = api.get_since(key, &gone.version()).await;
                assert!([404, 503].contains(&read.status), "{}", read.body);
                if read.status == 503 {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }
}
