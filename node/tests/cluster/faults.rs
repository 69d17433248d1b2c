//! Faults of the original's clusters, each shown to be absent. Faults of its federated mode: see `federated.rs`.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{API_KEY, Answer, Api, OTHER_USER_KEY},
    cluster::Cluster,
    wait::until,
};

async fn as_another(api: &Api, method: Method, path: &str, body: Option<Value>) -> Answer {
    let mut request = api.bare(method, path).unwrap();
    request = request
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", OTHER_USER_KEY);
    if let Some(body) = body {
        request = request.json(&body);
    }
    Api::send(Some(request)).await.unwrap()
}

/// How many keys a node has derived.
async fn derivations(api: &Api) -> u64 {
    let owner = [("X-Cluster-Key", crate::api::CLUSTER_KEY)];
    let metrics = api.call_with(Method::GET, "/metrics", None, &owner);
    let metrics = metrics.await.with(200).body;
    let text = metrics.as_str().unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("osc_key_derivation_duration_seconds_count "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_update_is_passed_on_a_bounded_number_of_times() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.converged().await;
    let before = cluster.network.traffic();
    cluster.api(0).put("entry", 2).await.with(200);
    cluster.converged().await;
    let rounds = |cluster: &Cluster, more: usize| cluster.network.traffic().requests + more;
    // Each change reaches every node, and each node passes it on to each other node once, however long the test runs.
    let later = rounds(&cluster, 20);
    until("nodes have talked for a while", async || {
        (cluster.network.traffic().requests >= later).then_some(())
    })
    .await;
    let pushes = cluster.network.traffic().pushes - before.pushes;
    assert!((2..=6).contains(&pushes), "{pushes} pushes for one update");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_acknowledged_update_is_what_all_nodes_answer() {
    let cluster = Cluster::bootstrapped(3).await;
    let mut last = cluster.api(0).create("entry", 0).await.with(201).version();
    for number in 1..=60 {
        let named = [("X-OSC-Version", &*last)];
        let put = cluster
            .api(number % 3)
            .put_with("entry", number, &named)
            .await
            .with(200);
        assert!(put.version() > last);
        last = put.version();
    }
    cluster.everywhere("entry", &last).await;
    for api in cluster.apis() {
        assert_eq!(api.value("entry").await, 60);
        assert_eq!(
            api.get("/cluster/conflicts").await.with(200).body,
            json!([])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_down_has_all_it_missed_and_nothing_that_was_deleted() {
    let mut cluster = Cluster::bootstrapped(2).await;
    cluster.api(0).create("to-delete", 1).await.with(201);
    cluster.converged().await;
    cluster.nodes[1].stop().await;
    cluster.api(0).create("missed", 1).await.with(201);
    cluster.api(0).delete("to-delete").await.with(200);
    cluster.nodes[1].start().await;
    cluster.ready(1).await;
    assert_eq!(cluster.api(1).value("missed").await, 1);
    cluster.api(1).get("/configs/to-delete").await.with(404);
    cluster.api(1).put("missed", 2).await.with(200);
    assert_eq!(cluster.converged().await[0]["value"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_key_changes_and_deletes_nothing_on_any_node() {
    let cluster = Cluster::bootstrapped(3).await;
    let written = cluster.api(0).create("entry", "mine").await.with(201);
    cluster.everywhere("entry", &written.version()).await;
    for api in cluster.apis() {
        let path = "/configs/entry";
        let put = as_another(&api, Method::PUT, path, Some(json!({"value": "theirs"}))).await;
        assert_eq!(put.status, 403);
        assert_eq!(
            as_another(&api, Method::DELETE, path, None).await.status,
            403
        );
        assert_eq!(as_another(&api, Method::GET, path, None).await.status, 403);
        assert_eq!(api.value("entry").await, "mine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_others_do_not_break_the_list_of_any_node() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("mine", 1).await.with(201);
    let body = json!({"key": "theirs", "value": 2});
    as_another(&cluster.api(1), Method::POST, "/configs", Some(body))
        .await
        .with(201);
    let mine = cluster.converged().await;
    assert_eq!(mine.len(), 1);
    for api in cluster.apis() {
        let theirs = as_another(&api, Method::GET, "/configs", None)
            .await
            .with(200);
        assert_eq!(theirs.body.as_array().unwrap().len(), 1);
        assert_eq!(theirs.header("x-osc-skipped"), Some("1"));
        assert_eq!(api.status().await["details"]["entries"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_race_with_the_bootstrap_are_refused_or_can_be_read() {
    let cluster = Cluster::blank(3).await;
    let clients = (0..24).map(|number| {
        let api = cluster.api(number % 3);
        async move {
            let key = format!("early-{number}");
            until("the node takes it", async || {
                let created = api.create(&key, number).await;
                assert!([201, 503].contains(&created.status), "{}", created.body);
                (created.status == 201).then_some(())
            })
            .await;
        }
    });
    let bootstrapped = async { cluster.bootstrap(2).await.with(200) };
    tokio::join!(join_all(clients), bootstrapped);
    assert_eq!(cluster.converged().await.len(), 24);
    for api in cluster.apis() {
        assert_eq!(api.get("/configs").await.header("x-osc-skipped"), None);
    }
    cluster.one_salt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_their_bootstrap_node_wait_for_it_and_make_no_salt() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.nodes[1].start().await;
    cluster.nodes[2].start().await;
    // The original gave up after five tries.
    until("they have asked the bootstrap node often", async || {
        let sent = |from| cluster.network.sent(from, 0).requests;
        (sent(1) > 5 && sent(2) > 5).then_some(())
    })
    .await;
    for node in [1, 2] {
        assert_eq!(cluster.api(node).salt().await, None);
        assert!(!cluster.api(node).is_ready().await);
        cluster.api(node).create("early", 1).await.with(503);
    }
    cluster.nodes[0].start().await;
    cluster.bootstrap(0).await.with(200);
    cluster.all_ready().await;
    let salt = cluster.one_salt().await;
    // A salt from elsewhere is refused, not taken for success.
    let other = cluster.api(1).bare(Method::POST, "/cluster/salt").unwrap();
    let other = other
        .header("X-Cluster-Key", crate::api::CLUSTER_KEY)
        .body(vec![7; 64]);
    Api::send(Some(other)).await.unwrap().with(409);
    assert_eq!(cluster.one_salt().await, salt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_starts_with_the_default_salt_path() {
    let cluster = Cluster::bootstrapped(2).await;
    for node in &cluster.nodes {
        let file = std::fs::read(node.folder.join("encryption.salt")).unwrap();
        assert_eq!(Some(file), cluster.api(node.number).salt().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_on_its_own_list_is_no_peer_of_itself() {
    let cluster = Cluster::bootstrapped(1).await;
    let api = cluster.api(0);
    let status = cluster
        .status_until(0, "it has found itself", |status| {
            status["details"]["unknown_nodes"] == 0
        })
        .await;
    assert_eq!(
        (&status["total_nodes"], &status["healthy_nodes"]),
        (&json!(0), &json!(0))
    );
    let before = cluster.network.traffic();
    api.create("entry", 1).await.with(201);
    let put = api
        .put_with("entry", 2, &[("X-OSC-Ack", "all")])
        .await
        .with(200);
    assert_eq!(put.header("x-osc-acked"), None);
    // The original went on for ever, five times a second.
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        assert_eq!(cluster.network.traffic(), before);
        assert!(api.is_ready().await);
    }
    assert_eq!(api.value("entry").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_while_a_node_starts_are_there_when_it_is_ready() {
    let mut cluster = Cluster::bootstrapped(2).await;
    for round in 0..3 {
        cluster.nodes[1].kill();
        let writer = cluster.api(0);
        let writes = tokio::spawn(async move {
            let mut written = Vec::new();
            for number in 0..40 {
                let key = format!("{round}-{number}");
                written.push((writer.create(&key, number).await.with(201).version(), key));
            }
            written
        });
        cluster.nodes[1].start().await;
        cluster.ready(1).await;
        for (version, key) in writes.await.unwrap() {
            until("it has what was written meanwhile", async || {
                let read = cluster.api(1).get_since(&key, &version).await;
                assert!([200, 503].contains(&read.status), "{}", read.body);
                (read.status == 200).then_some(())
            })
            .await;
        }
    }
    assert_eq!(cluster.converged().await.len(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_costs_a_few_messages_and_no_derivation_elsewhere() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("first", 1).await.with(201);
    // A key proves itself only by an entry that it opened.
    cluster.api(0).get("/configs/first").await.with(200);
    // Not the list: reading needs the key. Each node passes the first create on, too.
    for node in 0..3 {
        let all_hold_it = cluster.status_until(node, "all hold it", |status| {
            let members = status["details"]["members"].as_array().unwrap();
            members.iter().all(|member| member["lag"] == 0)
        });
        all_hold_it.await;
    }
    let before = (
        cluster.network.traffic().pushes,
        derivations(&cluster.api(0)).await,
    );
    let created = cluster.api(0).create("second", 2).await.with(201);
    let rounds = cluster.network.traffic().requests + 12;
    until("nodes have talked for a while", async || {
        (cluster.network.traffic().requests >= rounds).then_some(())
    })
    .await;
    // One from each node to each other one, and one more where a member had not heard of the create after 100 ms.
    assert!(cluster.network.traffic().pushes - before.0 <= 8);
    assert_eq!(
        derivations(&cluster.api(0)).await,
        before.1,
        "the key was at hand"
    );
    for node in [1, 2] {
        assert_eq!(derivations(&cluster.api(node)).await, 0, "n{node}");
    }
    cluster.everywhere("second", &created.version()).await;
}
