//! A federated cluster on this machine: the cost of reading a value that another node has.

use std::time::Instant;

use reqwest::StatusCode;

use crate::{
    cluster::Cluster,
    node::{USER_KEY, value},
    report::{Bar, Row, median},
};

/// Reads of each kind, in turn, so that both meet the same load of the machine.
const READS: usize = 2000;

pub(crate) fn rows() -> Vec<Row> {
    let cluster = Cluster::start_as("federated");
    for (ordinal, key) in [(0, "local"), (1, "remote")] {
        let body = format!(r#"{{"key": "{key}", "value": {}}}"#, value(1));
        let request = cluster
            .client
            .post(format!("{}/configs", cluster.url(ordinal)))
            .header("X-User-Key", USER_KEY)
            .header("Content-Type", "application/json")
            .body(body);
        let answer = cluster.runtime.block_on(request.send()).unwrap();
        answer.error_for_status().unwrap();
    }
    let read = |key: &str, expected: StatusCode| -> f64 {
        let request = cluster
            .client
            .get(format!("{}/configs/{key}", cluster.url(0)))
            .header("X-User-Key", USER_KEY);
        let begun = Instant::now();
        cluster.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), expected);
            answer.bytes().await.unwrap();
        });
        begun.elapsed().as_secs_f64() * 1e6
    };
    let (mut local, mut remote, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..READS {
        local.push(read("local", StatusCode::OK));
        remote.push(read("remote", StatusCode::OK));
        missing.push(read("missing", StatusCode::NOT_FOUND));
    }
    let limit = median(local);
    let row = |what, figures, bar| Row {
        what,
        unit: "us",
        ours: median(figures),
        against: "a read of the node's own value, median",
        limit,
        bar: Bar::RatioAtMost(bar),
    };
    vec![
        row("federated read of another node's value", remote, 3.0),
        // The node asks no other node, so the read costs no more than that of a local value.
        row("federated read of a missing key", missing, 1.1),
    ]
}
