//! Start-up and memory, empty and with 100,000 entries.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    node::{Node, USER_KEY, folder_with},
    report::{Bar, Row, median},
};

const ENTRIES: usize = 100_000;

pub(crate) fn rows() -> Vec<Row> {
    let (empty, _) = folder_with(0);
    let (full, _) = folder_with(ENTRIES);
    let start: Vec<_> = (0..5).map(|_| seconds_to_ready(full.path())).collect();
    let idle = Node::start(empty.path(), &[]);
    let loaded = Node::start(full.path(), &[]);
    for n in (0..ENTRIES).step_by(997) {
        read(&loaded, &format!("/configs/k{n}"));
    }
    let resident = loaded.resident();
    read(&loaded, "/configs");
    let row = |what, unit, ours, limit| Row {
        what,
        unit,
        ours,
        against: "the bar",
        limit,
        bar: Bar::Below,
    };
    vec![
        row("start to ready, 100,000 entries", "s", median(start), 0.5),
        row("resident memory, idle", "MiB", idle.resident(), 16.0),
        row("resident memory, 100,000 entries", "MiB", resident, 40.0),
        row(
            "the same after one list of them all",
            "MiB",
            loaded.resident(),
            40.0,
        ),
    ]
}

pub(crate) fn seconds_to_ready(folder: &Path) -> f64 {
    let start = Instant::now();
    let node = Node::start(folder, &[]);
    loop {
        if status(&node, "/ready") == 200 {
            return start.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn status(node: &Node, path: &str) -> u16 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let request = reqwest::get(format!("{}{path}", node.url)).await.unwrap();
        request.status().as_u16()
    })
}

fn read(node: &Node, path: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new()
            .get(format!("{}{path}", node.url))
            .header("X-User-Key", USER_KEY);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.bytes().await.unwrap();
    });
}
