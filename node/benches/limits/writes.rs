//! Creates, beside SQLite alone: with 64 rows in a transaction, and with one.

use std::time::{Duration, Instant};

use opensecureconf_node::{domain::Incarnation, store::sqlite::OpenedDatabase};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    bare,
    node::{Node, USER_KEY, folder_with, value},
    report::{Bar, Row, median},
    wrk::requests_per_second,
};

const CONNECTIONS: u32 = 64;
const ROUNDS: u32 = 5;

pub(crate) fn rows() -> Vec<Row> {
    let (folder, key) = folder_with(1);
    let node = Node::start(folder.path(), &[]);
    let now = opensecureconf_node::domain::Timestamp::from_micros(1_768_471_845_000_000);
    let token = key.seal(value(1).as_bytes(), now).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = reqwest::Client::new();
    let create = client
        .post(format!("{}/configs", node.url))
        .header("X-User-Key", USER_KEY)
        .header("Content-Type", "application/json")
        .body(format!(r#"{{"key": "first", "value": {}}}"#, value(1)));
    let answer = runtime.block_on(bare::Answer::to(create));
    // Until its key has opened an entry, each create waits for a derivation, which would hide every other cost.
    let read = client
        .get(format!("{}/configs/k0", node.url))
        .header("X-User-Key", USER_KEY);
    runtime.block_on(bare::Answer::to(read));
    let bare = bare::serve(&runtime, answer);
    let (mut ours, mut http) = (Vec::new(), Vec::new());
    let (mut grouped, mut single) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let script = script(&format!("r{round}"));
        http.push(requests_per_second(CONNECTIONS, &bare, &script));
        grouped.push(sqlite_rows_per_second(64, &token));
        single.push(sqlite_rows_per_second(1, &token));
        ours.push(requests_per_second(CONNECTIONS, &node.url, &script));
    }
    let ours = median(ours);
    vec![
        Row {
            what: "create, 64 connections",
            unit: "rows/s",
            ours,
            against: "SQLite with 64 rows in a transaction",
            limit: median(grouped),
            bar: Bar::RatioAtLeast(0.5),
        },
        Row {
            what: "create, 64 connections",
            unit: "rows/s",
            ours,
            against: "SQLite with one row in a transaction",
            limit: median(single),
            bar: Bar::RatioAtLeast(5.0),
        },
        Row {
            what: "create, 64 connections",
            unit: "rows/s",
            ours,
            against: "a bare axum handler of the same requests",
            limit: median(http),
            bar: Bar::RatioAtLeast(0.55),
        },
    ]
}

/// A new name with every request, which begins so.
pub(crate) fn script(prefix: &str) -> String {
    let value = value(1);
    format!(
        "local n = 0
         wrk.method = 'POST'
         wrk.headers['X-User-Key'] = '{USER_KEY}'
         wrk.headers['Content-Type'] = 'application/json'
         request = function()
           n = n + 1
           return wrk.format(nil, '/configs', nil, '{{\"key\": \"{prefix}-' .. n .. '\", \"value\": {value}}}')
         end"
    )
}

/// A loop over the same schema with the same durability.
pub(crate) fn sqlite_rows_per_second(rows: usize, token: &str) -> f64 {
    const TIME: Duration = Duration::from_secs(3);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("configurations.db");
    drop(OpenedDatabase::open(&path, Incarnation::from_random(7)).unwrap());
    let mut connection = Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "full")
        .unwrap();
    let (start, mut n) = (Instant::now(), 0_usize);
    while start.elapsed() < TIME {
        let transaction = connection.transaction().unwrap();
        for _ in 0..rows {
            n += 1;
            transaction
                .prepare_cached(
                    "INSERT INTO entries (environment, key, token, created_at, updated_at, clock, incarnation, row_hash, clocks, seq)
                     VALUES ('', ?1, ?2, 0, 0, ?3, 7, ?4, ?5, ?3)",
                )
                .unwrap()
                .execute((format!("k{n}"), token, i64::try_from(n).unwrap(), [0_u8; 32], [0_u8; 16]))
                .unwrap();
        }
        transaction.commit().unwrap();
    }
    n as f64 / start.elapsed().as_secs_f64()
}
