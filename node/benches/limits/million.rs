//! A million entries of 200 bytes: how soon a node serves them, what it takes in memory, pages anywhere in their list, and a blank
//! node that joins them while clients read.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::StreamExt;
use opensecureconf_node::{crypto::CursorKey, domain::Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use crate::{
    cluster::Cluster,
    node::{Node, USER_KEY, folder_of, salt},
    report::{Bar, Row, median, percentile},
    size::seconds_to_ready,
    writes::sqlite_rows_per_second,
};

/// `BENCH_MILLION` for a shorter run.
const ENTRIES: usize = 1_000_000;
const PAGES: usize = 500;
/// Reads a second of the clients of a node that gives a snapshot.
const READS: u32 = 500;

pub(crate) fn rows() -> Vec<Row> {
    let count = std::env::var("BENCH_MILLION").map_or(ENTRIES, |count| count.parse().unwrap());
    let begun = Instant::now();
    let (folder, key) = folder_of(count, value);
    eprintln!("{count} entries in {:.0} s", begun.elapsed().as_secs_f64());
    let starts = (0..5).map(|_| seconds_to_ready(folder.path())).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = Node::start(folder.path(), &[]);
    let idle = node.resident();
    let page = page_p99(&runtime, &node, count);
    let during = peak_of_a_list(&runtime, &node, count);
    drop(node);
    let now = Timestamp::from_micros(1_768_471_845_000_000);
    let token = key.seal(value(1).as_bytes(), now).unwrap();
    let join = join(folder, count);
    let inserts = (0..3).map(|_| sqlite_rows_per_second(64, &token)).collect();
    let row = |what, unit, ours, limit| Row {
        what,
        unit,
        ours,
        against: "the bar",
        limit,
        bar: Bar::Below,
    };
    let name = |what: &str| -> &'static str { format!("{what}, {count} entries").leak() };
    vec![
        row(name("start to ready"), "s", median(starts), 0.5),
        row(name("resident memory, idle"), "MiB", idle, 40.0),
        row(name("page of 100 anywhere, p99"), "ms", page, 5.0),
        row(name("memory during a full list"), "MiB", during, 64.0),
        Row {
            what: name("a blank node joins"),
            unit: "rows/s",
            ours: count as f64 / join.seconds,
            against: "SQLite with 64 rows in a transaction",
            limit: median(inserts),
            bar: Bar::RatioAtLeast(0.4),
        },
        Row {
            what: "p99 of reads at its source, 500 a second",
            unit: "ms",
            ours: join.during,
            against: "the same before it joins",
            limit: join.before,
            bar: Bar::RatioAtMost(2.0),
        },
    ]
}

/// 200 bytes.
fn value(n: usize) -> String {
    let start = format!(
        r#"{{"host": "db-{n}.example.org", "port": 5432, "options": {{"pool": 10}}, "notes": ""#
    );
    let end = r#""}"#;
    let notes = "n".repeat(200 - start.len() - end.len());
    start + &notes + end
}

/// Milliseconds for pages at random places.
fn page_p99(runtime: &tokio::runtime::Runtime, node: &Node, count: usize) -> f64 {
    let cursors = CursorKey::of(&salt());
    let client = reqwest::Client::new();
    let mut random = StdRng::seed_from_u64(1);
    let page = |after: usize| {
        let place = serde_json::json!(["", format!("k{after}")]).to_string();
        let now = Timestamp::from_micros(1_768_471_845_000_000);
        let cursor = cursors.seal(&place, now).unwrap();
        let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        let request = client
            .get(format!("{}/configs?limit=100&after={cursor}", node.url))
            .header("X-User-Key", USER_KEY);
        let begun = Instant::now();
        let answer: Vec<serde_json::Value> = runtime.block_on(async {
            let answer = request.send().await.unwrap().error_for_status().unwrap();
            answer.json().await.unwrap()
        });
        // The last places of the list have less than a page behind them.
        assert!(
            !answer.is_empty() || after + 100 >= count,
            "k{after}: nothing"
        );
        begun.elapsed().as_secs_f64() * 1000.0
    };
    // The first page derives the key, and opens the connection.
    page(0);
    let pages = (0..PAGES).map(|_| page(random.random_range(0..count)));
    percentile(pages.collect(), 99)
}

/// MiB that the node has at most while one client reads the whole list.
fn peak_of_a_list(runtime: &tokio::runtime::Runtime, node: &Node, count: usize) -> f64 {
    let read = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0.0_f64;
            while !read.load(Ordering::Relaxed) {
                peak = peak.max(node.resident());
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let bytes = runtime.block_on(async {
            let list = reqwest::Client::new()
                .get(format!("{}/configs", node.url))
                .header("X-User-Key", USER_KEY);
            let answer = list.send().await.unwrap().error_for_status().unwrap();
            let mut pieces = answer.bytes_stream();
            let mut bytes = 0;
            while let Some(piece) = pieces.next().await {
                bytes += piece.unwrap().len();
            }
            bytes
        });
        read.store(true, Ordering::Relaxed);
        assert!(bytes > count * 200, "{bytes} bytes are no list of {count}");
        watch.join().unwrap()
    })
}

/// A node that joins.
struct Joined {
    seconds: f64,
    /// p99 of reads at the source, in milliseconds.
    before: f64,
    during: f64,
}

fn join(full: TempDir, count: usize) -> Joined {
    let mut cluster = Cluster::over(vec![full, TempDir::new().unwrap()], "replica", None);
    cluster.start_node(0);
    // The other one is yet to start.
    cluster.bootstrap(&["--force"]);
    cluster.await_ready(0);
    let source = cluster.url(0);
    let ended = AtomicBool::new(false);
    let for_seconds = |seconds: u64| {
        let until = Instant::now() + Duration::from_secs(seconds);
        move || Instant::now() < until
    };
    // The first read derives the key.
    reads(&source, count, for_seconds(1));
    let before = percentile(reads(&source, count, for_seconds(10)), 99);
    let (seconds, during) = std::thread::scope(|scope| {
        let readers = scope.spawn(|| reads(&source, count, || !ended.load(Ordering::Relaxed)));
        cluster.start_node(1);
        let took = cluster.await_ready(1).as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        (took, percentile(readers.join().unwrap(), 99))
    });
    let entries = cluster.status(1)["details"]["entries"].as_u64();
    assert_eq!(entries, Some(count as u64), "ready with another number");
    Joined {
        seconds,
        before,
        during,
    }
}

/// Reads entries at a steady pace while it is wanted; the milliseconds that each took.
fn reads(url: &str, count: usize, wanted: impl Fn() -> bool) -> Vec<f64> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::new();
        let mut random = StdRng::seed_from_u64(2);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / READS);
        let mut tasks = Vec::new();
        while wanted() {
            ticks.tick().await;
            let request = client
                .get(format!("{url}/configs/k{}", random.random_range(0..count)))
                .header("X-User-Key", USER_KEY);
            tasks.push(tokio::spawn(async move {
                let begun = Instant::now();
                let answer = request.send().await.unwrap().error_for_status().unwrap();
                answer.bytes().await.unwrap();
                begun.elapsed().as_secs_f64() * 1000.0
            }));
        }
        let mut took = Vec::new();
        for task in tasks {
            took.push(task.await.unwrap());
        }
        took
    })
}
