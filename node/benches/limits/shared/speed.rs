//! How fast entries are read and created through nodes.

use std::{process, sync::Arc};

use tokio::runtime::Runtime;

use super::{
    baseline::{Creates, pool, serve},
    cost,
    database::Database,
    statements::Statements,
};
use crate::{
    cluster::processor_seconds,
    node::{Node, USER_KEY},
    report::{Bar, Row, median},
    writes::script,
    wrk::{SECONDS, requests_per_second},
};

const ROUNDS: usize = 5;
const READERS: u32 = 16;
const WRITERS: u32 = 64;
const NODES: usize = 4;

pub(super) fn rows(runtime: &Runtime, database: &Database) -> Vec<Row> {
    let first = database.node();
    let statements = Statements::of(runtime, database, &first);
    let mut rows = reads(runtime, database, &first, statements.select);
    rows.push(creates(runtime, database, &first, statements.insert));
    rows.extend(cost::rows(database, &first));
    rows.push(several_nodes(runtime, database, first));
    let size = "SELECT pg_total_relation_size('opensecureconf.changes') / count(*) FROM opensecureconf.changes";
    let bytes = runtime.block_on(database.server.count(size));
    eprintln!("a change takes {bytes} bytes with its indexes");
    rows
}

fn reads(runtime: &Runtime, database: &Database, node: &Node, select: String) -> Vec<Row> {
    let url = format!("{}/configs/k1", node.url);
    let answer = read_once(runtime, &url);
    let bare = serve(runtime, pool(database), select, answer);
    let bare = format!("{bare}/configs/k1");
    let script =
        format!("wrk.headers['X-User-Key'] = '{USER_KEY}'\nwrk.headers['X-API-Key'] = 'key'");
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(Speed::of(process::id(), &bare, &script));
        ours.push(Speed::of(node.pid(), &url, &script));
    }
    let row = |what, unit, figure: fn(&Speed) -> f64, against, bar| Row {
        what,
        unit,
        ours: median(ours.iter().map(figure).collect()),
        against,
        limit: median(limit.iter().map(figure).collect()),
        bar,
    };
    vec![
        row(
            "shared: GET one, key cached, 16 connections",
            "req/s",
            |speed| speed.requests_per_second,
            "a bare axum handler that makes the same SELECT",
            Bar::RatioAtLeast(0.8),
        ),
        row(
            "shared: processor of a GET, a node's",
            "us",
            |speed| speed.processor,
            "the bare handler's",
            Bar::None,
        ),
    ]
}

/// Reads in a second, and the processor time of the answering process for one read, in microseconds.
struct Speed {
    requests_per_second: f64,
    processor: f64,
}

impl Speed {
    fn of(process: u32, url: &str, script: &str) -> Self {
        let before = processor_seconds(&[process]);
        let requests_per_second = requests_per_second(READERS, url, script);
        let spent = processor_seconds(&[process]) - before;
        Self {
            requests_per_second,
            processor: spent / (requests_per_second * f64::from(SECONDS)) * 1e6,
        }
    }
}

fn creates(runtime: &Runtime, database: &Database, node: &Node, insert: String) -> Row {
    let row = runtime.block_on(async {
        let client = database.server.connect("postgres").await.unwrap();
        let sql = "SELECT e.token, e.extra, i.uid, i.salt_fingerprint FROM opensecureconf.identity AS i, \
                   opensecureconf.entries AS e WHERE e.key = 'k1'";
        client.query_one(sql, &[]).await.unwrap()
    });
    let creates = Arc::new(Creates {
        pool: pool(database),
        insert,
        token: row.get(0),
        extra: row.get(1),
        uid: row.get(2),
        salt_fingerprint: row.get(3),
    });
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        limit.push(creates.rows_per_second(runtime, WRITERS as usize));
        let script = script(&format!("shared-{round}"));
        ours.push(requests_per_second(WRITERS, &node.url, &script));
    }
    Row {
        what: "shared: create, 64 connections",
        unit: "rows/s",
        ours: median(ours),
        against: "a loop of the same INSERTs, each by itself, 64 tasks",
        limit: median(limit),
        bar: Bar::RatioAtLeast(0.7),
    }
}

/// The answer to a read; the node derives the key for it, unless it has it.
fn read_once(runtime: &Runtime, url: &str) -> String {
    runtime.block_on(async {
        let client = reqwest::Client::new();
        let request = client.get(url).header("X-User-Key", USER_KEY);
        let answer = request.send().await.unwrap().error_for_status();
        answer.unwrap().text().await.unwrap()
    })
}

fn several_nodes(runtime: &Runtime, database: &Database, first: Node) -> Row {
    let mut nodes = vec![first];
    nodes.extend((1..NODES).map(|_| database.node()));
    for node in &nodes {
        read_once(runtime, &format!("{}/configs/k1", node.url));
    }
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        one.push(creates_through(&nodes[..1], round));
        all.push(creates_through(&nodes, round));
    }
    Row {
        what: "shared: creates through four nodes",
        unit: "rows/s",
        ours: median(all),
        against: "one node, as many connections",
        limit: median(one),
        bar: Bar::RatioAtLeast(0.9),
    }
}

/// Creates a second with the same number of connections, spread over these nodes.
fn creates_through(nodes: &[Node], round: usize) -> f64 {
    let count = u32::try_from(nodes.len()).unwrap();
    std::thread::scope(|scope| {
        let loads: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(number, node)| {
                let script = script(&format!("of-{count}-{number}-{round}"));
                scope.spawn(move || requests_per_second(WRITERS / count, &node.url, &script))
            })
            .collect();
        loads.into_iter().map(|load| load.join().unwrap()).sum()
    })
}
