//! Somebody tries wrong keys over 64 connections; how long does an owner wait?

use std::time::{Duration, Instant};

use crate::{
    node::{Node, USER_KEY, folder_with},
    report::{Bar, Row, percentile},
    wrk,
};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row("owner's p99 while 64 connections guess", "30"),
        row("the same without the limit on failures", "0"),
    ]
}

fn row(what: &'static str, failures_per_minute: &str) -> Row {
    let (folder, _) = folder_with(10);
    let node = Node::start(
        folder.path(),
        &[("OSC_AUTH_FAILURES_PER_MINUTE", failures_per_minute)],
    );
    let url = format!("{}/configs/k1", node.url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = reqwest::Client::new();
    let read = || {
        let start = Instant::now();
        runtime.block_on(async {
            let request = client.get(&url).header("X-User-Key", USER_KEY);
            request.send().await.unwrap().error_for_status().unwrap();
        });
        start.elapsed().as_secs_f64() * 1000.0
    };
    read();
    let script = "local n = 0
        request = function()
          n = n + 1
          return wrk.format('GET', '/configs/k1', {['X-User-Key'] = 'a wrong key, number ' .. n})
        end";
    let flood = std::thread::spawn({
        let url = node.url.clone();
        move || wrk::run(64, &url, script)
    });
    let mut times = Vec::new();
    while !flood.is_finished() {
        times.push(read());
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = flood.join().unwrap();
    assert!(
        output.contains("Non-2xx"),
        "wrong keys open nothing: {output}"
    );
    Row {
        what,
        unit: "ms",
        ours: percentile(times, 99),
        against: "the bar",
        limit: 25.0,
        bar: Bar::Below,
    }
}
