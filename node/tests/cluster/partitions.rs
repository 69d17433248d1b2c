//! Nodes that do not reach each other go on, and agree again afterwards.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{API_KEY, Api, OTHER_USER_KEY},
    cluster::Cluster,
    network::Way,
    wait::until,
};

async fn conflicts(api: &Api) -> Value {
    api.get("/cluster/conflicts").await.with(200).body
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_partition_write_and_the_loser_is_kept_as_a_conflict() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("shared", "first").await.with(201);
    cluster.converged().await;
    cluster.cut_off(&[2]);
    cluster.sees_healthy(2, 0).await;
    cluster.api(0).put("shared", "of two").await.with(200);
    cluster.api(1).create("left", 1).await.with(201);
    let winner = cluster.api(2).put("shared", "of one").await.with(200);
    cluster.api(2).create("right", 2).await.with(201);
    assert!(cluster.api(2).is_ready().await);
    cluster.network.heal();
    let list = cluster.converged().await;
    let shown: Vec<_> = list
        .iter()
        .map(|entry| (&entry["key"], &entry["value"]))
        .collect();
    let (left, right, shared) = (json!("left"), json!("right"), json!("shared"));
    let (one, two, last) = (json!(1), json!(2), json!("of one"));
    assert_eq!(shown, [(&left, &one), (&right, &two), (&shared, &last)]);
    let mut seen = 0;
    for api in cluster.apis() {
        assert_eq!(api.get("/configs/shared").await.version(), winner.version());
        let conflicts = conflicts(&api).await;
        for conflict in conflicts.as_array().unwrap() {
            seen += 1;
            assert_eq!(
                (&conflict["key"], &conflict["value"]),
                (&shared, &json!("of two"))
            );
        }
        let foreign = api.bare(Method::GET, "/cluster/conflicts").unwrap();
        let foreign = foreign
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", OTHER_USER_KEY);
        assert_eq!(Api::send(Some(foreign)).await.unwrap().body, json!([]));
    }
    assert!(seen > 0, "no node has seen the conflict");
    // An ordinary write brings it back, and is no conflict.
    let restored = cluster.api(1).put("shared", "of two").await.with(200);
    cluster.everywhere("shared", &restored.version()).await;
    for api in cluster.apis() {
        assert_eq!(api.value("shared").await, "of two");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_on_one_side_and_an_older_write_on_the_other_leave_it_deleted() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.api(0).create("other", 1).await.with(201);
    cluster.converged().await;
    cluster.cut_off(&[0]);
    cluster.api(0).put("entry", 2).await.with(200);
    cluster.api(1).delete("entry").await.with(200);
    cluster.api(1).delete("other").await.with(200);
    cluster.network.heal();
    assert_eq!(cluster.converged().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_travel_through_a_third_node() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.network.both_ways(0, 1, Way::Cut);
    let forth = cluster.api(0).create("forth", 1).await.with(201);
    let back = cluster.api(1).create("back", 1).await.with(201);
    cluster.everywhere("forth", &forth.version()).await;
    cluster.everywhere("back", &back.version()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_closed_in_one_direction_only_stops_nothing() {
    let cluster = Cluster::bootstrapped(3).await;
    for (from, to) in [(0, 1), (2, 0), (1, 2)] {
        cluster.network.one_way(from, to, Way::Swallowed);
        for node in 0..3 {
            let key = format!("from-n{node}-{from}");
            let written = cluster.api(node).create(&key, from).await.with(201);
            cluster.everywhere(&key, &written.version()).await;
        }
        cluster.network.heal();
    }
    assert_eq!(cluster.converged().await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_in_three_parts_agree_again() {
    let cluster = Cluster::bootstrapped(5).await;
    cluster.network.around(&[0, 1], Way::Cut);
    cluster.network.around(&[2, 3], Way::Swallowed);
    for node in 0..5 {
        cluster
            .api(node)
            .create(&format!("of-n{node}"), node)
            .await
            .with(201);
        let body = json!({"value": node});
        let put = cluster
            .api(node)
            .call(Method::PUT, "/configs/shared?upsert=true", Some(body))
            .await;
        assert!([200, 201].contains(&put.status));
    }
    cluster.network.heal();
    assert_eq!(cluster.converged().await.len(), 6);
    until("every node sees the others healthy", async || {
        for api in cluster.apis() {
            if api.status().await["healthy_nodes"] != 4 {
                return None;
            }
        }
        Some(())
    })
    .await;
}
