//! Headers that a request must not have twice, and headers that every answer has.

use opensecureconf_node::api::routes;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    conflicts::node_with,
    node::{API_KEY, Answer, TestNode, USER_KEY},
    process::Process,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";

/// What the value of an entry says.
const SAID: &str = "a value that no cache may keep";

/// What the answer of a route holds where it is asked well.
enum Holds {
    /// The value of the entry.
    Value,
    Salt,
    /// A document for everyone, with a policy for what it may load.
    Page,
    /// The same for programs.
    Document,
    /// The way to a page.
    Elsewhere,
    /// Neither; it may be a refusal.
    Neither,
}

/// How a route is asked so that it says what it can, and what that is.
fn row(method: &Method, path: &str) -> (String, Option<Value>, Holds) {
    let value = |key: &str| Some(json!({"key": key, "value": SAID}));
    let (asked, body, holds) = match (method.as_str(), path) {
        ("GET", "/configs/{key}") => ("/configs/k", None, Holds::Value),
        ("GET", "/configs" | "/cluster/configs" | "/cluster/conflicts") => {
            (path, None, Holds::Value)
        }
        ("POST", "/configs") => (path, value("new"), Holds::Value),
        ("PUT", "/configs/{key}") => ("/configs/k", value("k"), Holds::Value),
        ("POST", "/configs/batch") => {
            let rows = json!([{"op": "create", "key": "batched", "value": SAID}]);
            (path, Some(rows), Holds::Neither)
        }
        ("DELETE", "/configs/{key}") => ("/configs/to-delete", None, Holds::Neither),
        ("DELETE", "/admin/configs/{key}") => ("/admin/configs/to-purge", None, Holds::Neither),
        ("GET", "/cluster/salt") => (path, None, Holds::Salt),
        ("GET", "/docs") => (path, None, Holds::Page),
        ("GET", "/redoc") => (path, None, Holds::Elsewhere),
        ("GET", "/docs/{file}") => ("/docs/index.html", None, Holds::Page),
        ("GET", "/openapi.json") => (path, None, Holds::Document),
        (
            "GET",
            "/" | "/health" | "/ready" | "/metrics" | "/admin/log-level" | "/cluster/status"
            | "/cluster/health",
        )
        | ("PUT", "/admin/log-level")
        | (
            "POST",
            "/cluster/salt"
            | "/cluster/bootstrap"
            | "/cluster/leave"
            | "/cluster/unfence"
            | "/cluster/v1/exchange"
            | "/cluster/v1/values"
            | "/cluster/v1/import",
        ) => (path, None, Holds::Neither),
        ("POST", "/cluster/members/{name}/remove") => {
            ("/cluster/members/none/remove", None, Holds::Neither)
        }
        (method, path) => panic!("{method} {path} is new: give it a row"),
    };
    (asked.to_owned(), body, holds)
}

/// A node with an entry and a lost version of it, and entries to delete.
async fn node_with_values() -> TestNode {
    let entries = [(USER_KEY, "k", json!(SAID))];
    let settings = [("OSC_CLUSTER_KEY", CLUSTER_KEY)];
    let node = node_with(&entries, &settings).await;
    for key in ["to-delete", "to-purge"] {
        let body = json!({"key": key, "value": 1});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201);
    }
    node
}

#[tokio::test]
async fn nothing_that_may_hold_a_secret_is_stored_and_no_answer_is_taken_for_another_kind() {
    let node = node_with_values().await;
    let salt = std::fs::read(node.folder.path().join("encryption.salt")).unwrap();
    let salt = String::from_utf8_lossy(&salt);
    for (method, path) in routes() {
        let (asked, body, holds) = row(&method, &path);
        let mut request = node
            .request(method.clone(), &asked)
            .header("X-User-Key", USER_KEY)
            .header("X-Cluster-Key", CLUSTER_KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        let route = format!("{method} {asked}: {}", answer.status);
        let shows = |what: &str| {
            assert!(answer.status.is_success(), "{route}: {}", answer.text);
            assert!(answer.text.contains(what), "{route}: {}", answer.text);
        };
        let mut is_page = false;
        match holds {
            Holds::Value => shows(SAID),
            Holds::Salt => shows(&salt),
            Holds::Page => {
                shows("");
                is_page = true;
            }
            Holds::Document => shows(""),
            Holds::Elsewhere => assert!(answer.status.is_redirection(), "{route}"),
            Holds::Neither => {}
        }
        let header = |name| answer.header(name);
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{route}");
        let is_public = matches!(holds, Holds::Page | Holds::Document | Holds::Elsewhere);
        let is_kept = header("cache-control") != Some("no-store");
        assert_eq!(is_kept, is_public, "{route}");
        let policy = header("content-security-policy");
        let is_closed = policy.is_some_and(|policy| policy.contains("frame-ancestors 'none'"));
        assert!(is_closed || !is_page, "{route}: {policy:?}");
    }
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
