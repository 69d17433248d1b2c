//! Arbitrary bytes wherever the outside may put some: nothing panics, nothing is the node's fault, every refusal is JSON.

use std::{fs, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::{Client, Method, header::HeaderValue};
use rusqlite::{Connection, types::Value};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    node::{API_KEY, Answer, TestNode, USER_KEY},
    process::{Process, osc_node},
};

/// Requests for one target; a few seconds.
const CASES: u32 = 1500;

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        // Found cases are written down as tests, not as files.
        failure_persistence: None,
        ..Config::default()
    })
}

const CLUSTER_KEY: &str = "the cluster key of the tests";

struct Target {
    runtime: Runtime,
    node: TestNode,
}

impl Target {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let node = runtime.block_on(async {
            let more = [
                ("OSC_AUTH_FAILURES_PER_MINUTE", "0"),
                ("OSC_CLUSTER_KEY", CLUSTER_KEY),
            ];
            TestNode::start_in(TempDir::new().unwrap(), &more)
        });
        Self { runtime, node }
    }

    fn send(
        &self,
        build: impl FnOnce(&Client, &str) -> reqwest::RequestBuilder,
    ) -> Result<(), TestCaseError> {
        self.runtime.block_on(async {
            let request = build(&self.node.client, &self.node.url);
            let answer = request.timeout(Duration::from_secs(20)).send().await;
            let answer =
                Answer::of(answer.map_err(|error| TestCaseError::fail(format!("{error:?}")))?)
                    .await;
            prop_assert!(answer.status.as_u16() < 500, "{answer:?}");
            // Refusals before the router have no body.
            if answer.status.is_client_error() && !answer.text.is_empty() {
                prop_assert!(
                    answer.json()["detail"] != serde_json::Value::Null,
                    "{answer:?}"
                );
            }
            Ok(())
        })
    }

    fn finish(self) {
        let Self { runtime, node } = self;
        let health = runtime.block_on(node.call(Method::GET, "/health", None));
        assert_eq!(health.status, 200);
        runtime.block_on(node.stop());
    }
}

/// Bytes that are nearly a body.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(b"{\"key\": \"k\", \"value\": ".to_vec()),
        Just(b"\"category\": null, \"environment\": \"e\"".to_vec()),
        Just(b"{".to_vec()),
        Just(b"}".to_vec()),
        Just(b"[".to_vec()),
        Just(b"]".to_vec()),
        Just(b",".to_vec()),
        Just(b"\"\\ud800\"".to_vec()),
        Just(b"NaN".to_vec()),
        Just(b"-1e999".to_vec()),
        Just(b"\xEF\xBB\xBF".to_vec()),
        Just(vec![b'['; 100]),
        Just(vec![b'9'; 5000]),
        vec(any::<u8>(), 0..30),
    ];
    vec(fragment, 0..8).prop_map(|fragments| fragments.concat())
}

#[test]
fn any_body() {
    let target = Target::start();
    let result = runner(CASES).run(&(body(), 0..4_u8), |(body, route)| {
        target.send(|client, url| {
            let (method, path, header) = match route {
                0 => (Method::POST, "/configs", "X-User-Key"),
                1 => (Method::PUT, "/configs/k?upsert=true", "X-User-Key"),
                2 => (Method::PUT, "/admin/log-level", "X-Cluster-Key"),
                _ => (Method::POST, "/cluster/salt", "X-Cluster-Key"),
            };
            let key = if header == "X-User-Key" {
                USER_KEY
            } else {
                CLUSTER_KEY
            };
            client
                .request(method, format!("{url}{path}"))
                .header("X-API-Key", API_KEY)
                .header(header, key)
                .body(body)
        })
    });
    result.unwrap();
    target.finish();
}

#[test]
fn any_path_and_query() {
    let target = Target::start();
    let text = "[ -~]{0,40}";
    let escaped = vec(any::<u8>(), 0..20).prop_map(|bytes| {
        bytes
            .iter()
            .fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
    });
    let part = prop_oneof![text.prop_map(|text| text.replace(['#', ' '], "")), escaped];
    let name = prop_oneof![
        Just("environment"),
        Just("category"),
        Just("limit"),
        Just("after"),
        Just("mode"),
        Just("keys_only"),
        Just("upsert"),
    ];
    let strategy = (part.clone(), vec((name, part), 0..4), 0..4_u8);
    let result = runner(CASES).run(&strategy, |(path, query, route)| {
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let prefix = if route == 0 {
            "/configs".to_owned()
        } else {
            format!("/configs/{path}")
        };
        target.send(|client, url| {
            let method =
                [Method::GET, Method::GET, Method::PUT, Method::DELETE][usize::from(route)].clone();
            client
                .request(method, format!("{url}{prefix}?{}", query.join("&")))
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", USER_KEY)
                .body(r#"{"value": 1}"#)
        })
    });
    result.unwrap();
    target.finish();
}

#[test]
fn any_header() {
    let target = Target::start();
    let body = json!({"key": "k", "value": 1});
    target
        .runtime
        .block_on(target.node.call(Method::POST, "/configs", Some(body)));
    let name = prop_oneof![
        Just("if-match"),
        Just("if-none-match"),
        Just("x-user-key"),
        Just("x-api-key"),
        Just("x-request-id"),
        Just("x-forwarded-for"),
        Just("content-type"),
    ];
    let value = vec(any::<u8>(), 0..60).prop_filter_map("no header value", |bytes| {
        HeaderValue::from_bytes(&bytes).ok()
    });
    let result = runner(300).run(&vec((name, value), 0..5), |headers| {
        target.send(|client, url| {
            let mut request = client.get(format!("{url}/configs/k"));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", USER_KEY)
        })
    });
    result.unwrap();
    target.finish();
}

fn database_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        ".{0,300}".prop_map(Value::Text),
        vec(any::<u8>(), 0..60).prop_map(Value::Blob),
    ]
}

