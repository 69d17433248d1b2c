//! Databases of the Python original, made here with its own SQL, opened in place.

use std::{fs, path::Path};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    node::{TestNode, USER_KEY},
    process::{Process, osc_node},
    python,
};

const SCHEMA_2_1: &str = include_str!("../original_2_1.sql");

const SCHEMA_3_1: &str = r#"
CREATE TABLE configurations (
	id INTEGER NOT NULL,
	"key" VARCHAR(255) NOT NULL,
	encrypted_value TEXT NOT NULL,
	category VARCHAR(100),
	environment VARCHAR(100) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT uix_key_environment UNIQUE ("key", environment)
);
CREATE INDEX ix_configurations_key ON configurations ("key");
CREATE INDEX ix_configurations_category ON configurations (category);
CREATE INDEX ix_configurations_environment ON configurations (environment);
"#;

/// Prints a token of each value, made by Python's `cryptography` at 2026-01-15 10:10:45.
const SEAL: &str = "
import base64, hashlib, json, sys
from cryptography.fernet import Fernet
salt = bytes(range(64))
key = base64.urlsafe_b64encode(hashlib.pbkdf2_hmac('sha256', sys.argv[1].encode(), salt, 10, 32))
for line in sys.stdin:
    print(Fernet(key).encrypt_at_time(line.rstrip('\\n').encode(), 1768471845).decode())
";

fn tokens(values: &[&str]) -> Vec<String> {
    let input = values.join("\n") + "\n";
    python::run(SEAL, &[USER_KEY], input.as_bytes())
        .lines()
        .map(str::to_owned)
        .collect()
}

fn original(schema: &str) -> (TempDir, Connection) {
    let folder = TempDir::new().unwrap();
    let salt: Vec<u8> = (0..64).collect();
    fs::write(folder.path().join("encryption.salt"), salt).unwrap();
    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    database.execute_batch(schema).unwrap();
    (folder, database)
}

