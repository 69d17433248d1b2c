//! Batches of 1,000 creates, beside SQLite with 64 rows in a transaction: on one node, and on three nodes of which all healthy
//! ones hold each row before its line is sent.

use crate::{
    cluster::Cluster,
    node::{Node, USER_KEY, folder_with, value},
    report::{Bar, Row, median},
    writes::sqlite_rows_per_second,
    wrk::requests_per_second,
};

/// One connection sends while others wait for the disk.
const CONNECTIONS: u32 = 4;
const ROWS: u32 = 1_000;
const ROUNDS: u32 = 5;

pub(crate) fn rows() -> Vec<Row> {
    let (folder, key) = folder_with(1);
    let single = Node::start(folder.path(), &[]);
    let cluster = Cluster::start();
    let now = opensecureconf_node::domain::Timestamp::from_micros(1_768_471_845_000_000);
    let token = key.seal(value(1).as_bytes(), now).unwrap();
    cluster.open_something(&single.url);
    let (mut limit, mut alone, mut replicated) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        limit.push(sqlite_rows_per_second(64, &token));
        alone.push(rows_per_second(&single.url, round, "local"));
        replicated.push(rows_per_second(&cluster.url(0), round, "healthy"));
    }
    for url in [single.url.clone(), cluster.url(0)] {
        assert_nothing_was_refused(&cluster, &url);
    }
    let limit = median(limit);
    let row = |what, ours, bar| Row {
        what,
        unit: "rows/s",
        ours,
        against: "SQLite with 64 rows in a transaction",
        limit,
        bar,
    };
    vec![
        row(
            "batch of 1,000 creates, 4 connections",
            median(alone),
            Bar::RatioAtLeast(0.6),
        ),
        row(
            "replicated batch of 1,000 creates, healthy",
            median(replicated),
            Bar::RatioAtLeast(0.35),
        ),
    ]
}

fn rows_per_second(url: &str, round: u32, level: &str) -> f64 {
    requests_per_second(CONNECTIONS, url, &script(round, level)) * f64::from(ROWS)
}

/// New names with every request.
fn script(round: u32, level: &str) -> String {
    let value = value(1);
    format!(
        "local n = 0
         wrk.method = 'POST'
         wrk.headers['X-User-Key'] = '{USER_KEY}'
         wrk.headers['X-OSC-Ack'] = '{level}'
         wrk.headers['Content-Type'] = 'application/json'
         request = function()
           local rows = {{}}
           for i = 1, {ROWS} do
             n = n + 1
             rows[i] = '{{\"op\": \"create\", \"key\": \"r{round}-' .. n .. '\", \"value\": {value}}}'
           end
           return wrk.format(nil, '/configs/batch', nil, '[' .. table.concat(rows, ',') .. ']')
         end"
    )
}

/// A node answers a batch with 200 whatever happened to its rows.
fn assert_nothing_was_refused(cluster: &Cluster, url: &str) {
    let page = cluster.runtime.block_on(async {
        let page = reqwest::get(format!("{url}/metrics")).await.unwrap();
        page.text().await.unwrap()
    });
    let of_creates: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("osc_config_operations_total{operation=\"create\""))
        .collect();
    let made = of_creates
        .iter()
        .all(|line| line.contains("status=\"success\""));
    assert!(made && !of_creates.is_empty(), "{of_creates:?}");
}
