//! Routes for the cluster admin: they exist only with a cluster key.

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::node::{API_KEY, Answer, OTHER_USER_KEY, TestNode};

const CLUSTER_KEY: &str = "the cluster key of the tests";

fn owned() -> TestNode {
    TestNode::start_in(TempDir::new().unwrap(), &[("OSC_CLUSTER_KEY", CLUSTER_KEY)])
}

async fn ask(
    node: &TestNode,
    key: Option<&str>,
    method: Method,
    path: &str,
    body: &[u8],
) -> Answer {
    let mut request = node.client.request(method, format!("{}{path}", node.url));
    if let Some(key) = key {
        request = request.header("X-Cluster-Key", key);
    }
    Answer::of(request.body(body.to_vec()).send().await.unwrap()).await
}

const ROUTES: &[(Method, &str)] = &[
    (Method::GET, "/cluster/salt"),
    (Method::POST, "/cluster/salt"),
    (Method::GET, "/admin/log-level"),
    (Method::PUT, "/admin/log-level"),
    (Method::DELETE, "/admin/configs/k"),
];

#[tokio::test]
async fn without_a_cluster_key_there_are_no_such_routes() {
    let node = TestNode::start();
    for (method, path) in ROUTES {
        let answer = ask(&node, Some(CLUSTER_KEY), method.clone(), path, b"").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (404, r#"{"detail":"Not Found"}"#)
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn an_api_key_opens_none_of_them() {
    let node = owned();
    for (method, path) in ROUTES {
        for key in [None, Some(""), Some(API_KEY)] {
            let answer = ask(&node, key, method.clone(), path, b"").await;
            assert_eq!(answer.status, 403, "{method} {path} {key:?}");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn an_entry_whose_key_is_lost_can_be_removed_unread() {
    let node = owned();
    let body = json!({"key": "a/b", "value": 1, "environment": "test"});
    node.call_as(OTHER_USER_KEY, Method::POST, "/configs", Some(body.clone()))
        .await;
    let path = "/admin/configs/a%2Fb";
    let missing = ask(&node, Some(CLUSTER_KEY), Method::DELETE, path, b"").await;
    assert_eq!(missing.status, 404, "not in the default environment");
    let path = "/admin/configs/a%2Fb?environment=test";
    let removed = ask(&node, Some(CLUSTER_KEY), Method::DELETE, path, b"").await;
    assert_eq!(
        removed.text,
        r#"{"message":"Configuration 'a/b' removed unread"}"#
    );
    let again = node.call(Method::POST, "/configs", Some(body)).await;
    assert_eq!(again.status, 201, "the name is free");
    node.stop().await;
}

#[tokio::test]
async fn the_salt_is_shown_and_never_replaced() {
    let node = owned();
    let file = std::fs::read(node.folder.path().join("encryption.salt")).unwrap();
    let request = node.client.get(format!("{}/cluster/salt", node.url));
    let answer = request
        .header("X-Cluster-Key", CLUSTER_KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(
        answer.headers()["content-disposition"],
        "attachment; filename=encryption.salt"
    );
    assert_eq!(answer.bytes().await.unwrap(), file);
    let same = ask(
        &node,
        Some(CLUSTER_KEY),
        Method::POST,
        "/cluster/salt",
        &file,
    )
    .await;
    assert_eq!(
        (same.status.as_u16(), same.text.as_str()),
        (
            200,
            r#"{"message":"Salt already present and matches","status":"ok"}"#
        )
    );
    let other = ask(
        &node,
        Some(CLUSTER_KEY),
        Method::POST,
        "/cluster/salt",
        &[0; 64],
    )
    .await;
    assert_eq!(
        (other.status.as_u16(), other.text.as_str()),
        (
            409,
            r#"{"detail":"Salt file already exists and differs from received salt"}"#
        )
    );
    assert_eq!(
        std::fs::read(node.folder.path().join("encryption.salt")).unwrap(),
        file
    );
    node.stop().await;
}

#[tokio::test]
async fn the_log_level_changes_while_the_node_runs() {
    let folder = TempDir::new().unwrap();
    let mut node =
        crate::process::Process::start(folder.path(), &[("OSC_CLUSTER_KEY", CLUSTER_KEY)]);
    let client = crate::node::client();
    let url = format!("{}/admin/log-level", node.url);
    let put = |level: &'static str| {
        client
            .put(&url)
            .header("X-Cluster-Key", CLUSTER_KEY)
            .json(&json!({"level": level}))
            .send()
    };
    assert_eq!(
        put("debug").await.unwrap().text().await.unwrap(),
        r#"{"level":"DEBUG"}"#
    );
    let changed = node.event("log_level_changed");
    assert_eq!(
        (&changed["old_level"], &changed["new_level"]),
        (&json!("INFO"), &json!("DEBUG"))
    );
    client
        .get(format!("{}/health", node.url))
        .send()
        .await
        .unwrap();
    assert_eq!(node.event("request")["endpoint"], "/admin/log-level");
    let get = client
        .get(&url)
        .header("X-Cluster-Key", CLUSTER_KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(get.text().await.unwrap(), r#"{"level":"DEBUG"}"#);
    let loud = put("loud").await.unwrap();
    assert_eq!(loud.status(), 422);
}
