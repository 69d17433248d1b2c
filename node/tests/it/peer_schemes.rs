//! A listed node speaks HTTPS where HTTP is dialled, and the reverse: the log says it once with all causes, and `/ready` and the
//! status show the same.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    authority::{Authority, Leaf, write_node_tls},
    free_port::free_port,
    node::{Answer, Api},
    process::{Process, osc_node},
};

/// A node that lists its own address and another one. With TLS it speaks to nodes at a port of its own.
fn node(folder: &TempDir, secured: bool, port: u16, other: u16) -> Process {
    let mut settings = crate::node::environment(folder.path());
    let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
    set("OSC_CLUSTER_ENABLED", "true");
    set("OSC_CLUSTER_KEY", "the cluster key of the tests");
    set(
        "OSC_CLUSTER_NODES",
        &format!("localhost:{port},localhost:{other}"),
    );
    if secured {
        let authority = Authority::new("nodes");
        let tls = folder.path().join("tls");
        let leaf = authority.issue(&Leaf::of_node(&["localhost"]));
        write_node_tls(&tls, &leaf, &authority.pem());
        set("OSC_NODE_TLS_DIR", tls.to_str().unwrap());
        set("OSC_PEER_PORT", &port.to_string());
    } else {
        set("OSC_HOST_PORT", &port.to_string());
    }
    Process::start_command(osc_node(folder.path()).envs(settings))
}

/// What a route shows of the other node.
async fn shown(node: &Process, path: &str, within: &str, other: &str) -> Value {
    let (api, deadline) = (
        Api::at(node.url.clone()),
        Instant::now() + Duration::from_secs(30),
    );
    loop {
        let answer = Answer::of(api.request(Method::GET, path).send().await.unwrap()).await;
        let body = answer.json();
        let nodes = body.pointer(within).and_then(Value::as_array);
        let other = nodes.and_then(|nodes| nodes.iter().find(|node| node["address"] == other));
        if let Some(other) = other {
            return other["error"].clone();
        }
        assert!(Instant::now() < deadline, "{path} never shows it: {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_another_protocol_is_told_once_with_all_causes_and_shown() {
    let folders = [(); 3].map(|()| TempDir::new().unwrap());
    let [first, plain, second] = [(); 3].map(|()| free_port("127.0.0.1"));
    // Whom each dials listens before it: that it did not would be the cause that is told.
    let _listens = node(&folders[0], true, first, plain);
    let mut speaks_http = node(&folders[1], false, plain, first);
    let mut speaks_https = node(&folders[2], true, second, plain);
    for (node, other, causes) in [
        (
            &mut speaks_http,
            first,
            [
                "no answer",
                "error sending request",
                "what answers there speaks TLS",
                "invalid HTTP version",
            ],
        ),
        (
            &mut speaks_https,
            plain,
            [
                "no answer",
                "error sending request",
                "what answers there speaks no TLS",
                "InvalidContentType",
            ],
        ),
    ] {
        let other = format!("localhost:{other}");
        let told = node.error_of("peer_unreachable", causes[2]);
        assert_eq!(
            (&told["peer"], &told["level"]),
            (&other.as_str().into(), &"WARNING".into())
        );
        let error = told["error"].as_str().unwrap();
        for cause in causes {
            assert!(error.contains(cause), "{cause} is missing: {error}");
        }
        for (path, within) in [
            ("/ready", "/unreachable_nodes"),
            ("/cluster/status?details=true", "/details/unreachable_nodes"),
        ] {
            let shown = shown(node, path, within, &other).await;
            assert_eq!(shown, told["error"], "{path}");
        }
        // It is dialled again and again, and told once.
        let lines = node.log();
        let lines = lines
            .lines()
            .filter(|line| line.contains("\"peer_unreachable\""));
        assert_eq!(lines.count(), 1, "{}", node.log());
    }
}
