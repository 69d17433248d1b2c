//! A federated cluster on this machine: what it costs to read a value that another node has.

use std::time::{Duration, Instant};

use crate::{
    cluster::Cluster,
    node::{USER_KEY, value},
    report::{Bar, Row, median},
};

/// Reads of each kind; one of each in turn, so that both meet the same machine.
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
    let read = |key: &str| -> Duration {
        let request = cluster
            .client
            .get(format!("{}/configs/{key}", cluster.url(0)))
            .header("X-User-Key", USER_KEY);
        let begun = Instant::now();
        cluster.runtime.block_on(async {
            let answer = request.send().await.unwrap().error_for_status().unwrap();
            answer.bytes().await.unwrap();
        });
        begun.elapsed()
    };
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    for _ in 0..READS {
        local.push(read("local").as_secs_f64() * 1e6);
        remote.push(read("remote").as_secs_f64() * 1e6);
    }
    vec![Row {
        what: "federated read of another node's value",
        unit: "us",
        ours: median(remote),
        against: "a read of the node's own value, median",
        limit: median(local),
        bar: Bar::RatioAtMost(3.0),
    }]
}
