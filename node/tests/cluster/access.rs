//! What opens the routes between nodes, and what leaves them closed.

use reqwest::Method;
use serde_json::json;

use crate::{
    api::{API_KEY, Api, CLUSTER_KEY, USER_KEY},
    cluster::Cluster,
    load::{Done, Load},
};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_cluster_key_opens_what_is_between_nodes() {
    let cluster = Cluster::bootstrapped(1).await;
    let api = cluster.api(0);
    let incarnation = api.incarnation().await;
    let routes = [
        (Method::POST, "/cluster/v1/exchange".to_owned()),
        (Method::POST, "/cluster/v1/values".to_owned()),
        (Method::GET, "/cluster/salt".to_owned()),
        (Method::POST, "/cluster/salt".to_owned()),
        (Method::POST, "/cluster/bootstrap".to_owned()),
        (Method::POST, "/cluster/leave".to_owned()),
        (Method::POST, "/cluster/unfence".to_owned()),
        (
            Method::POST,
            format!("/cluster/members/n0/remove?incarnation={incarnation}"),
        ),
    ];
    for (method, path) in &routes {
        let keys: [&[(&str, &str)]; 4] = [
            &[],
            &[("X-API-Key", API_KEY), ("X-User-Key", USER_KEY)],
            &[("X-Cluster-Key", API_KEY)],
            &[
                ("X-Cluster-Key", "the cluster key of the test"),
                ("X-API-Key", API_KEY),
            ],
        ];
        for keys in keys {
            let mut request = api.bare(method.clone(), path).unwrap().json(&json!({}));
            for (name, value) in keys {
                request = request.header(*name, *value);
            }
            let answer = Api::send(Some(request)).await.unwrap();
            assert_eq!(answer.status, 403, "{path} with {keys:?}: {}", answer.body);
        }
    }
    // It is no API key either.
    let request = api.bare(Method::GET, "/configs").unwrap();
    let request = request
        .header("X-API-Key", CLUSTER_KEY)
        .header("X-User-Key", USER_KEY);
    assert_eq!(Api::send(Some(request)).await.unwrap().status, 403);
    for nonsense in [
        json!({}),
        json!({"hello": {}, "body": "heartbeat"}),
        json!([1]),
    ] {
        let answer = api
            .owner(Method::POST, "/cluster/v1/exchange", Some(nonsense))
            .await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    assert!(api.is_ready().await);
}

/// The nodes of a cluster by hand change one after the other: at each moment some demand signatures and some do not.
#[tokio::test(flavor = "multi_thread")]
async fn proofs_come_to_be_required_node_by_node_while_clients_write() {
    let mut cluster = Cluster::bootstrapped(3).await;
    let load = Load::on(vec![cluster.api(0)]);
    let proof = async |cluster: &Cluster, node: usize, wanted: &str| {
        cluster
            .status_until(node, "how others prove themselves", |status| {
                status["details"]["peer_proof"] == wanted
            })
            .await;
    };
    for node in [1, 2] {
        proof(&cluster, node, "accept").await;
        cluster.nodes[node].stop().await;
        cluster.nodes[node].set("OSC_PEER_PROOF", "require");
        cluster.nodes[node].start().await;
        cluster.ready(node).await;
        proof(&cluster, node, "require").await;
        cluster.sees_healthy(0, 2).await;
        cluster.sees_healthy(node, 2).await;
        load.goes_on().await;
    }
    let Done { answered, .. } = load.end().await;
    cluster.nodes[0].stop().await;
    cluster.nodes[0].set("OSC_PEER_PROOF", "require");
    cluster.nodes[0].start().await;
    cluster.all_ready().await;
    proof(&cluster, 0, "require").await;
    assert_eq!(cluster.converged().await.len(), 1);
    assert!(answered > 0);
}
