//! Callers who try keys, and callers who must not suffer from them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    node::{API_KEY, Answer, OTHER_USER_KEY, TestNode, USER_KEY},
    process::Process,
};

async fn with_entry(more: &[(&str, &str)]) -> TestNode {
    let node = TestNode::start_in(TempDir::new().unwrap(), more);
    let body = json!({"key": "k", "value": 1});
    let created = node.call(Method::POST, "/configs", Some(body)).await;
    assert_eq!(created.status, 201);
    node
}

async fn guess(node: &TestNode, n: usize) -> Answer {
    let key = format!("a wrong key, number {n}");
    node.call_as(&key, Method::GET, "/configs/k", None).await
}

#[tokio::test]
async fn wrong_keys_are_limited_and_owners_are_not_locked_out() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "5")]).await;
    for n in 0..5 {
        assert_eq!(guess(&node, n).await.status, 403);
    }
    let refused = guess(&node, 6).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.text,
        r#"{"detail":"Too many wrong keys from this address; try again later"}"#
    );
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=13).contains(&seconds), "{seconds}");
    let owner = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(owner.status, 200, "its key proved itself before");
    assert_eq!(node.call(Method::GET, "/health", None).await.status, 200);
    let metrics = node.call(Method::GET, "/metrics", None).await.text;
    assert!(
        metrics.contains("osc_auth_failures_total{key=\"user_key\"} 5"),
        "{metrics}"
    );
    assert!(metrics.contains("osc_auth_throttled_total 1"), "{metrics}");
    node.stop().await;
}

#[tokio::test]
async fn a_key_that_proved_itself_elsewhere_is_no_way_around_the_limit() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "3")]).await;
    let body = json!({"key": "own", "value": 1});
    let own = node.call_as(OTHER_USER_KEY, Method::POST, "/configs", Some(body));
    assert_eq!(own.await.status, 201);
    for _ in 0..3 {
        let foreign = node.call_as(OTHER_USER_KEY, Method::GET, "/configs/k", None);
        assert_eq!(foreign.await.status, 403);
    }
    assert_eq!(guess(&node, 1).await.status, 429);
    let own = node.call_as(OTHER_USER_KEY, Method::GET, "/configs/own", None);
    assert_eq!(own.await.status, 200, "it is never refused itself");
    node.stop().await;
}

#[tokio::test]
async fn wrong_api_keys_count_too() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "2")]).await;
    let try_api_key = || {
        let request = node.client.get(format!("{}/configs/k", node.url));
        request
            .header("X-API-Key", "guess")
            .header("X-User-Key", USER_KEY)
            .send()
    };
    assert_eq!(try_api_key().await.unwrap().status(), 403);
    assert_eq!(try_api_key().await.unwrap().status(), 403);
    assert_eq!(try_api_key().await.unwrap().status(), 429);
    let owner = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(owner.status, 200, "the right one is never refused");
    node.stop().await;
}

#[tokio::test]
async fn a_list_that_opens_nothing_is_one_failure() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "1")]).await;
    let list = |key: &'static str| node.call_as(key, Method::GET, "/configs", None);
    assert_eq!(list(OTHER_USER_KEY).await.status, 200);
    assert_eq!(list(OTHER_USER_KEY).await.status, 429);
    node.stop().await;
}

#[tokio::test]
async fn addresses_behind_a_trusted_proxy_are_counted_one_by_one() {
    let node = with_entry(&[
        ("OSC_AUTH_FAILURES_PER_MINUTE", "1"),
        ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let guess_from = |address: &'static str| {
        let request = node
            .request(Method::GET, "/configs/k")
            .header("X-User-Key", OTHER_USER_KEY)
            .header("X-Forwarded-For", address);
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(guess_from("192.0.2.1").await, 403);
    assert_eq!(guess_from("192.0.2.1").await, 429);
    assert_eq!(guess_from("192.0.2.2").await, 403);
    node.stop().await;
}

#[tokio::test]
async fn without_a_trusted_proxy_nobody_chooses_his_address() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "1")]).await;
    for (address, status) in [("192.0.2.1", 403), ("192.0.2.2", 429)] {
        let request = node
            .request(Method::GET, "/configs/k")
            .header("X-User-Key", OTHER_USER_KEY)
            .header("X-Forwarded-For", address);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    node.stop().await;
}

#[tokio::test]
async fn while_the_queue_of_derivations_is_full_health_and_metrics_answer() {
    let folder = TempDir::new().unwrap();
    // The real number of rounds, so that the queue fills.
    let more = [("OSC_AUTH_FAILURES_PER_MINUTE", "0")];
    let node = Process::start(folder.path(), &more);
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut waiting = JoinSet::new();
    for n in 0..(cores + 1) * 65 {
        let request = crate::node::client()
            .get(format!("{}/configs", node.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", format!("a new user key, number {n}"));
        waiting.spawn(async { Answer::of(request.send().await.unwrap()).await });
    }
    let refused = loop {
        let answer = waiting.join_next().await.unwrap().unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.text,
        r#"{"detail":"Too many key derivations are waiting; try again"}"#
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    for path in ["/health", "/ready", "/metrics"] {
        let start = Instant::now();
        let answer = crate::node::client().get(format!("{}{path}", node.url));
        let answer = Answer::of(answer.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(start.elapsed() < Duration::from_secs(2), "{path}");
        assert!(
            path != "/metrics"
                || !answer
                    .text
                    .contains("osc_key_derivations_refused_total 0\n")
        );
    }
    // Nobody waits for the derivations that are left.
    waiting.abort_all();
    node.kill();
}

#[tokio::test]
async fn more_headers_than_anybody_needs_are_refused() {
    let node = with_entry(&[]).await;
    let mut many = node.client.get(format!("{}/health", node.url));
    for n in 0..101 {
        many = many.header(format!("X-Header-{n}"), "x");
    }
    assert_eq!(many.send().await.unwrap().status(), 431);
    let large = node.client.get(format!("{}/health", node.url));
    let large = large.header("X-Large", "x".repeat(70_000));
    assert_eq!(large.send().await.unwrap().status(), 431);
    let http_2 = reqwest::Client::builder().http2_prior_knowledge().build();
    let mut many = http_2.unwrap().get(format!("{}/health", node.url));
    for n in 0..101 {
        many = many.header(format!("X-Header-{n}"), "x");
    }
    let refused = Answer::of(many.send().await.unwrap()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text.as_str()),
        (431, r#"{"detail":"Too many headers"}"#)
    );
    assert_eq!(node.call(Method::GET, "/health", None).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn web_pages_may_call_only_where_they_are_allowed() {
    let preflight = |node: &TestNode, origin: &'static str| {
        let request = node
            .client
            .request(Method::OPTIONS, format!("{}/configs", node.url))
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-user-key");
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let closed = with_entry(&[]).await;
    let refused = preflight(&closed, "https://console.example.org").await;
    assert_eq!(refused.header("access-control-allow-origin"), None);
    closed.stop().await;

    let open = with_entry(&[("CORS_ORIGINS", "https://console.example.org")]).await;
    let allowed = preflight(&open, "https://console.example.org").await;
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://console.example.org")
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let other = preflight(&open, "https://evil.example.org").await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    open.stop().await;
}
