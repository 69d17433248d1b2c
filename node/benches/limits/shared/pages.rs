//! Pages of a list of many entries, and the time that a node needs for them.

use std::time::{Duration, Instant};

use opensecureconf_node::{crypto::CursorKey, domain::Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::header::HeaderMap;
use tokio::runtime::Runtime;

use super::{
    database::Database,
    entries::{Keys, fill, name},
};
use crate::{
    node::{Node, USER_KEY},
    report::{Bar, Row, median, percentile},
};

/// `BENCH_ENTRIES` for a shorter run.
const ENTRIES: usize = 10_000_000;
const RARE_KEY: &str = "another-horse-battery";
const PAGES: usize = 500;
const PAGES_OF_FEW: usize = 100;
/// Rows that the node looks at for one page, by default.
const ROW_BUDGET: f64 = 10_000.0;

pub(super) fn rows(runtime: &Runtime, database: &Database) -> Vec<Row> {
    let count = match std::env::var("BENCH_ENTRIES").as_deref() {
        Ok("") | Err(_) => ENTRIES,
        Ok(number) => number.parse().unwrap(),
    };
    let keys = Keys {
        usual: database.key(USER_KEY),
        rare: database.key(RARE_KEY),
    };
    let begun = Instant::now();
    fill(runtime, database, &keys, count);
    let size = "SELECT pg_total_relation_size('opensecureconf.entries')";
    let bytes = runtime.block_on(database.server.count(size));
    eprintln!(
        "{count} entries in {:.0} s, {:.0} bytes each with their index",
        begun.elapsed().as_secs_f64(),
        bytes as f64 / count as f64
    );
    let starts = (0..5).map(|_| seconds_to_ready(runtime, database));
    let start = median(starts.collect());
    let node = database.node();
    let pager = Pager {
        runtime,
        node: &node,
        cursors: CursorKey::of(&database.salt),
        client: reqwest::Client::new(),
        count,
    };
    let usual = pager.pages(USER_KEY, PAGES);
    let few = pager.pages(RARE_KEY, PAGES_OF_FEW);
    let looked_at = few.iter().map(|page| page.looked_at as f64);
    let row = |what, unit, ours, limit, bar| Row {
        what,
        unit,
        ours,
        against: "the bar",
        limit,
        bar,
    };
    let p99 = |pages: &[Page]| percentile(pages.iter().map(|page| page.milliseconds).collect(), 99);
    let entries = |what: &str| -> &'static str { format!("{what}, {count} entries").leak() };
    vec![
        row(
            entries("shared: page of 100, p99"),
            "ms",
            p99(&usual),
            20.0,
            Bar::Below,
        ),
        row(
            "the same, a key that opens 1 in 1,000",
            "ms",
            p99(&few),
            20.0,
            Bar::None,
        ),
        row(
            "rows that such a page looks at, most",
            "rows",
            looked_at.fold(0.0, f64::max),
            ROW_BUDGET,
            Bar::RatioAtMost(1.0),
        ),
        row(
            entries("shared: start to ready"),
            "s",
            start,
            1.0,
            Bar::Below,
        ),
        row(
            "resident memory after these pages",
            "MiB",
            node.resident(),
            64.0,
            Bar::Below,
        ),
    ]
}

/// One page.
struct Page {
    milliseconds: f64,
    looked_at: usize,
}

/// Asks for pages anywhere in the list.
struct Pager<'a> {
    runtime: &'a Runtime,
    node: &'a Node,
    cursors: CursorKey,
    client: reqwest::Client,
    count: usize,
}

impl Pager<'_> {
    fn pages(&self, user_key: &str, pages: usize) -> Vec<Page> {
        let mut random = StdRng::seed_from_u64(1);
        // The first page derives the key, and opens the connection.
        self.page(user_key, 0);
        (0..pages)
            .map(|_| self.page(user_key, random.random_range(0..self.count)))
            .collect()
    }

    fn page(&self, user_key: &str, after: usize) -> Page {
        let place = serde_json::json!(["", name(after)]).to_string();
        let now = Timestamp::from_micros(1_768_471_845_000_000);
        let cursor = self.cursors.seal(&place, now).unwrap();
        let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        let request = self
            .client
            .get(format!(
                "{}/configs?limit=100&after={cursor}",
                self.node.url
            ))
            .header("X-User-Key", user_key);
        let begun = Instant::now();
        let (headers, entries) = self.runtime.block_on(async {
            let answer = request.send().await.unwrap().error_for_status().unwrap();
            let headers = answer.headers().clone();
            let entries: Vec<serde_json::Value> = answer.json().await.unwrap();
            (headers, entries)
        });
        Page {
            milliseconds: begun.elapsed().as_secs_f64() * 1000.0,
            looked_at: entries.len() + skipped(&headers),
        }
    }
}

fn skipped(headers: &HeaderMap) -> usize {
    let skipped = headers.get("X-OSC-Skipped");
    skipped.map_or(0, |count| count.to_str().unwrap().parse().unwrap())
}

fn seconds_to_ready(runtime: &Runtime, database: &Database) -> f64 {
    let start = Instant::now();
    let node = database.node();
    runtime.block_on(async {
        let url = format!("{}/ready", node.url);
        while reqwest::get(&url).await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    start.elapsed().as_secs_f64()
}
