//! Every route, called with keys that are in use elsewhere and keys that are not, for names that are taken and names that are
//! free: answers, charges and public figures are the same for both.

use std::collections::BTreeMap;

use opensecureconf_node::api::routes;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{API_KEY, Answer, Api, TestNode};

const CLUSTER_KEY: &str = "the cluster key of the tests";
/// Where the keys are in use.
const HOLDER: &str = "192.0.2.1";
const TRIES: u32 = 3;

/// One way to call a route with a user key.
pub(crate) struct Ask {
    pub(crate) what: &'static str,
    method: Method,
    path: &'static str,
    body: Option<Value>,
}

impl Ask {
    fn new(what: &'static str, method: Method, path: &'static str, body: Option<Value>) -> Self {
        Self {
            what,
            method,
            path,
            body,
        }
    }

    /// The request about an entry of this name.
    pub(crate) fn request(&self, node: &Api, name: &str) -> RequestBuilder {
        let request = node.request(self.method.clone(), &self.path.replace("{key}", name));
        match &self.body {
            None => request,
            Some(body) => {
                let mut body = body.clone();
                if let Some(rows) = body.as_array_mut() {
                    rows[0]["key"] = name.into();
                } else if self.method == Method::POST {
                    body["key"] = name.into();
                }
                request.json(&body)
            }
        }
    }
}

/// What each route does with a user key. `None` is a route that reads none: its answers must not differ either.
fn row(method: &Method, path: &str) -> Option<Vec<Ask>> {
    let value = || Some(json!({"value": 1}));
    let ask = |what, path, body| Ask::new(what, method.clone(), path, body);
    Some(match (method.as_str(), path) {
        ("POST", "/configs") => vec![ask("create", "/configs", value())],
        ("POST", "/configs/batch") => {
            let row = |op| Some(json!([{"op": op, "value": 1}]));
            let all = "/configs/batch?all_or_nothing=true";
            vec![
                ask("batch of a create", "/configs/batch", row("create")),
                ask("batch of an update", "/configs/batch", row("update")),
                ask("batch of an upsert", "/configs/batch", row("upsert")),
                ask("batch of a delete", "/configs/batch", row("delete")),
                ask("create, all or nothing", all, row("create")),
                ask("update, all or nothing", all, row("update")),
                ask("upsert, all or nothing", all, row("upsert")),
                ask("delete, all or nothing", all, row("delete")),
            ]
        }
        ("GET", "/configs") => vec![
            ask("list", "/configs", None),
            ask("names", "/configs?keys_only=true", None),
            ask("page", "/configs?limit=1", None),
            ask("empty list", "/configs?category=none", None),
        ],
        ("GET", "/cluster/configs") => vec![ask("list", "/cluster/configs", None)],
        ("GET", "/cluster/conflicts") => vec![ask("conflicts", "/cluster/conflicts", None)],
        ("GET", "/configs/{key}") => vec![ask("read", "/configs/{key}", None)],
        ("PUT", "/configs/{key}") => vec![
            ask("update", "/configs/{key}", value()),
            ask("upsert", "/configs/{key}?upsert=true", value()),
        ],
        ("DELETE", "/configs/{key}") => vec![ask("delete", "/configs/{key}", None)],
        (
            "GET",
            "/" | "/health" | "/ready" | "/docs" | "/docs/{file}" | "/redoc" | "/openapi.json"
            | "/metrics" | "/admin/log-level" | "/cluster/status" | "/cluster/health"
            | "/cluster/salt",
        )
        | ("PUT", "/admin/log-level")
        | ("DELETE", "/admin/configs/{key}")
        | (
            "POST",
            "/cluster/salt"
            | "/cluster/bootstrap"
            | "/cluster/leave"
            | "/cluster/unfence"
            | "/cluster/members/{name}/remove"
            | "/cluster/v1/exchange"
            | "/cluster/v1/values"
            | "/cluster/v1/import",
        ) => return None,
        (method, path) => panic!("{method} {path} is new: give it a row"),
    })
}

/// Every way to ask with a user key.
pub(crate) fn asks() -> Vec<(String, Ask)> {
    let mut asks = Vec::new();
    for (method, path) in routes() {
        for ask in row(&method, &path).unwrap_or_default() {
            asks.push((format!("{method} {path}"), ask));
        }
    }
    asks
}

/// The key that opens entry `n`, or a key that is in use and does not open it.
fn user_key(n: usize, right: bool) -> String {
    if right {
        format!("the key of the tests for entry {n}")
    } else {
        format!("a key of the tests beside entry {n}")
    }
}

fn taken(n: usize) -> String {
    format!("taken-{n}")
}

