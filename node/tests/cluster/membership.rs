//! Nodes that leave, are removed, or come back.

use std::time::Duration;

use reqwest::Method;

use crate::{
    api::{Answer, Api},
    cluster::Cluster,
    network::Way,
};

async fn leave(api: &Api) -> Answer {
    api.owner(Method::POST, "/cluster/leave", None).await
}

async fn remove(by: &Api, name: &str, incarnation: &str, force: bool) -> Answer {
    let path = format!("/cluster/members/{name}/remove?incarnation={incarnation}&force={force}");
    by.owner(Method::POST, &path, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_left_serves_nothing_and_comes_back_only_when_removed() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster.api(2).create("entry", 1).await.with(201);
    cluster.converged().await;
    let leaver = cluster.api(2);
    let incarnation = leaver.incarnation().await;
    remove(&cluster.api(0), "n2", &incarnation, false)
        .await
        .with(409);
    leave(&leaver).await.with(200);
    leaver.create("late", 1).await.with(503);
    cluster.state(2, "left").await;
    cluster.nodes[2].stop().await;
    cluster.nodes[2].start().await;
    cluster.state(2, "left").await;
    leaver.get("/configs").await.with(503);
    leaver.get("/configs/entry").await.with(503);
    leaver.create("late", 1).await.with(503);
    assert!(!leaver.is_ready().await);
    assert_eq!(cluster.api(0).value("entry").await, 1);
    // Nobody waits for it.
    let all = [("X-OSC-Ack", "all")];
    cluster
        .status_until(0, "n2 has left", |status| {
            status["details"]["members"]
                .as_array()
                .unwrap()
                .iter()
                .any(|member| member["name"] == "n2" && member["state"] == "left")
        })
        .await;
    let written = cluster.api(0).put_with("entry", 2, &all).await;
    assert!([200, 202].contains(&written.status));

    remove(&cluster.api(0), "n2", "0123456789abcdef", false)
        .await
        .with(409);
    remove(&cluster.api(1), "n9", &incarnation, false)
        .await
        .with(409);
    remove(&cluster.api(0), "n2", &incarnation, false)
        .await
        .with(200);
    cluster.ready(2).await;
    assert_ne!(leaver.incarnation().await, incarnation);
    assert_eq!(cluster.converged().await[0]["value"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_node_goes_when_all_others_hold_its_last_write() {
    let cluster = Cluster::bootstrapped(3).await;
    for to in [0, 1] {
        cluster
            .network
            .one_way(2, to, Way::Delayed(Duration::from_millis(100)));
    }
    let local = [("X-OSC-Ack", "local")];
    for number in 0..20 {
        let key = format!("last-{number}");
        cluster
            .api(2)
            .create_with(&key, number, &local)
            .await
            .with(201);
    }
    leave(&cluster.api(2)).await.with(200);
    cluster.state(2, "left").await;
    // At once, not eventually.
    for node in [0, 1] {
        let list = cluster.api(node).get("/configs").await.with(200).body;
        assert_eq!(list.as_array().unwrap().len(), 20, "n{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_member_does_not_leave() {
    let cluster = Cluster::bootstrapped(1).await;
    let refusal = leave(&cluster.api(0)).await.with(409);
    assert!(
        refusal.body.to_string().contains("last member"),
        "{}",
        refusal.body
    );
    assert!(cluster.api(0).is_ready().await);
    cluster.api(0).create("entry", 1).await.with(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_while_cut_off_is_fenced_and_its_rows_are_conflicts() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.converged().await;
    cluster.cut_off(&[2]);
    cluster.sees_healthy(0, 1).await;
    let removed = cluster.api(2);
    let incarnation = removed.incarnation().await;
    remove(&cluster.api(0), "n2", &incarnation, true)
        .await
        .with(200);
    removed.create("mine", "only here").await.with(201);
    removed.put("entry", "changed here").await.with(200);
    cluster.network.heal();
    let fenced = cluster.logged(2, "node_fenced", 1).await;
    assert!(fenced["reason"].to_string().contains("removed"), "{fenced}");
    cluster.logged(2, "cluster_joined", 2).await;
    let list = cluster.converged().await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["value"], 1);
    assert_ne!(removed.incarnation().await, incarnation);
    let conflicts = removed.get("/cluster/conflicts").await.with(200).body;
    let mut kept: Vec<_> = conflicts
        .as_array()
        .unwrap()
        .iter()
        .map(|conflict| conflict["value"].as_str().unwrap())
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, ["changed here", "only here"]);
}

/// Execution 9: each side removes the other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_that_remove_each_other_one_stays() {
    let cluster = Cluster::bootstrapped(2).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.converged().await;
    let (first, second) = (cluster.api(0), cluster.api(1));
    let lives = [first.incarnation().await, second.incarnation().await];
    cluster.cut_off(&[1]);
    remove(&first, "n1", &lives[1], true).await.with(200);
    remove(&second, "n0", &lives[0], true).await.with(200);
    cluster.network.heal();
    cluster.logged(1, "cluster_joined", 2).await;
    assert_eq!(cluster.converged().await.len(), 1);
    assert_eq!(first.incarnation().await, lives[0]);
    assert_ne!(second.incarnation().await, lives[1]);
}
