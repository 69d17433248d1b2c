//! A list of 1,000 entries, beside opening and writing those values alone.

use std::time::Instant;

use opensecureconf_node::json;
use rusqlite::Connection;

use crate::{
    node::{Node, USER_KEY, folder_with},
    report::{Bar, Row, median},
};

const ENTRIES: usize = 1000;
const ROUNDS: usize = 60;

pub(crate) fn rows() -> Vec<Row> {
    let (folder, key) = folder_with(ENTRIES);
    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    let mut statement = database.prepare("SELECT token FROM entries").unwrap();
    let tokens: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let node = Node::start(folder.path(), &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = reqwest::Client::new();
    let list = || {
        runtime.block_on(async {
            let request = client
                .get(format!("{}/configs", node.url))
                .header("X-User-Key", USER_KEY);
            let bytes = request
                .send()
                .await
                .unwrap()
                .error_for_status()
                .unwrap()
                .bytes()
                .await
                .unwrap();
            assert!(bytes.len() > ENTRIES * 100);
        });
    };
    list();
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(milliseconds(list));
        limit.push(milliseconds(|| {
            let mut out = String::new();
            for token in &tokens {
                let plaintext = key.open(token).unwrap();
                let text = std::str::from_utf8(&plaintext).unwrap();
                json::respell_for_wire(text, &mut out).unwrap();
            }
            assert!(out.len() > ENTRIES * 50);
        }));
    }
    vec![Row {
        what: "decryption and JSON in a list of 1,000",
        unit: "ms",
        ours: median(limit),
        against: "the whole request",
        limit: median(ours),
        bar: Bar::RatioAtLeast(0.8),
    }]
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1000.0
}