/// A node with two entries for each case, older than its cache of keys.
async fn node_with_entries(cases: usize) -> TestNode {
    let off = [("OSC_AUTH_FAILURES_PER_MINUTE", "0")];
    let node = TestNode::start_in(TempDir::new().unwrap(), &off);
    for n in 0..cases {
        for (name, right) in [(taken(n), true), (format!("own-{n}"), false)] {
            let body = Some(json!({"key": name, "value": n}));
            let key = user_key(n, right);
            let created = node.call_as(&key, Method::POST, "/configs", body).await;
            assert_eq!(created.status, 201);
        }
    }
    let tries = TRIES.to_string();
    let settings = [
        ("OSC_AUTH_FAILURES_PER_MINUTE", tries.as_str()),
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
        ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    TestNode::start_in(node.stop().await, &settings)
}

async fn read(node: &TestNode, from: &str, user_key: &str, name: &str) -> u16 {
    let request = node
        .request(Method::GET, &format!("/configs/{name}"))
        .header("X-User-Key", user_key)
        .header("X-Forwarded-For", from);
    request.send().await.unwrap().status().as_u16()
}

/// Counters and gauges that any client may read, and the number of derived keys, which only the admin sees.
async fn figures(node: &TestNode) -> BTreeMap<String, f64> {
    let page = |key: Option<&'static str>| {
        let mut request = node.client.get(format!("{}/metrics", node.url));
        if let Some(key) = key {
            request = request.header("X-Cluster-Key", key);
        }
        async { request.send().await.unwrap().text().await.unwrap() }
    };
    let (public, owners) = (page(None).await, page(Some(CLUSTER_KEY)).await);
    let derivations = owners
        .lines()
        .filter(|line| line.starts_with("osc_key_derivation_duration_seconds_count"));
    // The last metric changes by itself: the store's own upkeep may wait at that moment.
    let timed = ["process_", "_seconds", "_bytes", "osc_store_writes_waiting"];
    public
        .lines()
        .filter(|line| !line.starts_with('#') && !timed.iter().any(|name| line.contains(name)))
        .chain(derivations)
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// How often another key may still be tried from this address.
async fn tries_left(node: &TestNode, from: &str, n: usize) -> u32 {
    let mut left = 0;
    while left <= TRIES {
        let key = format!("a wrong key of the tests {n}, number {left}");
        if read(node, from, &key, &taken(n)).await == 429 {
            break;
        }
        left += 1;
    }
    left
}

/// What a client sees of an answer, and what the call cost.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: Vec<String>,
    refusal: Option<String>,
    figures: BTreeMap<String, String>,
    tries_left: u32,
}

async fn seen(node: &TestNode, n: usize, request: RequestBuilder, from: &str) -> Seen {
    let before = figures(node).await;
    let answer = Answer::of(request.send().await.unwrap()).await;
    let after = figures(node).await;
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort_unstable();
    let change = |(name, value): (String, f64)| {
        let more = value - before.get(&name).copied().unwrap_or_default();
        (more != 0.0).then(|| (name, more.to_string()))
    };
    Seen {
        status: answer.status.as_u16(),
        headers,
        refusal: (answer.status.as_u16() >= 300).then_some(answer.text),
        figures: after.into_iter().filter_map(change).collect(),
        tries_left: tries_left(node, from, n).await,
    }
}

#[tokio::test]
async fn a_key_in_use_elsewhere_is_asked_charged_and_counted_like_any_other() {
    let asks = asks();
    let cases = asks.len() * 4;
    let (used, unused) = (
        node_with_entries(cases).await,
        node_with_entries(cases).await,
    );
    let mut n = 0;
    for (route, ask) in &asks {
        for right in [true, false] {
            for free in [true, false] {
                for (key_is_right, name) in [(true, taken(n)), (false, format!("own-{n}"))] {
                    let key = user_key(n, key_is_right);
                    assert_eq!(read(&used, HOLDER, &key, &name).await, 200);
                }
                let name = if free { format!("free-{n}") } else { taken(n) };
                let from = format!("198.51.100.{n}");
                let ask_of = |node: &TestNode| {
                    ask.request(node, &name)
                        .header("X-User-Key", user_key(n, right))
                        .header("X-Forwarded-For", from.as_str())
                };
                let of_used = seen(&used, n, ask_of(&used), &from).await;
                let of_unused = seen(&unused, n, ask_of(&unused), &from).await;
                assert_eq!(
                    of_used, of_unused,
                    "{route}, {}, the key opens it: {right}, the name is free: {free}",
                    ask.what
                );
                n += 1;
            }
        }
    }
    used.stop().await;
    unused.stop().await;
}

#[tokio::test]
async fn a_route_without_a_user_key_answers_the_same_whatever_key_is_shown() {
    let (used, unused) = (node_with_entries(1).await, node_with_entries(1).await);
    let key = user_key(0, true);
    assert_eq!(read(&used, HOLDER, &key, &taken(0)).await, 200);
    let mut asked = 0;
    for (method, path) in routes() {
        if row(&method, &path).is_some() || path == "/metrics" {
            continue;
        }
        let path = path
            .replace("{key}", &taken(0))
            .replace("{name}", "nobody")
            .replace("{file}", "index.html");
        let answer = |node: &TestNode| {
            let request = node
                .client
                .request(method.clone(), format!("{}{path}", node.url))
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", &key);
            async { Answer::of(request.send().await.unwrap()).await }
        };
        let (of_used, of_unused) = (answer(&used).await, answer(&unused).await);
        assert_eq!(
            (of_used.status, of_used.text),
            (of_unused.status, of_unused.text),
            "{method} {path}"
        );
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
    used.stop().await;
    unused.stop().await;
}
