//! Processor time of nodes and of the database for requests.

use std::fs;

use super::database::Database;
use crate::{
    cluster::processor_seconds,
    node::{Node, USER_KEY},
    report::{Bar, Row, median},
    writes::script,
    wrk::requests,
};

const ROUNDS: usize = 3;
const CONNECTIONS: u32 = 16;

pub(super) fn rows(database: &Database, node: &Node) -> Vec<Row> {
    let read = format!("wrk.headers['X-User-Key'] = '{USER_KEY}'");
    let url = format!("{}/configs/k1", node.url);
    let reads: Vec<_> = (0..ROUNDS)
        .map(|_| cost(database, node, &url, &read))
        .collect();
    let creates = (0..ROUNDS).map(|round| {
        let create = script(&format!("cost-{round}"));
        cost(database, node, &node.url, &create)
    });
    let creates: Vec<_> = creates.collect();
    vec![
        row("shared: processor of a GET, a node's", &reads),
        row("shared: processor of a create, a node's", &creates),
    ]
}

fn row(what: &'static str, costs: &[Cost]) -> Row {
    Row {
        what,
        unit: "us",
        ours: median(costs.iter().map(|cost| cost.node).collect()),
        against: "the database's for the same",
        limit: median(costs.iter().map(|cost| cost.database).collect()),
        bar: Bar::None,
    }
}

/// The cost of one request, in microseconds.
struct Cost {
    node: f64,
    database: f64,
}

fn cost(database: &Database, node: &Node, url: &str, script: &str) -> Cost {
    let spent = || {
        (
            processor_seconds(&[node.pid()]),
            seconds_of_server(database),
        )
    };
    let before = spent();
    let count = requests(CONNECTIONS, url, script);
    let after = spent();
    Cost {
        node: (after.0 - before.0) / count * 1e6,
        database: (after.1 - before.1) / count * 1e6,
    }
}

/// Processor time of all server processes so far, those that have ended included.
fn seconds_of_server(database: &Database) -> f64 {
    let file = database.server.folder().join("data/postmaster.pid");
    let pid = fs::read_to_string(file).unwrap();
    let server = pid.lines().next().unwrap();
    let processes = fs::read_dir("/proc").unwrap();
    let ticks: f64 = processes
        .filter_map(|process| fs::read_to_string(process.ok()?.path().join("stat")).ok())
        .filter_map(|stat| {
            let pid = stat.split(' ').next()?.to_owned();
            let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
            let number = |field: usize| fields[field].parse::<f64>().unwrap();
            // Children that have ended count for their parent.
            let ended = number(13) + number(14);
            let own = number(11) + number(12);
            match (pid == server, fields[1] == server) {
                (true, _) => Some(own + ended),
                (_, true) => Some(own),
                _ => None,
            }
        })
        .sum();
    ticks / 100.0
}
