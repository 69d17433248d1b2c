//! Three federated nodes: what it costs to ask the owner of a value, and what a key costs that nobody has.

use std::time::Instant;

use reqwest::StatusCode;

use crate::{
    cluster::Cluster,
    node::USER_KEY,
    report::{Bar, Row, median},
};

const REQUESTS: usize = 1000;

pub(crate) fn rows() -> Vec<Row> {
    let cluster = Cluster::start(&[("OSC_CLUSTER_MODE", "federated")]);
    create(&cluster, 0, "held");
    let missing = latency(&cluster, 0, "missing", StatusCode::NOT_FOUND);
    let local = latency(&cluster, 0, "held", StatusCode::OK);
    let remote = latency(&cluster, 1, "held", StatusCode::OK);
    let row = |what, ours, against, limit, bar| Row {
        what,
        unit: "us",
        ours,
        against,
        limit,
        bar,
    };
    vec![
        row(
            "federated read of a remote key",
            remote,
            "the same read at its owner",
            local,
            Bar::RatioAtMost(3.0),
        ),
        row(
            "federated read of a missing key",
            missing,
            "a read of a key that is there",
            local,
            Bar::RatioAtMost(1.1),
        ),
    ]
}

fn create(cluster: &Cluster, node: usize, key: &str) {
    let request = cluster
        .client
        .post(format!("{}/configs", cluster.url(node)))
        .header("X-User-Key", USER_KEY)
        .json(&serde_json::json!({ "key": key, "value": { "n": 1 } }));
    let answer = cluster.runtime.block_on(request.send()).unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

/// The middle latency of reads one after the other, in microseconds.
fn latency(cluster: &Cluster, node: usize, key: &str, expected: StatusCode) -> f64 {
    let url = format!("{}/configs/{key}", cluster.url(node));
    let figures = cluster.runtime.block_on(async {
        let mut figures = Vec::new();
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let request = cluster.client.get(&url).header("X-User-Key", USER_KEY);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), expected);
            answer.bytes().await.unwrap();
            figures.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        figures
    });
    median(figures)
}
