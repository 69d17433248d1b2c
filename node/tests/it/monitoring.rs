//! Metrics as Prometheus judges them, and the rules and the dashboard that use them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    free_port::free_port,
    node::{OTHER_USER_KEY, TestNode, client},
    process::Process,
    raw_http::RawHttp,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs promtool, which `make test-tools` brings.
fn promtool(arguments: &[&str], folder: &Path, input: &[u8]) -> (bool, String) {
    let tool = repository().join("target/tools/promtool");
    assert!(
        tool.exists(),
        "{} is missing; `make test-tools` brings it",
        tool.display()
    );
    let file = TempDir::new().unwrap();
    let path = file.path().join("input");
    fs::write(&path, input).unwrap();
    let output = Command::new(tool.canonicalize().unwrap())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::from(fs::File::open(path).unwrap()))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

const CLUSTER_KEY: &str = "the cluster key of the tests";

/// The metrics page after at least one event of every kind that it counts.
async fn page() -> String {
    let folder = TempDir::new().unwrap();
    let node = TestNode::start_in(folder, &[("OSC_CLUSTER_KEY", CLUSTER_KEY)]);
    let body = json!({"key": "named", "value": 1});
    node.call(Method::POST, "/configs", Some(body.clone()))
        .await;
    node.call(Method::POST, "/configs", Some(body)).await;
    node.call(Method::GET, "/configs/named", None).await;
    node.call_as(OTHER_USER_KEY, Method::GET, "/configs/named", None)
        .await;
    node.call(Method::GET, "/configs/missing", None).await;
    node.call(Method::GET, "/configs", None).await;
    node.call(Method::GET, "/no/such/route", None).await;
    let page = node
        .request(Method::GET, "/metrics")
        .header("X-Cluster-Key", CLUSTER_KEY);
    let page = page.send().await.unwrap().text().await.unwrap();
    node.stop().await;
    page
}

