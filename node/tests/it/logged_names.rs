//! No line of the log shows the name of an entry or an environment, unless `OSC_LOG_NAMES` asks for it.

use std::{fs, path::Path};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    at_rest::REHASH,
    node::{API_KEY, USER_KEY, client},
    process::Process,
    python,
};

const CLUSTER_KEY: &str = "a cluster key of the tests of 32 bytes";
/// No other text in a log looks like these.
const KEY: &str = "quokka-entry";
const ENVIRONMENT: &str = "wombat-environment";
const MOVED: &str = "quokka-moved";

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

    // A value that stands at another entry than the one it was sealed for: read by itself, in a list and among the conflicts.
    rename(folder, KEY, MOVED);
    let moved = format!("/configs/{MOVED}?environment={ENVIRONMENT}");
    assert_eq!(call(&node, Method::GET, &moved, None).await, 500);
    for path in ["/configs", "/cluster/conflicts"] {
        assert_eq!(call(&node, Method::GET, path, None).await, 200);
        node.event("value_misplaced");
    }
    rename(folder, MOVED, KEY);

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

/// Gives an entry another name and its row the hash of that, and makes a lost version of it.
fn rename(folder: &Path, from: &str, to: &str) {
    let path = folder.join("configurations.db");
    let change = |sql: &str| {
        let database = Connection::open(&path).unwrap();
        assert_eq!(database.execute(sql, []).unwrap(), 1);
    };
    change(&format!(
        "UPDATE entries SET key = '{to}' WHERE key = '{from}'"
    ));
    python::run(REHASH, &[path.to_str().unwrap()], b"");
    change(&format!(
        "INSERT INTO conflicts (environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, extra, seen_at)
         SELECT environment, key, category, token, created_at, updated_at, clock - 1, incarnation, row_hash, clocks, extra, updated_at
         FROM entries WHERE key = '{to}'"
    ));
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
    for event in EVENTS.into_iter().chain(["value_misplaced"]) {
        let line = log.lines().find(|line| line.contains(event)).unwrap();
        assert!(
            line.contains("quokka") && line.contains(ENVIRONMENT),
            "{line}"
        );
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

/// The fields of an event as they stand in its call: those with a value, and those that are named after their variable.
fn fields(event: &str) -> Vec<String> {
    let inside = event.split_once('(').unwrap().1;
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut fields = vec![String::new()];
    for letter in inside.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(String::new());
                continue;
            }
            _ => {}
        }
        fields.last_mut().unwrap().push(letter);
    }
    fields
}

/// The words of a piece of code, without its texts.
fn words(code: &str) -> Vec<&str> {
    let code = code.split('"').step_by(2);
    code.flat_map(|part| part.split(|letter: char| !letter.is_alphanumeric() && letter != '_'))
        .filter(|word| !word.is_empty())
        .collect()
}

/// What holds the name of an entry, wherever it stands in an event.
const NAMES: [&str; 6] = [
    "key",
    "environment",
    "identity",
    "identities",
    "entry",
    "names",
];

/// Whether an event may hold these words: `key` is the kind of key there, not the name of an entry.
fn tells_of_access_keys(event: &str) -> bool {
    event.contains("\"auth_failed\"")
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
        for event in events_of(source) {
            events += 1;
            for field in fields(&event) {
                let (name, value) = field.split_once('=').unwrap_or(("", field.as_str()));
                let value = value.trim();
                if value.starts_with("%logged_name(") && call_at(value).len() == value.len() {
                    named += 1;
                    continue;
                }
                let held = words(name).into_iter().chain(words(value));
                let told: Vec<_> = held.filter(|word| NAMES.contains(word)).collect();
                assert!(
                    told.is_empty() || tells_of_access_keys(&event),
                    "{path}: {field} in {event}"
                );
            }
        }
    }
    assert!(events > 50 && named > 15, "{events} {named}");
}

#[test]
fn a_name_is_seen_however_it_stands_in_an_event() {
    for event in [
        r#"error!(key, environment, "value_misplaced")"#,
        r#"error!(%key, "told")"#,
        r#"error!(?identity, "told")"#,
        r#"error!(at = %row.identity.key, "told")"#,
        r#"error!(environment = %shown(environment), "told")"#,
        r#"error!(key = %logged_name(key), other = entry.key, "told")"#,
    ] {
        let seen = fields(event).into_iter().any(|field| {
            !field.contains("logged_name") && words(&field).iter().any(|word| NAMES.contains(word))
        });
        assert!(seen, "{event}");
    }
    let hidden = r#"error!(key = %logged_name(identity.key.as_str()), advice = "a, b", "told")"#;
    assert_eq!(fields(hidden).len(), 3);
}

/// The texts of errors reach the log as causes.
#[test]
fn every_error_that_names_an_entry_passes_its_name_through_that_function() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut errors = 0;
    for (path, source) in &files {
        for (at, _) in source.match_indices("#[error(") {
            errors += 1;
            let text = call_at(&source[at + 1..]);
            for name in ["{key}", "{environment}", "{identity}", "{entry}"] {
                assert!(!text.contains(name), "{path}: {text}");
            }
        }
    }
    assert!(errors > 50, "{errors}");
}
