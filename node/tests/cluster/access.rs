//! What opens the routes between nodes, and what does not.

use reqwest::Method;
use serde_json::json;

use crate::{
    api::{API_KEY, Api, CLUSTER_KEY, USER_KEY},
    cluster::Cluster,
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