/// The metrics page of a node that has met another node.
async fn page_beside_another_node() -> String {
    let (folders, ports) = (
        [TempDir::new().unwrap(), TempDir::new().unwrap()],
        [0, 1].map(|_| free_port("127.0.0.1").to_string()),
    );
    let list = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
    let nodes: Vec<_> = folders
        .iter()
        .zip(&ports)
        .map(|(folder, port)| {
            let settings = [
                ("OSC_HOST_PORT", port.as_str()),
                ("OSC_CLUSTER_ENABLED", "true"),
                ("OSC_CLUSTER_NODE_ID", port.as_str()),
                ("OSC_CLUSTER_KEY", CLUSTER_KEY),
                ("OSC_CLUSTER_NODES", list.as_str()),
            ];
            Process::start(folder.path(), &settings)
        })
        .collect();
    let url = format!("{}/metrics", nodes[0].url);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let page = client()
            .get(&url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        if page.contains("osc_replication_pending_changes{") {
            return page;
        }
        assert!(Instant::now() < deadline, "they never met: {page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The routes and methods of which the page of metrics has a histogram.
fn timed(page: &str) -> BTreeSet<(String, String)> {
    const COUNT: &str = "osc_http_request_duration_seconds_count{endpoint=\"";
    page.lines()
        .filter_map(|line| {
            let (endpoint, rest) = line.strip_prefix(COUNT)?.split_once("\",method=\"")?;
            let (method, _) = rest.split_once('"')?;
            Some((endpoint.to_owned(), method.to_owned()))
        })
        .collect()
}

#[tokio::test]
async fn methods_that_a_route_does_not_have_share_one_label() {
    let more = [("OSC_CLUSTER_KEY", CLUSTER_KEY)];
    let node = TestNode::start_in(TempDir::new().unwrap(), &more);
    let routes = opensecureconf_node::api::routes();
    for (_, path) in &routes {
        let path = path.replace("{key}", "k").replace("{file}", "f");
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MINE",
        ] {
            // Refused by the route, by the judge of proofs, and before the route is looked at.
            for head in ["Host: node\r\n", "Host: node\r\nX-OSC-Proof: ask\r\n", ""] {
                let mut connection = RawHttp::connect(&node.url).await;
                let request =
                    format!("{method} {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
                connection.send(request).await;
                assert_ne!(connection.rest().await, "", "{method} {path}");
            }
        }
    }
    let page = node.call(Method::GET, "/metrics", None).await.text;
    let has = |endpoint: &str, wanted: &str| {
        let wanted = if wanted == "HEAD" { "GET" } else { wanted };
        let mut routes = routes.iter();
        routes.any(|(method, path)| path == endpoint && method.as_str() == wanted)
    };
    let timed = timed(&page);
    assert!(timed.len() > 40, "{timed:?}");
    let foreign: Vec<_> = timed
        .iter()
        .filter(|(endpoint, method)| method != "OTHER" && !has(endpoint, method))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    node.stop().await;
}

#[tokio::test]
async fn promtool_finds_nothing_but_the_names_of_the_original() {
    let (_, findings) = promtool(
        &["check", "metrics"],
        Path::new("."),
        page().await.as_bytes(),
    );
    let findings: BTreeSet<_> = findings.lines().collect();
    assert_eq!(
        findings,
        BTreeSet::from([
            "osc_cluster_nodes_total non-counter metrics should not have \"_total\" suffix",
            "osc_config_entries_total non-counter metrics should not have \"_total\" suffix",
        ])
    );
}

#[tokio::test]
async fn operations_are_counted_by_what_became_of_them_and_never_by_name() {
    let page = page().await;
    for line in [
        r#"osc_config_operations_total{operation="create",status="success"} 1"#,
        r#"osc_config_operations_total{operation="create",status="error"} 1"#,
        r#"osc_config_operations_total{operation="read",status="success"} 1"#,
        r#"osc_config_operations_total{operation="read",status="error"} 1"#,
        r#"osc_config_operations_total{operation="read",status="not_found"} 1"#,
        r#"osc_config_operations_total{operation="list",status="success"} 1"#,
        r#"osc_http_requests_total{endpoint="/configs/{key}",method="GET",status_code="200"} 1"#,
        r#"osc_http_requests_total{endpoint="unmatched",method="GET",status_code="404"} 1"#,
        r#"osc_encryption_operations_total{operation="encrypt"} 1"#,
        r#"osc_encryption_operations_total{operation="decrypt"} 1"#,
        r#"osc_api_errors_total{endpoint="/configs",error_type="validation_error"} 1"#,
        r#"osc_key_cache_lookups_total{result="miss"} 3"#,
        "osc_config_entries_total 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    assert!(
        !page.contains("named") && !page.contains("missing\""),
        "{page}"
    );
    assert!(!page.contains("_created"));
}

#[tokio::test]
async fn what_tells_of_keys_is_shown_to_whoever_runs_the_node_alone() {
    const TELLING: [&str; 2] = ["osc_key_", "osc_auth_throttled_total"];
    for (settings, path) in [
        (("OSC_CLUSTER_KEY", CLUSTER_KEY), "/metrics"),
        (("OSC_METRICS_BIND", "127.0.0.1:0"), ""),
    ] {
        let node = TestNode::start_in(TempDir::new().unwrap(), &[settings]);
        let url = match &node.metrics_url {
            Some(own) => format!("{own}/metrics"),
            None => format!("{}{path}", node.url),
        };
        let page = async |key: Option<&str>| {
            let mut request = node.client.get(&url);
            if let Some(key) = key {
                request = request.header("X-Cluster-Key", key);
            }
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, public) = page(None).await;
        assert_eq!(status, 200);
        for name in TELLING {
            assert_eq!(public.contains(name), node.metrics_url.is_some(), "{name}");
        }
        if node.metrics_url.is_none() {
            let (status, owners) = page(Some(CLUSTER_KEY)).await;
            assert!(status == 200 && TELLING.iter().all(|name| owners.contains(name)));
            assert_eq!(page(Some("another cluster key")).await.0, 403);
        }
        node.stop().await;
    }
}

#[tokio::test]
async fn metrics_can_have_a_port_of_their_own() {
    let folder = TempDir::new().unwrap();
    let node = TestNode::start_in(folder, &[("OSC_METRICS_BIND", "127.0.0.1:0")]);
    assert_eq!(node.call(Method::GET, "/metrics", None).await.status, 404);
    let own = node.metrics_url.clone().unwrap();
    let page = node
        .client
        .get(format!("{own}/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    let other = node
        .client
        .get(format!("{own}/configs"))
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 404);
    node.stop().await;
}

/// Folders of alerts and a dashboard: the nodes', and the operator's.
const MONITORED: [&str; 2] = ["manifests/monitoring", "manifests/monitoring/operator"];

#[test]
fn the_alert_rules_are_valid_and_fire_when_they_should() {
    for folder in MONITORED.map(|folder| repository().join(folder)) {
        // Prometheus reads the groups that the Kubernetes object wraps.
        let rule: Value =
            serde_saphyr::from_str(&fs::read_to_string(folder.join("alerts.yaml")).unwrap())
                .unwrap();
        let here = TempDir::new().unwrap();
        let groups = json!({"groups": rule["spec"]["groups"]});
        fs::write(here.path().join("alerts.json"), groups.to_string()).unwrap();
        fs::copy(
            folder.join("alerts.test.yaml"),
            here.path().join("alerts.test.yaml"),
        )
        .unwrap();
        let (valid, text) = promtool(&["check", "rules", "alerts.json"], here.path(), b"");
        assert!(valid, "{text}");
        let (passed, text) = promtool(&["test", "rules", "alerts.test.yaml"], here.path(), b"");
        assert!(passed, "{text}");
        let tests = fs::read_to_string(folder.join("alerts.test.yaml")).unwrap();
        for group in rule["spec"]["groups"].as_array().unwrap() {
            for alert in group["rules"].as_array().unwrap() {
                let name = alert["alert"].as_str().unwrap();
                assert!(
                    tests.contains(&format!("alertname: {name}\n")),
                    "{name} has no test"
                );
            }
        }
    }
}

/// Metrics with this prefix are the operator's; the operator's tests cover them.
const OF_THE_OPERATOR: &str = "osc_operator_";
/// Metrics of nodes that share a database; `tests/postgres/monitoring.rs` covers them.
const OF_A_SHARED_DATABASE: &str = "osc_database_";

#[tokio::test]
async fn rules_and_dashboard_use_only_metrics_that_exist() {
    // Some metrics exist once for each other node, so the test needs one.
    let page = page().await + &page_beside_another_node().await;
    let known: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for folder in MONITORED {
        let mut used = 0;
        for file in ["alerts.yaml", "dashboard.json"] {
            let text = fs::read_to_string(repository().join(folder).join(file)).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let elsewhere = [OF_THE_OPERATOR, OF_A_SHARED_DATABASE];
            for word in words.filter(|word| {
                word.starts_with("osc_") && !elsewhere.iter().any(|begin| word.starts_with(begin))
            }) {
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| {
                        word.strip_suffix(suffix)
                            .filter(|base| known.contains(base))
                    })
                    .unwrap_or(word);
                assert!(known.contains(base), "{word} in {folder}/{file}");
                used += 1;
            }
        }
        assert!(used > 0, "{folder}");
    }
}
