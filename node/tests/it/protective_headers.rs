//! Headers that a request must not have twice, and headers that every answer has.

use opensecureconf_node::api::routes;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    node::{API_KEY, Answer, TestNode, USER_KEY},
    process::Process,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";

/// Calls every route with all keys.
async fn ask_all(node: &TestNode, mut look: impl FnMut(&str, &Answer)) {
    let body = json!({"key": "k", "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    for (method, path) in routes() {
        let path = path
            .replace("{key}", "k")
            .replace("{name}", "nobody")
            .replace("{file}", "index.html");
        let request = node
            .request(method.clone(), &path)
            .header("X-User-Key", USER_KEY)
            .header("X-Cluster-Key", CLUSTER_KEY);
        let answer = Answer::of(request.send().await.unwrap()).await;
        look(&format!("{method} {path}"), &answer);
    }
}

#[tokio::test]
async fn nothing_that_may_hold_a_secret_is_stored_and_no_answer_is_taken_for_another_kind() {
    let folder = TempDir::new().unwrap();
    let node = TestNode::start_in(folder, &[("OSC_CLUSTER_KEY", CLUSTER_KEY)]);
    let mut asked = 0;
    ask_all(&node, |route, answer| {
        asked += 1;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{route}"
        );
        let public = ["/docs", "/redoc", "/openapi.json"];
        let is_page = public.iter().any(|page| route.contains(page));
        let kept = answer.header("cache-control") != Some("no-store");
        assert_eq!(kept, is_page, "{route}");
    })
    .await;
    assert!(asked > 20, "{asked}");
    for path in ["/no/such/route", "/configs/missing"] {
        let refused = node.call(Method::GET, path, None).await;
        assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
    node.stop().await;
}

#[tokio::test]
async fn the_page_loads_from_its_own_node_alone_and_runs_no_script_of_its_text() {
    let node = TestNode::start();
    let page = node.call(Method::GET, "/docs", None).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(policy.contains("script-src 'self';") && !policy.contains("http"));
    let mut loaded = 0;
    for tag in page.text.split('<').skip(1) {
        if tag.starts_with("script") {
            assert!(tag.contains("src="), "a script in the text: {tag}");
        }
        assert!(!tag.contains(" onload="), "{tag}");
        for attribute in ["src=\"", "href=\""] {
            let Some((_, rest)) = tag.split_once(attribute) else {
                continue;
            };
            let target = rest.split('"').next().unwrap();
            assert!(!target.contains("//"), "{target}");
            if target.starts_with("./") || !target.starts_with('/') {
                let path = format!("/docs/{}", target.trim_start_matches("./"));
                let file = node.call(Method::GET, &path, None).await;
                assert_eq!(file.status, 200, "{path}");
                assert!(file.header("content-security-policy").is_some());
                loaded += 1;
            }
        }
    }
    assert!(loaded >= 4, "{}", page.text);
    node.stop().await;
}

#[tokio::test]
async fn a_key_that_is_given_twice_is_refused_before_any_is_compared() {
    let more = [
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
        ("OSC_AUTH_FAILURES_PER_MINUTE", "1"),
    ];
    let node = TestNode::start_in(TempDir::new().unwrap(), &more);
    for (name, key) in [
        ("X-API-Key", API_KEY),
        ("X-User-Key", USER_KEY),
        ("X-Cluster-Key", CLUSTER_KEY),
    ] {
        for second in [key, "a wrong key of the tests", ""] {
            let request = node.client.get(format!("{}/configs/k", node.url));
            let mut request = request.header(name, key).header(name, second);
            if name != "X-API-Key" {
                request = request.header("X-API-Key", API_KEY);
            }
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text.as_str()),
                (
                    400,
                    format!(r#"{{"detail":"Header {name} is given more than once"}}"#).as_str()
                )
            );
        }
    }
    let metrics = node.call(Method::GET, "/metrics", None).await.text;
    assert!(!metrics.contains("osc_auth_failures_total{"), "{metrics}");
    node.stop().await;
}

#[tokio::test]
async fn who_forwards_for_others_and_is_not_trusted_is_named_once() {
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[]);
    for n in 0..3 {
        let request = crate::node::client()
            .get(format!("{}/health", node.url))
            .header("X-Forwarded-For", format!("192.0.2.{n}"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let told = node.event("forwarded_for_ignored");
    assert_eq!(
        (&told["client"], &told["setting"]),
        (&json!("127.0.0.1"), &json!("OSC_TRUSTED_PROXIES"))
    );
    assert_eq!(node.log().matches("forwarded_for_ignored").count(), 1);
    node.kill();
}
