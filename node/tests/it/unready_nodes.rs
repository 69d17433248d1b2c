//! A node that may lack entries answers for none of them.

use reqwest::{Method, StatusCode};
use tempfile::TempDir;

use crate::{
    free_port::free_port,
    node::{API_KEY, USER_KEY, client},
    process::Process,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";

#[tokio::test]
async fn a_node_that_lacks_entries_says_of_none_that_it_does_not_exist() {
    let folder = TempDir::new().unwrap();
    let port = free_port("127.0.0.1").to_string();
    let list = format!("127.0.0.1:{port}");
    let settings = [
        ("OSC_HOST_PORT", port.as_str()),
        ("OSC_CLUSTER_ENABLED", "true"),
        ("OSC_CLUSTER_NODE_ID", "one"),
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
        ("OSC_CLUSTER_NODES", list.as_str()),
    ];
    let node = Process::start(folder.path(), &settings);
    for (method, path) in [
        (Method::DELETE, "/admin/configs/database"),
        (Method::DELETE, "/configs/database"),
        (Method::PUT, "/configs/database"),
        (Method::GET, "/configs/database"),
        (Method::GET, "/configs"),
        (Method::GET, "/cluster/conflicts"),
    ] {
        let request = client()
            .request(method.clone(), format!("{}{path}", node.url))
            .header("X-Cluster-Key", CLUSTER_KEY)
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY)
            .json(&serde_json::json!({ "value": 1 }));
        let answer = request.send().await.unwrap();
        let asks_again = answer.headers().contains_key("Retry-After");
        let status = answer.status();
        assert_eq!(
            (status, asks_again),
            (StatusCode::SERVICE_UNAVAILABLE, true),
            "{method} {path}"
        );
    }
}
