//! Reads of one entry with a cached key, beside an axum handler that has the answer ready.

use crate::{
    bare,
    node::{Node, USER_KEY, folder_with},
    report::{Bar, Row, median},
    wrk::requests_per_second,
};

const CONNECTIONS: u32 = 16;
const ROUNDS: usize = 5;

pub(crate) fn rows() -> Vec<Row> {
    let (folder, _) = folder_with(1000);
    let node = Node::start(folder.path(), &[]);
    let url = format!("{}/configs/k1", node.url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let request = reqwest::Client::new()
        .get(&url)
        .header("X-User-Key", USER_KEY);
    let answer = runtime.block_on(bare::Answer::to(request));
    let bare = format!("{}/configs/k1", bare::serve(&runtime, answer));
    let script =
        format!("wrk.headers['X-User-Key'] = '{USER_KEY}'\nwrk.headers['X-API-Key'] = 'key'");
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(requests_per_second(CONNECTIONS, &bare, &script));
        ours.push(requests_per_second(CONNECTIONS, &url, &script));
    }
    vec![Row {
        what: "GET one, key cached, 16 connections",
        unit: "req/s",
        ours: median(ours),
        against: "a bare axum handler with the same bytes and headers",
        limit: median(limit),
        bar: Bar::RatioAtLeast(0.8),
    }]
}
