//! `check`, `backup` and `restore`.

use std::{ffi::OsString, fs, path::Path, sync::Arc};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    node::{API_KEY, TestNode, USER_KEY, client},
    process::{Process, osc_node},
};

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = osc_node(folder).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

async fn create(url: &str, key: &str) -> bool {
    let request = client()
        .post(format!("{url}/configs"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY)
        .json(&json!({"key": key, "value": key}));
    request
        .send()
        .await
        .is_ok_and(|answer| answer.status() == 201)
}

#[tokio::test]
async fn a_backup_made_during_writes_holds_all_that_was_acknowledged_before() {
    let folder = TempDir::new().unwrap();
    let node = Process::start(folder.path(), &[]);
    let url = Arc::new(node.url.clone());
    for n in 0..50 {
        assert!(create(&url, &format!("before-{n}")).await);
    }
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let url = Arc::clone(&url);
        writers.spawn(async move {
            for n in 0.. {
                if !create(&url, &format!("during-{writer}-{n}")).await {
                    return;
                }
            }
        });
    }
    let here = folder.path().to_owned();
    let backup = tokio::task::spawn_blocking(move || run(&here, &["backup", "--output", "b.db"]));
    let (code, text) = backup.await.unwrap();
    assert_eq!(code, Some(0), "{text}");
    node.kill();
    while writers.join_next().await.is_some() {}

    let elsewhere = TempDir::new().unwrap();
    let input = folder.path().join("b.db");
    let (code, text) = run(
        elsewhere.path(),
        &["restore", "--input", input.to_str().unwrap()],
    );
    assert_eq!(code, Some(0), "{text}");
    let node = Process::start(elsewhere.path(), &[]);
    for n in 0..50 {
        let request = client()
            .get(format!("{}/configs/before-{n}", node.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY);
        assert_eq!(request.send().await.unwrap().status(), 200, "before-{n}");
    }
    assert_eq!(
        fs::read(elsewhere.path().join("encryption.salt")).unwrap(),
        fs::read(folder.path().join("encryption.salt")).unwrap(),
        "the backup brings its salt"
    );
}

async fn folder_with(key: &str) -> TempDir {
    let node = TestNode::start();
    let body = json!({"key": key, "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    node.stop().await
}

fn keys(folder: &Path) -> Vec<String> {
    let database = Connection::open(folder.join("configurations.db")).unwrap();
    let mut statement = database
        .prepare("SELECT key FROM entries ORDER BY key")
        .unwrap();
    let keys = statement.query_map([], |row| row.get(0)).unwrap();
    keys.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_restore_replaces_only_what_it_may_and_only_with_what_is_whole() {
    let folder = folder_with("old").await;
    let here = folder.path();
    assert_eq!(run(here, &["backup", "--output", "b.db"]).0, Some(0));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(here.join("b.db")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let (code, text) = run(here, &["backup", "--output", "b.db"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("b.db exists"), "{text}");
    let node = TestNode::start_in(folder, &[]);
    let body = json!({"key": "newer", "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    let folder = node.stop().await;
    let here = folder.path();

    let (code, text) = run(here, &["restore", "--input", "b.db"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--force replaces it"), "{text}");
    fs::write(here.join("rubbish.db"), "no database").unwrap();
    let (code, text) = run(here, &["restore", "--force", "--input", "rubbish.db"]);
    assert_eq!(code, Some(1));
    assert_eq!(text, "osc-node: rubbish.db is no database\n");
    assert_eq!(keys(here), ["newer", "old"], "nothing changed");

    let incarnation = |folder: &Path| -> i64 {
        Connection::open(folder.join("configurations.db"))
            .unwrap()
            .query_row(
                "SELECT value FROM meta WHERE name = 'incarnation'",
                [],
                |row| row.get(0),
            )
            .unwrap()
    };
    let before = incarnation(here);
    assert_eq!(
        run(here, &["restore", "--force", "--input", "b.db"]).0,
        Some(0)
    );
    assert_eq!(keys(here), ["old"]);
    assert_ne!(
        incarnation(here),
        before,
        "what the old one wrote later is not its past"
    );
}

#[tokio::test]
async fn a_backup_of_another_salt_is_not_restored_beside_this_one() {
    let (ours, other) = (folder_with("ours").await, folder_with("other").await);
    assert_eq!(
        run(other.path(), &["backup", "--output", "b.db"]).0,
        Some(0)
    );
    let input = other.path().join("b.db");
    let (code, text) = run(
        ours.path(),
        &["restore", "--force", "--input", input.to_str().unwrap()],
    );
    assert_eq!(code, Some(1));
    assert!(
        text.contains("holds another salt than the backup"),
        "{text}"
    );
    assert_eq!(keys(ours.path()), ["ours"]);
}

#[tokio::test]
async fn a_restore_that_fails_leaves_nothing_that_passes_for_a_database() {
    let folder = folder_with("k").await;
    let backup = folder.path().join("b.db");
    assert_eq!(
        run(folder.path(), &["backup", "--output", "b.db"]).0,
        Some(0)
    );
    // The schema is whole, the page that holds the entry is not.
    let mut bytes = fs::read(&backup).unwrap();
    let token = bytes.windows(5).position(|part| part == b"gAAAA").unwrap();
    let page = token - token % 4096;
    bytes[page..page + 4096].fill(0x55);
    fs::write(&backup, bytes).unwrap();
    let elsewhere = TempDir::new().unwrap();
    let (code, text) = run(
        elsewhere.path(),
        &["restore", "--input", backup.to_str().unwrap()],
    );
    assert_eq!(code, Some(1), "{text}");
    let left: Vec<_> = fs::read_dir(elsewhere.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "configurations.db.lock")
        .collect();
    assert!(left.is_empty(), "{left:?}: {text}");
}

#[tokio::test]
async fn nothing_is_restored_under_a_running_node() {
    let folder = folder_with("k").await;
    assert_eq!(
        run(folder.path(), &["backup", "--output", "b.db"]).0,
        Some(0)
    );
    let _node = Process::start(folder.path(), &[]);
    for command in [&["restore", "--force", "--input", "b.db"][..], &["check"]] {
        let (code, text) = run(folder.path(), command);
        assert_eq!(code, Some(1));
        assert!(
            text.contains("is in use by another osc-node; stop it first"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_restore_says_what_comes_next() {
    let folder = folder_with("k").await;
    let (code, text) = run(folder.path(), &["backup", "--output", "b.db"]);
    assert_eq!(
        (code, text.as_str()),
        (
            Some(0),
            "1 entry and the salt are in b.db; keep it secret\n"
        )
    );
    let restored = "1 entry is in configurations.db; the next start writes the salt file\n";
    let restore = ["restore", "--force", "--input", "b.db"];
    assert_eq!(run(folder.path(), &restore), (Some(0), restored.to_owned()));
    let (code, text) = run(folder.path(), &[&restore[..], &["--new-cluster"]].concat());
    assert_eq!(code, Some(0));
    assert_eq!(
        text,
        format!(
            "{restored}start the nodes, then have one bootstrap the new cluster: osc-node bootstrap\n"
        )
    );
}

#[tokio::test]
async fn check_finds_damage_and_says_so_with_exit_code_3() {
    let folder = folder_with("k").await;
    let (code, text) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("damage      none"), "{text}");

    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    database
        .execute("UPDATE entries SET category = 'swapped'", [])
        .unwrap();
    drop(database);
    let (code, text) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("key 'k' in environment '': its content does not fit its hash"),
        "{text}"
    );

    let path = folder.path().join("configurations.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..8192].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let (code, text) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(3), "{text}");
    let (code, text) = run(folder.path(), &["--host-port", "0"]);
    assert_eq!(code, Some(1), "a damaged database is not served");
    assert!(
        text.contains("the database configurations.db is damaged (")
            && text.contains("; restore it from a backup"),
        "{text}"
    );
    fs::write(&path, "this was a database once".repeat(100)).unwrap();
    let (code, text) = run(folder.path(), &["--host-port", "0"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("the database configurations.db is damaged (file is not a database)")
            && text.contains("; restore it from a backup"),
        "{text}"
    );
}

#[test]
fn a_check_of_an_empty_file_finds_no_database_and_leaves_it_empty() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("configurations.db");
    fs::write(&path, "").unwrap();
    let (code, text) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("the file is empty, and no database"),
        "{text}"
    );
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn a_backup_to_standard_output_is_whole_and_leaves_nothing_behind() {
    let folder = folder_with("k").await;
    let output = osc_node(folder.path())
        .args(["backup", "--output", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with("1 entry and the salt are written to standard output"),
        "{said}"
    );
    let mut left = fs::read_dir(folder.path()).unwrap();
    let is_copy = |name: OsString| name.to_string_lossy().starts_with(".backup-");
    assert!(!left.any(|entry| is_copy(entry.unwrap().file_name())));
    let other = TempDir::new().unwrap();
    fs::write(other.path().join("b.db"), &output.stdout).unwrap();
    let (code, text) = run(other.path(), &["restore", "--input", "b.db"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn where_no_database_is_every_command_says_so_and_names_the_option() {
    let folder = TempDir::new().unwrap();
    let absolute = |name: &str| folder.path().canonicalize().unwrap().join(name);
    for (arguments, file, advice) in [
        (
            &["check"][..],
            "configurations.db",
            "--database-path (OSC_DATABASE_PATH)",
        ),
        (
            &["backup", "--output", "b.db"],
            "configurations.db",
            "--database-path (OSC_DATABASE_PATH)",
        ),
        (
            &["adopt"],
            "configurations.db",
            "--database-path (OSC_DATABASE_PATH)",
        ),
        (&["restore", "--input", "nofile"], "nofile", "--input"),
        (
            &["import", "--from", "nofile", "--api-key", "k"],
            "nofile",
            "--from",
        ),
    ] {
        let (code, text) = run(folder.path(), arguments);
        let expected = if arguments == ["check"] { 3 } else { 1 };
        assert_eq!(code, Some(expected), "{arguments:?}");
        assert_eq!(
            text,
            format!(
                "osc-node: there is no database at {}; name it with {advice}\n",
                absolute(file).display()
            ),
            "{arguments:?}"
        );
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is created"
    );
}

#[tokio::test]
async fn text_that_is_no_utf_8_is_damage_of_that_entry_alone() {
    let folder = folder_with("k").await;
    for column in ["category", "token"] {
        let database = Connection::open(folder.path().join("configurations.db")).unwrap();
        let sql = format!("UPDATE entries SET {column} = CAST(x'67ff41' AS TEXT)");
        database.execute(&sql, []).unwrap();
        drop(database);
        let (code, text) = run(folder.path(), &["check"]);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("key 'k' in environment ''"), "{text}");

        let owner = [("OSC_CLUSTER_KEY", "the cluster key of the tests")];
        let node = TestNode::start_in(folder_copy(&folder), &owner);
        let body = json!({"key": "other", "value": 1});
        let other = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(other.status, 201, "other entries do not suffer");
        for (method, body) in [
            (Method::GET, None),
            (Method::PUT, Some(json!({"value": 2}))),
            (Method::DELETE, None),
        ] {
            let answer = node.call(method, "/configs/k", body).await;
            assert_eq!(answer.status, 500, "{}", answer.text);
            assert_eq!(answer.json()["detail"], "Internal error");
            assert!(answer.json()["error_id"].is_string());
        }
        for path in ["/configs", "/configs?values=false", "/configs?limit=1"] {
            let list = node.call(Method::GET, path, None).await;
            assert_eq!(list.status, 200, "{path} {}", list.text);
            assert_eq!(list.json().as_array().unwrap().len(), 1, "{path}");
            assert_eq!(list.json()[0]["key"], "other", "{path}");
            assert_eq!(list.header("x-osc-skipped"), Some("1"), "{path}");
        }
        let remove = node
            .client
            .delete(format!("{}/admin/configs/k", node.url))
            .header("X-Cluster-Key", owner[0].1);
        assert_eq!(remove.send().await.unwrap().status(), 200);
        let body = json!({"key": "k", "value": 3});
        let again = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(again.status, 201, "the name is free");
        let read = node.call(Method::GET, "/configs/k", None).await;
        assert_eq!(read.json()["value"], 3);
        let healed = node.stop().await;
        assert_eq!(run(healed.path(), &["check"]).0, Some(0));
    }
}

#[tokio::test]
async fn a_backup_goes_to_a_file_or_nowhere() {
    let folder = folder_with("k").await;
    let (code, text) = run(folder.path(), &["backup", "--output", "file:copy.db"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("a file of this name is './file:copy.db'"),
        "{text}"
    );
}

#[tokio::test]
async fn a_value_that_is_no_token_is_damage_and_no_wrong_key() {
    let folder = folder_with("k").await;
    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    database
        .execute("UPDATE entries SET token = 'no token'", [])
        .unwrap();
    drop(database);
    let node = TestNode::start_in(folder, &[]);
    for (method, body) in [
        (Method::GET, None),
        (Method::PUT, Some(json!({"value": 2}))),
        (Method::DELETE, None),
    ] {
        let answer = node.call(method, "/configs/k", body).await;
        assert_eq!(answer.status, 500, "{}", answer.text);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_name_that_is_no_utf_8_is_left_out_and_found_by_check() {
    let folder = folder_with("k").await;
    let database = Connection::open(folder.path().join("configurations.db")).unwrap();
    let sql = "UPDATE entries SET key = CAST(x'6bff41' AS TEXT)";
    database.execute(sql, []).unwrap();
    drop(database);
    let (code, text) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("row 1, key 'k\u{fffd}A'"), "{text}");
    let node = TestNode::start_in(folder, &[]);
    let body = json!({"key": "k", "value": 1});
    let again = node.call(Method::POST, "/configs", Some(body)).await;
    assert_eq!(again.status, 201, "{}", again.text);
    let list = node.call(Method::GET, "/configs", None).await;
    assert_eq!(list.json().as_array().unwrap().len(), 1, "{}", list.text);
    node.stop().await;
}

fn folder_copy(folder: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        // The log of the database too: a connection that was open in this process until just now leaves it.
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[test]
fn the_effective_settings_are_shown_without_secrets() {
    let folder = TempDir::new().unwrap();
    let output = osc_node(folder.path())
        .env("OSC_API_KEY", "a secret nobody may see")
        .args(["config", "--host-port", "9001"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("OSC_HOST_PORT=9001\n") && text.contains("OSC_API_KEY=***\n"),
        "{text}"
    );
    assert!(!text.contains("nobody may see"));
}
