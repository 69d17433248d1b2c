//! The statements that a node sends, word for word: taken from the server's own log, so that the baseline never uses older
//! ones.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::database::Database;
use crate::node::{Node, USER_KEY, value};

/// The statement that reads an entry, and the one that creates one.
pub(super) struct Statements {
    pub(super) select: String,
    pub(super) insert: String,
}

impl Statements {
    /// Has a node make entry `k1` and read it.
    pub(super) fn of(runtime: &Runtime, database: &Database, node: &Node) -> Self {
        runtime.block_on(async {
            log_statements(database, "0").await;
            let client = reqwest::Client::new();
            let url = format!("{}/configs", node.url);
            let statements = loop {
                let body = format!(r#"{{"key": "k1", "value": {}}}"#, value(1));
                let create = client.post(&url).header("X-User-Key", USER_KEY).body(body);
                let create = create.header("Content-Type", "application/json");
                create.send().await.unwrap();
                let read = client.get(format!("{url}/k1"));
                let read = read.header("X-User-Key", USER_KEY).send().await.unwrap();
                assert_eq!(read.status(), 200);
                if let Some(statements) = Self::logged(&database.server.log()) {
                    break statements;
                }
                // The server has not read its configuration again yet; the next create is refused, but it is logged.
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            log_statements(database, "-1").await;
            statements
        })
    }

    fn logged(log: &str) -> Option<Self> {
        let executed = |part: &str| {
            let line = log
                .lines()
                .find(|line| line.contains("  execute ") && line.contains(part))?;
            let (_, statement) = line.split_once("  execute ")?.1.split_once(": ")?;
            Some(statement.to_owned())
        };
        Some(Self {
            select: executed("AS one LEFT JOIN opensecureconf.entries AS e ON e.environment")?,
            insert: executed("put AS (INSERT INTO opensecureconf.entries (")?,
        })
    }
}

async fn log_statements(database: &Database, from_milliseconds: &str) {
    database
        .server
        .sql(&format!(
            "ALTER SYSTEM SET log_min_duration_statement = {from_milliseconds}; SELECT pg_reload_conf()"
        ))
        .await;
}