/// A table like the original's, but without constraints.
const ANY_ORIGINAL: &str = "CREATE TABLE configurations (id INTEGER PRIMARY KEY, key, encrypted_value, category, environment, created_at, updated_at)";

#[test]
fn any_row_of_an_original_is_taken_over_or_kept_aside() {
    let row = [(); 6].map(|()| database_value());
    let result = runner(60).run(&vec(row, 0..20), |rows| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch(ANY_ORIGINAL).unwrap();
        for row in &rows {
            database
                .execute(
                    "INSERT INTO configurations (key, encrypted_value, category, environment, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    rusqlite::params_from_iter(row),
                )
                .unwrap();
        }
        drop(database);
        let incarnation = opensecureconf_node::domain::Incarnation::from_random(1);
        drop(opensecureconf_node::store::sqlite::OpenedDatabase::open(&path, incarnation).unwrap());
        let database = Connection::open(&path).unwrap();
        let count = |table: &str| -> usize {
            let sql = format!("SELECT count(*) FROM {table}");
            database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
        };
        prop_assert_eq!(count("entries") + count("set_aside"), rows.len());
        Ok(())
    });
    result.unwrap();
}

#[test]
fn any_row_in_our_own_table_is_answered_or_reported() {
    let runtime = Runtime::new().unwrap();
    let strategy = vec(
        (
            ".{0,300}",
            ".{0,120}",
            ".{0,200}",
            vec(any::<u8>(), 0..40),
            any::<i64>(),
        ),
        1..10,
    );
    let result = runner(40).run(&strategy, |rows| {
        runtime.block_on(async {
            let folder = TestNode::start().stop().await;
            let database = Connection::open(folder.path().join("configurations.db")).unwrap();
            for (n, (key, category, token, clocks, number)) in rows.iter().enumerate() {
                let inserted = database.execute(
                    "INSERT INTO entries (environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, seq)
                     VALUES ('', ?1, ?2, ?3, ?5, ?5, ?5, ?5, ?4, ?4, ?6)",
                    (key, category, token, clocks, number, i64::try_from(n).unwrap() + 1),
                );
                // The table refuses two equal keys; such an insert fails.
                drop(inserted);
            }
            drop(database);
            opensecureconf_node::store::sqlite::check(&folder.path().join("configurations.db")).unwrap();
            let node = TestNode::start_in(folder, &[]);
            let list = node.call(Method::GET, "/configs", None).await;
            prop_assert_eq!(list.status.as_u16(), 200);
            prop_assert_eq!(list.text, "[]");
            node.stop().await;
            Ok(())
        })
    });
    result.unwrap();
}

#[test]
fn any_salt_file_is_refused_unless_it_is_one() {
    let result = runner(12).run(&vec(any::<u8>(), 0..200), |bytes| {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("encryption.salt"), &bytes).unwrap();
        let mut command = osc_node(folder.path());
        command.env("OSC_HOST_PORT", "0");
        if bytes.len() == 64 {
            Process::start_command(&mut command).kill();
        } else {
            let output = command.output().unwrap();
            prop_assert_eq!(output.status.code(), Some(1));
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn any_dotenv_file_is_read_or_refused_by_name() {
    let line = prop_oneof![
        Just("OSC_HOST_PORT=0".to_owned()),
        Just("OSC_LOG_LEVEL=\"DEBUG\"".to_owned()),
        "[ -~]{0,40}",
        "OSC_[A-Z_]{0,20}=[ -~]{0,20}",
    ];
    let result = runner(40).run(&vec(line, 0..5), |lines| {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(".env"), lines.join("\n")).unwrap();
        let output = osc_node(folder.path()).arg("config").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => {}
            Some(2) => prop_assert!(text.contains("the configuration is not usable"), "{text}"),
            other => prop_assert!(false, "{other:?} {text}"),
        }
        Ok(())
    });
    result.unwrap();
}
