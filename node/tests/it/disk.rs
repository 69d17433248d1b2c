//! A disk that fills up, and a disk that fails: the node refuses writes, goes on with reads and loses no acknowledged write.

use std::{fs, path::PathBuf, process::Command};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    node::{API_KEY, USER_KEY, client},
    process::{Process, osc_node},
};

async fn call(node: &Process, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = client()
        .request(method, format!("{}{path}", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A node on a disk of 8 MiB that only the node sees; it goes with the node.
pub(crate) fn on_a_small_disk(folder: &TempDir, more: &[(&str, &str)]) -> Process {
    let command = osc_node(folder.path());
    let node = command.get_program().to_owned();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "--user", "sh", "-c"])
        .arg("mkdir disk && mount -t tmpfs -o size=8m tmpfs disk && exec \"$0\"")
        .arg(node)
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "true")
        .env("OSC_API_KEY", API_KEY)
        .env("OSC_DATABASE_PATH", "disk/configurations.db")
        .envs(more.iter().copied());
    Process::start_command(&mut command)
}

/// A file on that disk.
pub(crate) fn filler(node: &Process, folder: &TempDir) -> PathBuf {
    let root = format!("/proc/{}/root", node.id());
    PathBuf::from(format!("{root}{}/disk/filler", folder.path().display()))
}

