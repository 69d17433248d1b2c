//! Clients that try keys, and clients that must not suffer from them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    node::{API_KEY, Answer, OTHER_USER_KEY, TestNode, USER_KEY},
    process::Process,
};

/// A node that started after the entry was created, and on which the key holder has read it.
async fn with_entry(more: &[(&str, &str)]) -> TestNode {
    let node = TestNode::start();
    create(&node, USER_KEY, "k").await;
    let node = TestNode::start_in(node.stop().await, more);
    let read = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(read.status, 200);
    node
}

async fn create(node: &TestNode, user_key: &str, key: &str) {
    let body = json!({"key": key, "value": 1});
    let created = node.call_as(user_key, Method::POST, "/configs", Some(body));
    assert_eq!(created.await.status, 201);
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
    assert!((1..=61).contains(&seconds), "{seconds}");
    let owner = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(owner.status, 200, "its key proved itself before");
    assert_eq!(node.call(Method::GET, "/health", None).await.status, 200);
    let metrics = node.call(Method::GET, "/metrics", None).await.text;
    assert!(
        metrics.contains("osc_auth_failures_total{key=\"user_key\"} 5"),
        "{metrics}"
    );
    node.stop().await;
}

#[tokio::test]
async fn a_key_that_proved_itself_elsewhere_is_no_way_around_the_limit() {
    let node = TestNode::start();
    create(&node, USER_KEY, "k").await;
    create(&node, OTHER_USER_KEY, "own").await;
    let more = [("OSC_AUTH_FAILURES_PER_MINUTE", "3")];
    let node = TestNode::start_in(node.stop().await, &more);
    let own = node.call_as(OTHER_USER_KEY, Method::GET, "/configs/own", None);
    assert_eq!(own.await.status, 200);
    let foreign = || node.call_as(OTHER_USER_KEY, Method::GET, "/configs/k", None);
    for _ in 0..3 {
        assert_eq!(foreign().await.status, 403);
    }
    for n in 0..2 {
        assert_eq!(guess(&node, n).await.status, 403, "one key counts once");
    }
    assert_eq!(guess(&node, 2).await.status, 429);
    assert_eq!(foreign().await.status, 429, "as for any other key");
    let own = node.call_as(OTHER_USER_KEY, Method::GET, "/configs/own", None);
    assert_eq!(own.await.status, 200, "where it opens it is not refused");
    node.stop().await;
}

#[tokio::test]
async fn a_create_of_ones_own_does_not_make_a_guess_free() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "3")]).await;
    for n in 0..3 {
        let guess = format!("a wrong key, number {n}");
        create(&node, &guess, &format!("x{n}")).await;
        let list = node.call_as(&guess, Method::GET, "/configs?keys_only=true", None);
        assert_eq!(list.await.status, 200);
    }
    let body = json!({"key": "x3", "value": 1});
    let next = node.call_as(
        "a wrong key, number 3",
        Method::POST,
        "/configs",
        Some(body),
    );
    assert_eq!(next.await.status, 429);
    // A key that is already counted goes on until it fails on an entry.
    for status in [403, 429] {
        let cached = node.call_as("a wrong key, number 0", Method::GET, "/configs/k", None);
        assert_eq!(cached.await.status, status, "it opened nothing but its own");
    }
    let owner = node.call(Method::GET, "/configs/k", None).await;
    assert_eq!(owner.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_key_that_only_created_something_is_refused_after_its_failures() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "3")]).await;
    create(&node, OTHER_USER_KEY, "own").await;
    let foreign = || node.call_as(OTHER_USER_KEY, Method::GET, "/configs/k", None);
    assert_eq!(foreign().await.status, 403);
    for n in 0..2 {
        assert_eq!(guess(&node, n).await.status, 403);
    }
    assert_eq!(foreign().await.status, 429);
    node.stop().await;
}

#[tokio::test]
async fn who_has_a_new_key_may_list_often() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "2")]).await;
    create(&node, OTHER_USER_KEY, "own").await;
    for _ in 0..10 {
        let list = node
            .call_as(OTHER_USER_KEY, Method::GET, "/configs", None)
            .await;
        assert_eq!(
            (list.status.as_u16(), list.header("x-osc-skipped")),
            (200, Some("1"))
        );
    }
    assert_eq!(guess(&node, 1).await.status, 403);
    assert_eq!(guess(&node, 2).await.status, 429);
    node.stop().await;
}

#[tokio::test]
async fn wrong_keys_at_the_same_time_do_not_pass_together() {
    let folder = TempDir::new().unwrap();
    // The real number of rounds, so that they overlap.
    let node = Process::start(folder.path(), &[("OSC_AUTH_FAILURES_PER_MINUTE", "5")]);
    let request = |method, path: &str, key: String| {
        crate::node::client()
            .request(method, format!("{}{path}", node.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", key)
    };
    let create = request(Method::POST, "/configs", USER_KEY.to_owned());
    let create = create.json(&json!({"key": "k", "value": 1}));
    assert_eq!(create.send().await.unwrap().status(), 201);
    let mut guesses = JoinSet::new();
    for n in 0..30 {
        let key = format!("a wrong key, number {n}");
        guesses.spawn(request(Method::GET, "/configs/k", key).send());
    }
    let answers = guesses.join_all().await.into_iter();
    let mut statuses: Vec<_> = answers
        .map(|answer| answer.unwrap().status().as_u16())
        .collect();
    statuses.sort_unstable();
    let tried = statuses.iter().filter(|status| **status == 403).count();
    // The create counts as one try.
    assert_eq!(tried, 4, "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    node.kill();
}

#[tokio::test]
async fn many_requests_with_one_new_key_are_one_guess() {
    let node = TestNode::start();
    create(&node, USER_KEY, "k").await;
    let more = [("OSC_AUTH_FAILURES_PER_MINUTE", "1")];
    let node = TestNode::start_in(node.stop().await, &more);
    let reads = (0..50).map(|_| node.call(Method::GET, "/configs/k", None));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.status, 200);
    }
    assert_eq!(guess(&node, 1).await.status, 403, "nothing stayed counted");
    assert_eq!(guess(&node, 2).await.status, 429);
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
    assert_eq!(list("a third user key").await.status, 429);
    node.stop().await;
}

#[tokio::test]
async fn addresses_behind_a_trusted_proxy_are_counted_one_by_one() {
    let node = with_entry(&[
        ("OSC_AUTH_FAILURES_PER_MINUTE", "1"),
        ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let guess_from = |address: &'static str, n: usize| {
        let request = node
            .request(Method::GET, "/configs/k")
            .header("X-User-Key", format!("a wrong key, number {n}"))
            .header("X-Forwarded-For", address);
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(guess_from("192.0.2.1", 1).await, 403);
    assert_eq!(guess_from("192.0.2.1", 2).await, 429);
    assert_eq!(guess_from("192.0.2.2", 3).await, 403);
    node.stop().await;
}

#[tokio::test]
async fn without_a_trusted_proxy_nobody_chooses_his_address() {
    let node = with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "1")]).await;
    for (address, status) in [("192.0.2.1", 403), ("192.0.2.2", 429)] {
        let request = node
            .request(Method::GET, "/configs/k")
            .header("X-User-Key", format!("a wrong key from {address}"))
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
