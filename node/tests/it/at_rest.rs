//! The data on the disk: nothing of deleted or replaced values, and no value under another name than its own.

use std::{fs, path::Path, process::Output, time::Duration};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    every_route::asks,
    node::{API_KEY, Answer, TestNode, USER_KEY, client},
    process::{Process, osc_node},
};

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("configurations.db")).unwrap()
}

/// Every ciphertext that the database holds now, wherever.
fn tokens(folder: &Path) -> Vec<String> {
    let database = database(folder);
    let sql = "SELECT token FROM entries UNION ALL SELECT token FROM conflicts UNION ALL SELECT token FROM home_values";
    let mut statement = database.prepare(sql).unwrap();
    let tokens = statement.query_map([], |row| row.get::<_, Option<String>>(0));
    tokens.unwrap().filter_map(Result::unwrap).collect()
}

/// How many of the ciphertexts are still in the database's files, in whole or in part. Of a long ciphertext the search looks
/// for the middle of each page that it filled.
fn remains(folder: &Path, tokens: &[String]) -> usize {
    let files: Vec<_> = ["configurations.db", "configurations.db-wal"]
        .into_iter()
        .filter_map(|name| fs::read(folder.join(name)).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let is_there = |token: &&String| {
        // The time is shared by many tokens; the IV behind it is not.
        let middles = (24..token.len() - 60).step_by(3_900);
        let mut parts = middles.chain([token.len() - 60]);
        parts.any(|at| {
            let part = &token[at..at + 40];
            files.iter().any(|file| file.contains(part))
        })
    };
    tokens.iter().filter(is_there).count()
}

/// Waits until the node has emptied its log by itself.
async fn log_is_empty(folder: &Path) {
    let log = folder.join("configurations.db-wal");
    for _ in 0..600 {
        if fs::metadata(&log).is_ok_and(|log| log.len() == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the log is not emptied");
}

#[tokio::test]
async fn what_is_deleted_or_replaced_leaves_the_files_while_the_node_runs_and_is_read() {
    let node = TestNode::start();
    let sizes = [10, 300, 900, 3_000, 6_000, 700_000];
    let body = |n: usize| json!({"key": format!("k{n}"), "value": "x".repeat(sizes[n % 6])});
    for n in 0..60 {
        let created = node.call(Method::POST, "/configs", Some(body(n))).await;
        assert_eq!(created.status, 201);
    }
    let before = tokens(node.folder.path());
    assert_eq!(remains(node.folder.path(), &before), 60, "it can be found");

    // Readers that never pause.
    let reading = tokio::spawn({
        let (client, url) = (node.client.clone(), node.url.clone());
        async move {
            loop {
                let request = client.get(format!("{url}/configs/k1"));
                let request = request
                    .header("X-API-Key", API_KEY)
                    .header("X-User-Key", USER_KEY);
                let _ = request.send().await;
            }
        }
    });
    for n in 0..60 {
        let path = format!("/configs/k{n}");
        let changed = if n % 2 == 0 {
            node.call(Method::DELETE, &path, None).await
        } else {
            let value = json!({"value": "y".repeat(sizes[(n + 3) % 6])});
            node.call(Method::PUT, &path, Some(value)).await
        };
        assert_eq!(changed.status, 200);
    }
    log_is_empty(node.folder.path()).await;
    reading.abort();
    let kept = tokens(node.folder.path());
    assert_eq!(kept.len(), 30);
    assert_eq!(remains(node.folder.path(), &before), 0);
    assert_eq!(
        remains(node.folder.path(), &kept),
        30,
        "the others are there"
    );
    node.stop().await;
}

#[tokio::test]
async fn pages_that_are_divided_and_joined_keep_nothing_of_what_was_on_them() {
    let node = TestNode::start();
    let mut gone = Vec::new();
    // Entries of many sizes, with deletes between them: cells move from page to page.
    for round in 0..4_usize {
        for n in 0..80_usize {
            let size = 50 + (n * 37 + round * 101) % 1_700;
            let path = format!("/configs/k{:02}?upsert=true", (n * 53) % 80);
            let body = json!({"value": "z".repeat(size)});
            node.call(Method::PUT, &path, Some(body)).await;
        }
        gone.extend(tokens(node.folder.path()));
        for n in (round % 3..80).step_by(3) {
            node.call(Method::DELETE, &format!("/configs/k{n:02}"), None)
                .await;
        }
    }
    for n in 0..80 {
        node.call(Method::DELETE, &format!("/configs/k{n:02}"), None)
            .await;
    }
    assert_eq!(tokens(node.folder.path()).len(), 0);
    log_is_empty(node.folder.path()).await;
    assert_eq!(remains(node.folder.path(), &gone), 0, "of {}", gone.len());
    node.stop().await;
}

#[tokio::test]
async fn what_earlier_releases_left_behind_is_gone_after_vacuum() {
    let node = TestNode::start();
    for n in 0..20 {
        let body = json!({"key": format!("k{n}"), "value": "x".repeat(500)});
        node.call(Method::POST, "/configs", Some(body)).await;
    }
    let folder = node.stop().await;
    let before = tokens(folder.path());
    // As earlier releases did.
    let old = database(folder.path());
    old.pragma_update(None, "secure_delete", false).unwrap();
    old.execute("DELETE FROM entries", []).unwrap();
    drop(old);
    assert!(remains(folder.path(), &before) > 0);
    let node = TestNode::start_in(folder, &[]);
    let refused = vacuum(node.folder.path());
    assert_eq!(refused.status.code(), Some(1), "a node uses it");
    let folder = node.stop().await;
    let run = vacuum(folder.path());
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(0), "{text}");
    assert!(text.contains("is written anew"), "{text}");
    assert_eq!(remains(folder.path(), &before), 0);
}

fn vacuum(folder: &Path) -> Output {
    osc_node(folder)
        .args(["vacuum", "--database-path", "configurations.db"])
        .output()
        .unwrap()
}

/// Exchanges columns of two entries and makes their hashes right again, as an attacker who may write to the disk can.
fn exchange(folder: &Path, columns: &str) {
    let database = database(folder);
    let one = |key: &str| -> Vec<rusqlite::types::Value> {
        let sql = format!("SELECT {columns} FROM entries WHERE key = ?1");
        let count = columns.split(',').count();
        database
            .query_row(&sql, [key], |row| (0..count).map(|n| row.get(n)).collect())
            .unwrap()
    };
    let (a, b) = (one("a"), one("b"));
    for (key, values) in [("a", b), ("b", a)] {
        let set: Vec<_> = columns
            .split(',')
            .map(|name| format!("{name} = ?"))
            .collect();
        let sql = format!("UPDATE entries SET {} WHERE key = '{key}'", set.join(", "));
        database
            .execute(&sql, rusqlite::params_from_iter(values))
            .unwrap();
    }
}

/// Makes the hashes of all rows match their content.
fn rehash(folder: &Path) {
    let path = folder.join("configurations.db");
    crate::python::run(REHASH, &[path.to_str().unwrap()], b"");
}

/// Takes the seals of some entries away, so that their values pass for those of other entries.
pub(crate) fn take_seals_away(folder: &Path, which: &str) {
    let sql = format!("UPDATE entries SET extra = NULL WHERE {which}");
    database(folder).execute(&sql, []).unwrap();
    rehash(folder);
}

/// The row hash as Python would make it.
pub(crate) const REHASH: &str = "
import hashlib, sqlite3, struct, sys
database = sqlite3.connect(sys.argv[1])
columns = 'id, environment, key, category, token, created_at, updated_at, clock, incarnation, clocks, extra'
for row in database.execute(f'SELECT {columns} FROM entries').fetchall():
    id, environment, key, category, token, created, updated, clock, incarnation, clocks, extra = row
    digest = hashlib.sha256(b'opensecureconf row 1')
    number = lambda n: digest.update(struct.pack('>q', n))
    def field(text):
        if text is None:
            return number(-1)
        number(len(text.encode()))
        digest.update(text.encode())
    for text in (environment, key, category, token):
        field(text)
    for n in (created, updated, clock, incarnation, len(clocks) // 16):
        number(n)
    digest.update(clocks)
    if extra is not None:
        field(extra)
    database.execute('UPDATE entries SET row_hash = ? WHERE id = ?', (digest.digest(), id))
database.commit()
";

async fn two_entries() -> TempDir {
    let node = TestNode::start();
    for (key, value) in [("a", "of a"), ("b", "of b"), ("c", "of c")] {
        let body = json!({"key": key, "value": value});
        node.call(Method::POST, "/configs", Some(body)).await;
    }
    node.stop().await
}

/// Asks about both entries in every way that takes a user key; no answer shows a value of one of them, and none succeeds.
async fn ask_all_about_it(node: &TestNode, of: &str) -> usize {
    let mut asked = 0;
    for (route, ask) in asks() {
        for key in ["a", "b"] {
            let request = ask.request(node, key).header("X-User-Key", USER_KEY);
            let answer = Answer::of(request.send().await.unwrap()).await;
            let told = format!(
                "{route}, {} ({of}): {} {}",
                ask.what, answer.status, answer.text
            );
            let shown = answer.text.contains("\"of a\"") || answer.text.contains("\"of b\"");
            assert!(!shown, "{told}");
            let is_of_one = !matches!(
                ask.what,
                "list" | "names" | "page" | "empty list" | "conflicts"
            );
            let is_done = answer.status.is_success() && !answer.text.contains("\"status\":");
            let is_done = is_done
                || (200..300).any(|code| answer.text.contains(&format!("\"status\":{code}")));
            assert!(!is_of_one || !is_done, "{told}");
            asked += 1;
        }
    }
    asked
}

#[tokio::test]
async fn two_values_that_change_places_are_served_by_nothing() {
    for (columns, hashes) in [
        ("token", false),
        ("token", true),
        ("token, extra", false),
        ("token, extra", true),
    ] {
        let folder = two_entries().await;
        exchange(folder.path(), columns);
        if hashes {
            rehash(folder.path());
        }
        let changed = tokens(folder.path());
        let node = TestNode::start_in(folder, &[]);
        for key in ["a", "b"] {
            let path = format!("/configs/{key}");
            let read = node.call(Method::GET, &path, None).await;
            assert_eq!(read.status, 500, "{columns} {hashes}: {}", read.text);
            let body = json!({"value": 1});
            let put = node.call(Method::PUT, &path, Some(body)).await;
            assert_eq!(put.status, 500, "{columns} {hashes}: {}", put.text);
        }
        let metrics = node.call(Method::GET, "/metrics", None).await;
        let counted = metrics.text.contains("\nosc_misplaced_values_total 0\n");
        assert_eq!(counted, !hashes, "{}", metrics.text);
        for path in ["/configs", "/configs?limit=9", "/cluster/configs"] {
            let list = node.call(Method::GET, path, None).await;
            let names: Vec<_> = list.json().as_array().unwrap().clone();
            assert_eq!(names.len(), 1, "{columns} {hashes}: {}", list.text);
            assert_eq!(names[0]["value"], "of c");
            assert_eq!(list.header("x-osc-skipped"), Some("2"), "{path}");
        }
        let asked = ask_all_about_it(&node, &format!("{columns} {hashes}")).await;
        assert!(asked > 30, "{asked}");
        let folder = node.stop().await;
        assert_eq!(
            tokens(folder.path()),
            changed,
            "{columns} {hashes}: nothing is written"
        );
    }
}

#[tokio::test]
async fn a_seal_that_is_taken_away_or_changed_is_missed() {
    for extra in ["NULL", "'{}'", "'{\"seal\":\"AAAAAAAAAAAAAAAAAAAAAA\"}'"] {
        let folder = two_entries().await;
        let sql = format!("UPDATE entries SET extra = {extra} WHERE key = 'a'");
        database(folder.path()).execute(&sql, []).unwrap();
        rehash(folder.path());
        let node = TestNode::start_in(folder, &[]);
        let read = node.call(Method::GET, "/configs/a", None).await;
        assert_eq!(read.status, 500, "{extra}: {}", read.text);
        assert_eq!(node.call(Method::GET, "/configs/b", None).await.status, 200);
        node.stop().await;
    }
}

/// Leaves the database as a release without seals did: tokens have no blank, rows no seal, the schema has one step less.
fn make_older(folder: &Path) {
    let salt = folder.join("encryption.salt");
    let path = folder.join("configurations.db");
    let without_seals = "
import base64, hashlib, sqlite3, sys
from cryptography.fernet import Fernet
key = hashlib.pbkdf2_hmac('sha256', sys.argv[3].encode(), open(sys.argv[2], 'rb').read(), 10, 32)
fernet = Fernet(base64.urlsafe_b64encode(key))
database = sqlite3.connect(sys.argv[1])
for name, in database.execute('SELECT key FROM entries').fetchall():
    token = fernet.encrypt(f'\"{name} of before\"'.encode()).decode()
    database.execute('UPDATE entries SET token = ?, extra = NULL WHERE key = ?', (token, name))
database.execute('ALTER TABLE home_values DROP COLUMN seal')
database.execute('PRAGMA user_version = 2')
database.commit()
";
    let arguments = [path.to_str().unwrap(), salt.to_str().unwrap(), USER_KEY];
    crate::python::run(without_seals, &arguments, b"");
    rehash(folder);
}

/// The values of a list.
fn values(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, 200, "{}", list.text);
    let list = list.json();
    let values = list.as_array().unwrap().iter();
    values
        .map(|entry| entry["value"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn values_without_seals_that_change_places_are_in_no_list() {
    for settings in [&[][..], &[("OSC_LIST_SNAPSHOT_ROWS", "1")][..]] {
        let folder = two_entries().await;
        make_older(folder.path());
        exchange(folder.path(), "token");
        let node = TestNode::start_in(folder, settings);
        for key in ["a", "b"] {
            let path = format!("/configs/{key}");
            let read = node.call(Method::GET, &path, None).await;
            assert_eq!(read.status, 500, "{}", read.text);
        }
        for path in ["/configs", "/configs?mode=full", "/configs?limit=3"] {
            let list = node.call(Method::GET, path, None).await;
            assert_eq!(values(&list), ["c of before"], "{path}");
            assert_eq!(list.header("x-osc-skipped"), Some("2"), "{path}");
        }
        let metrics = node.call(Method::GET, "/metrics", None).await;
        let counted = metrics.text.contains("\nosc_misplaced_values_total 0\n");
        assert!(counted, "the row is damaged, the value not known to be");
        node.stop().await;
    }
}

#[tokio::test]
async fn lost_values_without_seals_that_change_places_are_on_no_page_of_conflicts() {
    let folder = two_entries().await;
    make_older(folder.path());
    {
        let columns = "environment, key, category, token, created_at, updated_at, clock, incarnation, row_hash, clocks, extra";
        let keep =
            format!("INSERT INTO conflicts ({columns}, seen_at) SELECT {columns}, 1 FROM entries");
        database(folder.path()).execute(&keep, []).unwrap();
        let exchange = "UPDATE conflicts SET token = (SELECT token FROM entries AS other \
             WHERE other.key = CASE conflicts.key WHEN 'a' THEN 'b' WHEN 'b' THEN 'a' ELSE 'c' END)";
        database(folder.path()).execute(exchange, []).unwrap();
    }
    let node = TestNode::start_in(folder, &[]);
    let page = node.call(Method::GET, "/cluster/conflicts", None).await;
    assert_eq!(values(&page), ["c of before"], "{}", page.text);
    node.stop().await;
}

#[tokio::test]
async fn values_from_before_there_were_seals_stay_readable_and_are_sealed_when_they_are_written() {
    let folder = two_entries().await;
    make_older(folder.path());
    let node = TestNode::start_in(folder, &[]);
    let read = node.call(Method::GET, "/configs/a", None).await;
    assert_eq!(read.json()["value"], "a of before", "{}", read.text);
    let body = json!({"value": "anew"});
    node.call(Method::PUT, "/configs/a", Some(body)).await;
    let folder = node.stop().await;
    let sealed: Vec<String> = {
        let database = database(folder.path());
        let mut statement = database
            .prepare("SELECT key FROM entries WHERE extra LIKE '{\"seal\":%'")
            .unwrap();
        let keys = statement.query_map([], |row| row.get(0)).unwrap();
        keys.map(Result::unwrap).collect()
    };
    assert_eq!(sealed, ["a"]);
    let check = osc_node(folder.path())
        .args(["check", "--database-path", "configurations.db"])
        .output()
        .unwrap();
    let text = String::from_utf8(check.stdout).unwrap();
    assert!(text.contains("sealed      1 "), "{text}");
    assert!(text.contains("damage      none"), "{text}");
}

#[tokio::test]
async fn the_process_keeps_its_memory_to_itself_and_still_counts_its_files() {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    // The user of the images, who has fewer rights than root.
    let node = osc_node(folder.path()).get_program().to_owned();
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--reuid", "65532", "--regid", "65532", "--clear-groups"])
        .arg(node)
        .env_clear()
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .envs(crate::node::environment(folder.path()));
    let node = Process::start_command(&mut command);
    let proc = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", node.id()));
    let limits = proc("limits").unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core"))
        .unwrap();
    let core: Vec<_> = core.split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    // The files of a process that is not dumpable belong to root.
    let owner = fs::metadata(format!("/proc/{}/environ", node.id())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
    let metrics = client().get(format!("{}/metrics", node.url)).send().await;
    let metrics = metrics.unwrap().text().await.unwrap();
    for name in ["process_open_fds", "process_resident_memory_bytes"] {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        let figure: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(figure > 0.0, "{line}");
    }
}