/// Creates entries until the node refuses one; gives the keys that it accepted, and the refusal.
async fn create_until_refused(node: &Process, value: &str) -> (Vec<String>, (u16, Value)) {
    let mut acknowledged = Vec::new();
    loop {
        let key = format!("k{}", acknowledged.len());
        let body = json!({"key": key, "value": value});
        match call(node, Method::POST, "/configs", Some(body)).await {
            (201, _) => acknowledged.push(key),
            refusal => return (acknowledged, refusal),
        }
        assert!(acknowledged.len() < 100, "8 MiB do not hold this much");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_creates_and_is_emptied_through_the_api() {
    let folder = TempDir::new().unwrap();
    let mut node = on_a_small_disk(&folder, &[]);
    let value = "x".repeat(100_000);
    let (acknowledged, refusal) = create_until_refused(&node, &value).await;
    assert_eq!(refusal.0, 507);
    assert_eq!(refusal.1["detail"], "The disk is full; nothing was written");
    node.event("writes_refused");
    let (_, health) = call(&node, Method::GET, "/health", None).await;
    assert_eq!(
        health,
        json!({"status": "healthy", "writes": "refused: disk full"})
    );
    assert_eq!(
        call(&node, Method::GET, "/ready", None).await,
        (200, json!({"ready": true, "writes": "refused: disk full"})),
        "reads are served"
    );
    let metrics = client()
        .get(format!("{}/metrics", node.url))
        .header("X-API-Key", API_KEY);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let tenth = (8 << 20) / 10;
    assert!(
        metrics.contains(&format!("\nosc_store_min_free_bytes {tenth}\n")),
        "alerts know what this disk keeps free: {metrics}"
    );
    for key in &acknowledged {
        assert_eq!(
            call(&node, Method::GET, &format!("/configs/{key}"), None)
                .await
                .0,
            200
        );
    }
    // Below the second floor not even deletes are safe.
    let filler = filler(&node, &folder);
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let (status, body) = call(&node, Method::DELETE, "/configs/k0", None).await;
    assert_eq!((status, &body["detail"]), (507, &refusal.1["detail"]));
    assert_eq!(
        call(&node, Method::GET, "/configs/k0", None).await.0,
        200,
        "reads still are"
    );
    fs::remove_file(&filler).unwrap();
    for key in &acknowledged[..10] {
        assert_eq!(
            call(&node, Method::DELETE, &format!("/configs/{key}"), None)
                .await
                .0,
            200
        );
    }
    let body = json!({"key": "again", "value": value});
    assert_eq!(
        call(&node, Method::POST, "/configs", Some(body)).await.0,
        201,
        "there is room again"
    );
    let (_, health) = call(&node, Method::GET, "/health", None).await;
    assert_eq!(health["writes"], "accepted");
}

#[tokio::test]
async fn a_log_that_the_database_has_no_room_for_is_never_written() {
    let folder = TempDir::new().unwrap();
    let node = on_a_small_disk(&folder, &[]);
    let value = "x".repeat(100_000);
    // So little is left that everything would still be in the log when the disk is full.
    fs::write(filler(&node, &folder), vec![0; 4 << 20]).unwrap();
    let (acknowledged, refusal) = create_until_refused(&node, &value).await;
    assert_eq!(refusal.0, 507);
    for key in &acknowledged {
        let path = format!("/configs/{key}");
        assert_eq!(
            call(&node, Method::DELETE, &path, None).await.0,
            200,
            "{key} of {}",
            acknowledged.len()
        );
    }
    let body = json!({"key": "again", "value": value});
    let created = call(&node, Method::POST, "/configs", Some(body)).await;
    assert_eq!(created.0, 201, "there is room again");
}

/// The library that makes the disk fail.
pub(crate) fn faulty_disk(folder: &TempDir) -> PathBuf {
    let library = folder.path().join("faulty_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faulty_disk.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .unwrap();
    assert!(compiled.success());
    library
}

#[tokio::test]
async fn a_failing_disk_refuses_writes_and_recovers_without_loss() {
    let folder = TempDir::new().unwrap();
    let fault = folder.path().join("fault");
    let mut node = Process::start(
        folder.path(),
        &[
            ("LD_PRELOAD", faulty_disk(&folder).to_str().unwrap()),
            ("OSC_TEST_FAULT", fault.to_str().unwrap()),
        ],
    );
    let create = |key: &'static str| json!({"key": key, "value": key});
    assert_eq!(
        call(&node, Method::POST, "/configs", Some(create("before")))
            .await
            .0,
        201
    );

    fs::write(&fault, "").unwrap();
    let (status, body) = call(&node, Method::POST, "/configs", Some(create("during"))).await;
    assert_eq!(status, 503);
    assert_eq!(
        body["detail"],
        "This node cannot write now; nothing was written"
    );
    let failed = node.event("write_failed");
    assert!(
        failed["error"].as_str().unwrap().contains("disk I/O error"),
        "{failed}"
    );
    let cause = node.event("request_failed");
    assert_eq!(
        cause["error_id"], body["error_id"],
        "the log tells what the answer hides"
    );
    let (_, health) = call(&node, Method::GET, "/health", None).await;
    assert_eq!(health["writes"], "refused: the last transaction failed");
    assert_eq!(
        call(&node, Method::GET, "/ready", None).await,
        (
            200,
            json!({"ready": true, "writes": "refused: the last transaction failed"})
        )
    );
    assert_eq!(
        call(&node, Method::GET, "/configs/before", None).await.0,
        200
    );

    fs::remove_file(&fault).unwrap();
    assert_eq!(
        call(&node, Method::POST, "/configs", Some(create("after")))
            .await
            .0,
        201
    );
    node.kill();
    let node = Process::start(folder.path(), &[]);
    let (_, list) = call(&node, Method::GET, "/configs", None).await;
    let keys: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["key"])
        .collect();
    assert_eq!(keys, ["after", "before"]);
}

#[test]
fn a_backup_for_which_there_is_no_room_names_the_copy_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    Process::start(folder.path(), &[]).kill();
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "--user", "sh", "-c"])
        .arg(
            "mkdir disk && mount -t tmpfs -o size=32k tmpfs disk && \
             { \"$0\" backup --output disk/b.db; code=$?; ls disk; exit $code; }",
        )
        .arg(osc_node(folder.path()).get_program())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("no room for the copy disk/b.db.unfinished: the disk is full"),
        "{told}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}
