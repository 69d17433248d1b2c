//! No line of the log shows the name of an entry or an environment, unless `OSC_LOG_NAMES` asks for it.

use std::{fs, path::Path};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    node::{API_KEY, USER_KEY, client},
    process::Process,
};

const CLUSTER_KEY: &str = "a cluster key of the tests of 32 bytes";
/// No other text in a log looks like these.
const KEY: &str = "quokka-entry";
const ENVIRONMENT: &str = "wombat-environment";

async fn call(node: &Process, method: Method, path: &str, body: Option<Value>) -> u16 {
    let mut request = client()
        .request(method, format!("{}{path}", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-Cluster-Key", CLUSTER_KEY)
        .header("X-User-Key", USER_KEY);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap().status().as_u16()
}

/// Makes a node log everything that it can about an entry, with names shown or hidden; gives the whole log.
async fn loud_life(folder: &Path, names: &str) -> String {
    let more = [
        ("OSC_LOG_LEVEL", "DEBUG"),
        ("OSC_LOG_NAMES", names),
        ("OSC_CLUSTER_KEY", CLUSTER_KEY),
    ];
    let mut node = Process::start(folder, &more);
    let entry = format!("/configs/{KEY}?environment={ENVIRONMENT}");
    let body = json!({"key": KEY, "value": 1, "environment": ENVIRONMENT});
    for status in [201, 400] {
        let created = call(&node, Method::POST, "/configs", Some(body.clone())).await;
        assert_eq!(created, status);
    }
    assert_eq!(call(&node, Method::GET, &entry, None).await, 200);
    let body = json!({"value": 2});
    assert_eq!(call(&node, Method::PUT, &entry, Some(body)).await, 200);
    assert_eq!(call(&node, Method::DELETE, &entry, None).await, 200);
    assert_eq!(call(&node, Method::GET, &entry, None).await, 404);
    let body = json!({"key": KEY, "value": 3, "environment": ENVIRONMENT});
    assert_eq!(call(&node, Method::POST, "/configs", Some(body)).await, 201);

    // Damage of the disk to an entry.
    let database = Connection::open(folder.join("configurations.db")).unwrap();
    let damaged = database.execute("UPDATE entries SET token = 'damaged' WHERE token <> ''", []);
    assert_eq!(damaged.unwrap(), 1);
    drop(database);
    assert!(call(&node, Method::GET, &entry, None).await >= 400);
    call(&node, Method::GET, "/configs", None).await;
    let purge = format!("/admin{entry}");
    assert_eq!(call(&node, Method::DELETE, &purge, None).await, 200);
    node.event("config_force_deleted");
    let log = node.log();
    node.kill();
    log
}

const EVENTS: [&str; 5] = [
    "config_created",
    "config_read",
    "config_updated",
    "config_deleted",
    "config_force_deleted",
];

#[tokio::test]
async fn a_log_shows_no_name_of_an_entry_and_the_same_hash_for_the_same_name() {
    let folder = TempDir::new().unwrap();
    let log = loud_life(folder.path(), "false").await;
    for name in [KEY, ENVIRONMENT, "quokka", "wombat"] {
        assert!(!log.contains(name), "{log}");
    }
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let hashes = |field: &str| {
        let told = events
            .iter()
            .filter(|event| EVENTS.contains(&event["event"].as_str().unwrap()));
        let mut hashes: Vec<_> = told.map(|event| event[field].as_str().unwrap()).collect();
        assert!(hashes.len() >= EVENTS.len());
        hashes.dedup();
        hashes
    };
    let (keys, environments) = (hashes("key"), hashes("environment"));
    assert_eq!((keys.len(), environments.len()), (1, 1), "{log}");
    assert!(keys[0].starts_with('#') && keys[0].len() == 17, "{keys:?}");
    assert_ne!(keys, environments);
}

#[tokio::test]
async fn names_are_logged_where_that_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let log = loud_life(folder.path(), "true").await;
    for event in EVENTS {
        let line = log.lines().find(|line| line.contains(event)).unwrap();
        assert!(line.contains(KEY) && line.contains(ENVIRONMENT), "{line}");
    }
}

/// The text up to the parenthesis that closes the first one.
fn call_at(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ')' && depth == 0
    });
    &text[..=end.unwrap()]
}

/// Each call of a tracing macro.
fn events_of(source: &str) -> Vec<String> {
    let levels = ["trace!(", "debug!(", "info!(", "warn!(", "error!("];
    levels
        .into_iter()
        .flat_map(|level| source.match_indices(level))
        .filter(|(at, _)| source[..*at].ends_with("tracing::"))
        .map(|(at, _)| call_at(&source[at..]).to_owned())
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

#[test]
fn every_event_passes_names_through_the_one_function_that_hides_them() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let (mut events, mut named) = (0, 0);
    for (path, source) in &files {
        for mut event in events_of(source) {
            events += 1;
            while let Some(at) = event.find("logged_name(") {
                let hidden = call_at(&event[at..]).len();
                event.replace_range(at..at + hidden, "");
                named += 1;
            }
            for name in ["identity", "entry.", ".key.as_str()", ".environment"] {
                assert!(!event.contains(name), "{path}: {event}");
            }
        }
    }
    assert!(events > 50 && named > 15, "{events} {named}");
}