#[tokio::test]
async fn a_database_of_2_1_is_taken_over_with_every_value_that_python_can_write() {
    let values = [
        r#"{"host": "db", "port": 5432}"#,
        "[NaN, Infinity, -Infinity]",
        r#""\ud800""#,
        "123456789012345678901234567890",
        r#"{"twice": 1, "twice": 2}"#,
    ];
    let (folder, database) = original(SCHEMA_2_1);
    for (n, token) in tokens(&values).iter().enumerate() {
        database
            .execute(
                "INSERT INTO configurations (key, encrypted_value, category) VALUES (?1, ?2, 'old')",
                (format!("k{n}"), token),
            )
            .unwrap();
    }
    drop(database);

    let node = TestNode::start_in(folder, &[]);
    // No text that strict readers accept can hold it, so it comes as Python wrote it.
    let surrogate = node.call(Method::GET, "/configs/k2", None).await;
    assert!(
        surrogate.text.ends_with(r#""value":"\ud800"}"#),
        "{}",
        surrogate.text
    );
    node.call(Method::DELETE, "/configs/k2", None).await;
    let list = node.call(Method::GET, "/configs?mode=full", None).await;
    assert_eq!(list.status, 200, "{}", list.text);
    let expected = [
        r#""value":{"host":"db","port":5432},"created_at":"2026-01-15T10:10:45.000000Z""#,
        r#""value":[null,null,null]"#,
        r#""value":123456789012345678901234567890"#,
        r#""value":{"twice":2}"#,
    ];
    for text in expected {
        assert!(list.text.contains(text), "{text} in {}", list.text);
    }
    assert_eq!(list.json().as_array().unwrap().len(), 4);
    assert_eq!(list.json()[0]["category"], "old");
    let new = json!({"value": "new"});
    assert_eq!(
        node.call(Method::PUT, "/configs/k0", Some(new))
            .await
            .status,
        200
    );
    let folder = node.stop().await;

    let copy = Connection::open(folder.path().join("configurations.db.original")).unwrap();
    let rows: i64 = copy
        .query_row("SELECT count(*) FROM configurations", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 5, "the original still opens its copy");
    let again = TestNode::start_in(folder, &[]);
    let read = again.call(Method::GET, "/configs/k0", None).await;
    assert_eq!(read.json()["value"], "new");
    let folder = again.stop().await;
    assert!(!folder.path().join("configurations.db.original.1").exists());
}

#[tokio::test]
async fn a_database_of_3_1_keeps_its_environments_and_times() {
    let (folder, database) = original(SCHEMA_3_1);
    let tokens = tokens(&["1", "2"]);
    for (environment, token) in ["production", "staging"].iter().zip(&tokens) {
        database
            .execute(
                "INSERT INTO configurations (key, encrypted_value, environment, created_at, updated_at)
                 VALUES ('k', ?1, ?2, '2026-11-23 19:29:38.926628', '2026-11-23 20:00:00')",
                (token, environment),
            )
            .unwrap();
    }
    drop(database);

    let node = TestNode::start_in(folder, &[]);
    let list = node
        .call(Method::GET, "/configs?mode=full", None)
        .await
        .json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(
        (&list[0]["environment"], &list[0]["value"]),
        (&json!("production"), &json!(1))
    );
    assert_eq!(
        (&list[1]["environment"], &list[1]["value"]),
        (&json!("staging"), &json!(2))
    );
    assert_eq!(list[0]["created_at"], "2026-11-23T19:29:38.926628Z");
    assert_eq!(list[0]["updated_at"], "2026-11-23T20:00:00.000000Z");
    node.stop().await;
}

#[test]
fn rows_that_are_no_entries_are_kept_aside_and_reported() {
    let (folder, database) = original(SCHEMA_2_1);
    let good = &tokens(&["1"])[0];
    for (key, token) in [
        ("good", good.as_str()),
        ("damaged", &good[..good.len() - 8]),
        ("", good),
        (&"k".repeat(256), good),
    ] {
        database
            .execute(
                "INSERT INTO configurations (key, encrypted_value) VALUES (?1, ?2)",
                (key, token),
            )
            .unwrap();
    }
    drop(database);

    let mut command = osc_node(folder.path());
    let process = Process::start_command(command.env("OSC_HOST_PORT", "0"));
    let log = process.log();
    let event = |name: &str| -> serde_json::Value {
        let line = log.lines().find(|line| line.contains(name)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(event("original_database_imported")["entries"], 1);
    assert_eq!(event("rows_set_aside")["rows"], 3);
    process.kill();
    let (code, text) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("entries     1") && text.contains("set aside   3"),
        "{text}"
    );
}

#[test]
fn an_original_without_its_salt_is_not_served() {
    let (folder, database) = original(SCHEMA_2_1);
    database
        .execute(
            "INSERT INTO configurations (key, encrypted_value) VALUES ('k', ?1)",
            [&tokens(&["1"])[0]],
        )
        .unwrap();
    drop(database);
    fs::remove_file(folder.path().join("encryption.salt")).unwrap();
    let (code, text) = run(folder.path(), &["--host-port", "0"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("salt"), "{text}");
    assert!(
        !folder.path().join("encryption.salt").exists(),
        "none is invented"
    );
}

#[test]
fn databases_of_others_and_of_later_releases_are_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("configurations.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let (code, text) = run(folder.path(), &["--host-port", "0"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not one of this program"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before, "not a byte changed");

    let newer = TempDir::new().unwrap();
    let mut command = osc_node(newer.path());
    Process::start_command(command.env("OSC_HOST_PORT", "0")).kill();
    let path = newer.path().join("configurations.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99; PRAGMA journal_mode = delete")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let (code, text) = run(newer.path(), &["--host-port", "0"]);
    assert_eq!(code, Some(4));
    assert!(
        text.contains("has schema 99, this release knows up to 3"),
        "{text}"
    );
    assert_eq!(fs::read(&path).unwrap(), before, "not a byte changed");
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = osc_node(folder).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// For each line of input, a JSON text: `1` where Python opens it as a token, else `0`.
const OPENS: &str = "
import base64, hashlib, json, sys
from cryptography.fernet import Fernet
key = base64.urlsafe_b64encode(hashlib.pbkdf2_hmac('sha256', sys.argv[1].encode(), bytes(range(64)), 10, 32))
for line in sys.stdin:
    try:
        Fernet(key).decrypt(json.loads(line).encode())
        print(1)
    except Exception:
        print(0)
";

/// Spellings of a token that people, editors and other libraries make.
fn spellings(token: &str) -> Vec<String> {
    let bare = token.trim_end_matches('=');
    let middle = token.len() / 2;
    let (front, back) = token.split_at(middle);
    let mut spelt = vec![
        token.to_owned(),
        bare.to_owned(),
        format!("{bare}="),
        format!("{bare}=="),
        token.replace('-', "+").replace('_', "/"),
        format!("{token}gAAA"),
        format!("{token}===="),
        format!("={token}"),
        format!("{}=={}", &token[..4], &token[4..]),
        token[..token.len() - 5].to_owned(),
        String::new(),
    ];
    for blank in ["\n", "\r\n", " ", "\t", "\u{feff}", "é", "!", "\0", "="] {
        spelt.push(format!("{token}{blank}"));
        spelt.push(format!("{blank}{token}"));
        spelt.push(format!("{front}{blank}{back}"));
        spelt.push(format!("{bare}{blank}"));
    }
    spelt
}

#[tokio::test]
async fn tokens_in_every_spelling_that_python_opens_open_here() {
    // Plaintexts whose lengths need no, one and two characters of padding.
    let mut spelt = Vec::new();
    for token in tokens(&[
        "\"v\"",
        "\"0123456789abcdef\"",
        "\"0123456789abcdef0123456789abcdef\"",
    ]) {
        spelt.extend(spellings(&token));
    }
    let lines: Vec<_> = spelt.iter().map(|token| json!(token).to_string()).collect();
    let input = lines.join("\n") + "\n";
    let python = python::run(OPENS, &[USER_KEY], input.as_bytes());
    assert_eq!(python.lines().count(), spelt.len());
    assert!(python.lines().filter(|opened| *opened == "1").count() > 30);

    let (folder, database) = original(SCHEMA_2_1);
    for (n, token) in spelt.iter().enumerate() {
        let sql = "INSERT INTO configurations (key, encrypted_value) VALUES (?1, ?2)";
        database.execute(sql, (format!("k{n}"), token)).unwrap();
    }
    drop(database);
    let node = TestNode::start_in(folder, &[]);
    for (n, (token, opened)) in spelt.iter().zip(python.lines()).enumerate() {
        if opened == "1" {
            let read = node
                .call(Method::GET, &format!("/configs/k{n}"), None)
                .await;
            assert_eq!(read.status, 200, "{token:?}: {}", read.text);
        }
    }
    let folder = node.stop().await;

    // A token of such a spelling in the node's own table opens as well: the import changes no byte of it.
    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    let kept: Vec<_> = (0..)
        .zip(spelt.iter().zip(python.lines()))
        .filter(|(_, (_, opened))| *opened == "1")
        .collect();
    for (n, (token, _)) in &kept {
        let sql = "UPDATE entries SET token = ?2 WHERE key = ?1";
        database.execute(sql, (format!("k{n}"), token)).unwrap();
    }
    drop(database);
    let path = folder.path().join("configurations.db");
    python::run(crate::at_rest::REHASH, &[path.to_str().unwrap()], b"");
    let node = TestNode::start_in(folder, &[]);
    for (n, (token, _)) in kept {
        let read = node
            .call(Method::GET, &format!("/configs/k{n}"), None)
            .await;
        assert_eq!(read.status, 200, "{token:?}: {}", read.text);
    }
    node.stop().await;
}
