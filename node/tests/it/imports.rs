//! `osc-node import`: the entries of a database come into a running node, encrypted as they are.

use std::{
    fs::{self, File},
    path::Path,
    process::{Output, Stdio},
};

use opensecureconf_node::{
    crypto::{Iterations, Salt, UserKey, derive},
    domain::Timestamp,
};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    node::{OTHER_USER_KEY, TestNode, USER_KEY, environment},
    process::osc_node,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";

/// A node with this salt, or with a salt of its own.
fn node_with_salt_of(other: Option<&Path>) -> TestNode {
    let folder = TempDir::new().unwrap();
    if let Some(other) = other {
        let file = "encryption.salt";
        fs::copy(other.join(file), folder.path().join(file)).unwrap();
    }
    TestNode::start_in(folder, &[("OSC_CLUSTER_KEY", CLUSTER_KEY)])
}

/// Runs `import` with the settings of a running node. Gives the exit code, the report and the progress.
async fn import(node: &TestNode, key: &str, arguments: &[&str]) -> (i32, String, String) {
    import_with(node, key, arguments, Stdio::null()).await
}

async fn import_with(
    node: &TestNode,
    key: &str,
    arguments: &[&str],
    input: Stdio,
) -> (i32, String, String) {
    let port = node.url.rsplit(':').next().unwrap();
    let folder = node.folder.path().to_owned();
    let mut command = osc_node(&folder);
    command
        .envs(environment(&folder))
        .env("OSC_HOST_PORT", port)
        .env("OSC_CLUSTER_KEY", key)
        .arg("import")
        .args(arguments)
        .stdin(input);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output {
        status,
        stdout,
        stderr,
    } = run.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

async fn put(node: &TestNode, path: &str, user_key: &str, body: Value) -> Value {
    let path = format!("{path}upsert=true");
    let answer = node.call_as(user_key, Method::PUT, &path, Some(body)).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    answer.json()
}

async fn get(node: &TestNode, path: &str, user_key: &str) -> (u16, Value) {
    let answer = node.call_as(user_key, Method::GET, path, None).await;
    (answer.status.as_u16(), answer.json())
}

fn database(node: &TestNode) -> String {
    let path = node.folder.path().join("configurations.db");
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_encrypted_as_they_are_and_replace_nothing() {
    let one = node_with_salt_of(None);
    let other = node_with_salt_of(Some(one.folder.path()));
    let plain = json!({"value": 1, "category": "database"});
    let mine = put(&one, "/configs/mine?", USER_KEY, plain).await;
    put(
        &one,
        "/configs/theirs?environment=live&",
        OTHER_USER_KEY,
        json!({"value": "secret"}),
    )
    .await;
    put(&one, "/configs/both?", USER_KEY, json!({"value": "of one"})).await;
    put(
        &other,
        "/configs/both?",
        USER_KEY,
        json!({"value": "of the other"}),
    )
    .await;

    let from = database(&one);
    let (code, told, _) = import(&other, CLUSTER_KEY, &["--from", &from, "--dry-run"]).await;
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("to be written  2"), "{told}");
    assert_eq!(get(&other, "/configs/mine", USER_KEY).await.0, 404);

    let (code, told, progress) = import(&other, CLUSTER_KEY, &["--from", &from]).await;
    assert_eq!(code, 4, "{told}{progress}");
    assert!(told.contains("written        2"), "{told}");
    assert!(
        told.contains(r#"name taken: "both" in environment "default""#),
        "{told}"
    );
    assert_eq!(progress, "3 of 3 entries\n");

    let (_, brought) = get(&other, "/configs/mine?mode=full", USER_KEY).await;
    for field in ["value", "category", "created_at", "environment"] {
        assert_eq!(brought[field], mine[field], "{field}");
    }
    let theirs = "/configs/theirs?environment=live";
    assert_eq!(
        get(&other, theirs, OTHER_USER_KEY).await.1["value"],
        "secret"
    );
    assert_eq!(get(&other, theirs, USER_KEY).await.0, 403);
    assert_eq!(
        get(&other, "/configs/both", USER_KEY).await.1["value"],
        "of the other"
    );

    let (_, told, _) = import(&other, CLUSTER_KEY, &["--from", &from]).await;
    assert!(
        told.contains("written        0\nthere already  2"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_comes_in_through_standard_input_and_leaves_no_copy() {
    let one = node_with_salt_of(None);
    let other = node_with_salt_of(Some(one.folder.path()));
    put(&one, "/configs/kept?", USER_KEY, json!({"value": 42})).await;
    let backup = one.folder.path().join("backup.db");
    let mut command = osc_node(one.folder.path());
    command.envs(environment(one.folder.path()));
    command.args(["backup", "--output"]).arg(&backup);
    assert!(command.status().unwrap().success());

    let input = || Stdio::from(File::open(&backup).unwrap());
    let (code, told, _) = import_with(&other, CLUSTER_KEY, &["--from", "-"], input()).await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("written        1"), "{told}");
    assert_eq!(
        get(&other, "/configs/kept", USER_KEY).await.1["value"],
        json!(42)
    );
    let left = fs::read_dir(other.folder.path()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with(".given")));

    let (code, _, told) = import(&other, CLUSTER_KEY, &["--from", "-"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("standard input is empty"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_tells_its_salt_where_no_node_has_one() {
    let node = node_with_salt_of(None);
    put(&node, "/configs/kept?", USER_KEY, json!({"value": 42})).await;
    let salt = fs::read(node.folder.path().join("encryption.salt")).unwrap();
    let elsewhere = TempDir::new().unwrap();
    let backup = elsewhere.path().join("backup.db");
    let mut command = osc_node(node.folder.path());
    command.envs(environment(node.folder.path()));
    command.args(["backup", "--output"]).arg(&backup);
    assert!(command.status().unwrap().success());
    let mut command = osc_node(elsewhere.path());
    command.envs(environment(elsewhere.path()));
    command.args(["salt", "export", "--from", "-", "--output", "-"]);
    let told = command.stdin(File::open(&backup).unwrap());
    let told = told.output().unwrap();
    assert!(told.status.success(), "{told:?}");
    assert_eq!(told.stdout, salt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_another_salt_is_refused_with_a_way_out() {
    let (one, other) = (node_with_salt_of(None), node_with_salt_of(None));
    put(&one, "/configs/k?", USER_KEY, json!({"value": 1})).await;
    let (code, _, told) = import(&other, CLUSTER_KEY, &["--from", &database(&one)]).await;
    assert_eq!(code, 1);
    assert!(told.contains("written with another salt"), "{told}");
    assert!(told.contains("through the API"), "{told}");
    assert_eq!(get(&other, "/configs/k", USER_KEY).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_cluster_key_imports() {
    let one = node_with_salt_of(None);
    let other = node_with_salt_of(Some(one.folder.path()));
    put(&one, "/configs/k?", USER_KEY, json!({"value": 1})).await;
    let (code, _, told) = import(
        &other,
        "some other key of no use",
        &["--from", &database(&one)],
    )
    .await;
    assert_eq!(code, 1);
    assert!(told.contains("Invalid cluster key"), "{told}");
    assert_eq!(get(&other, "/configs/k", USER_KEY).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_original_needs_its_salt_file_and_is_only_read() {
    let node = node_with_salt_of(None);
    // As the original makes them: bound to no name.
    let salt = fs::read(node.folder.path().join("encryption.salt")).unwrap();
    let key = derive(
        &UserKey::from_header(USER_KEY.as_bytes()),
        &Salt::from_bytes(&salt).unwrap(),
        Iterations(10),
    );
    let written = Timestamp::from_micros(1_768_471_845_000_000);
    let token = key.seal(b"\"a value\"", written).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("original.db");
    let original = Connection::open(&path).unwrap();
    let rows = "CREATE TABLE configurations (id INTEGER PRIMARY KEY, \"key\" VARCHAR(255) NOT NULL, \
                encrypted_value TEXT NOT NULL, category VARCHAR(100), environment VARCHAR(100) NOT NULL, \
                created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL)";
    original.execute_batch(rows).unwrap();
    let insert = "INSERT INTO configurations (\"key\", encrypted_value, category, environment, created_at, updated_at) \
                  VALUES (?1, ?2, 'old', 'live', '2026-01-15 10:10:45.000001', '2026-01-15 10:10:46')";
    original.execute(insert, ["k", &token]).unwrap();
    original.execute(insert, ["no value", "no token"]).unwrap();
    drop(original);
    let bytes = fs::read(&path).unwrap();

    let from = path.to_str().unwrap();
    let (code, _, told) = import(&node, CLUSTER_KEY, &["--from", from]).await;
    assert_eq!(code, 1);
    assert!(told.contains("--salt"), "{told}");

    let salt = node.folder.path().join("encryption.salt");
    let salt = salt.to_str().unwrap();
    let (code, told, _) = import(&node, CLUSTER_KEY, &["--from", from, "--salt", salt]).await;
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("written        1"), "{told}");
    assert!(told.contains("unusable       1"), "{told}");
    let (_, brought) = get(&node, "/configs/k?environment=live&mode=full", USER_KEY).await;
    assert_eq!(brought["value"], "a value");
    assert_eq!(brought["category"], "old");
    assert!(
        brought["created_at"]
            .as_str()
            .unwrap()
            .starts_with("2026-01-15T10:10:45.000001")
    );
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_is_named() {
    let node = node_with_salt_of(None);
    let text = node.folder.path().join("notes.txt");
    fs::write(&text, "no database ".repeat(1000)).unwrap();
    for file in [text, node.folder.path().join("nowhere.db")] {
        let (code, _, told) = import(&node, CLUSTER_KEY, &["--from", file.to_str().unwrap()]).await;
        assert_eq!(code, 1);
        assert!(told.contains(file.to_str().unwrap()), "{told}");
    }
}
