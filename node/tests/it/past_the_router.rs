//! Requests for one entry bypass the router, except on a node that answers browsers. The answers of both are alike.

use reqwest::{Client, Method, header};
use serde_json::json;
use tempfile::TempDir;

use crate::node::{API_KEY, TestNode, USER_KEY};

#[tokio::test]
async fn an_answer_has_the_same_head_past_the_router_and_through_it() {
    let past = heads(&[]).await;
    let through = heads(&[("CORS_ORIGINS", "https://console.example.org")]).await;
    assert_eq!(past, through);
}

/// The answers of a node with these settings to requests for one entry, over either protocol, without the headers that differ
/// each time.
async fn heads(more: &[(&str, &str)]) -> Vec<String> {
    let node = TestNode::start_in(TempDir::new().unwrap(), more);
    let http_2 = Client::builder().http2_prior_knowledge().build().unwrap();
    let mut heads = Vec::new();
    for (key, client) in [("one", &node.client), ("two", &http_2)] {
        let path = format!("/configs/{key}");
        let path = path.as_str();
        let new = Some(json!({"key": key, "value": 1}));
        let other = Some(json!({"value": 2}));
        for (method, path, condition, body) in [
            (Method::GET, path, None, None),
            (Method::POST, "/configs", None, new.clone()),
            (Method::POST, "/configs", None, new),
            (Method::GET, path, None, None),
            (Method::GET, path, Some("*"), None),
            (Method::PUT, path, None, other.clone()),
            (Method::PUT, path, Some("*"), other),
            (Method::DELETE, path, None, None),
            (Method::DELETE, path, None, None),
        ] {
            let mut request = client
                .request(method.clone(), format!("{}{path}", node.url))
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", USER_KEY);
            if let Some(condition) = condition {
                request = request.header(header::IF_NONE_MATCH, condition);
            }
            if let Some(body) = body {
                request = request.json(&body);
            }
            let answer = request.send().await.unwrap();
            let mut head: Vec<_> = answer
                .headers()
                .iter()
                .filter(|(name, _)| !is_of_the_moment(name.as_str()))
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            head.sort();
            let version = answer.version();
            heads.push(format!(
                "{version:?} {method} {path} {} {head:?}",
                answer.status().as_u16()
            ));
        }
    }
    node.stop().await;
    heads
}

/// Whether a header differs in each answer, or is for browsers.
fn is_of_the_moment(name: &str) -> bool {
    const THESE: [&str; 5] = ["date", "etag", "vary", "x-osc-version", "x-request-id"];
    THESE.contains(&name) || name.starts_with("access-control-")
}
