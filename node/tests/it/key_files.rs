//! Files with keys from the hand of a person: what editors write into them, and who else may read them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    authority::{Authority, Leaf, write_node_tls},
    node::{API_KEY, USER_KEY, client},
    process::{Process, osc_node},
};

const CLUSTER_KEY: &str = "the cluster key of the tests, in a file";
const MARK: &str = "\u{feff}";

/// A node that takes both kinds of keys from files.
fn command(folder: &Path) -> std::process::Command {
    let mut command = osc_node(folder);
    command
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "true")
        .env("OSC_API_KEY_FILE", "api-keys")
        .env("OSC_CLUSTER_KEY_FILE", "cluster-keys");
    command
}

fn write(folder: &Path, api_keys: &str, cluster_keys: &str) {
    fs::write(folder.join("api-keys"), api_keys).unwrap();
    fs::write(folder.join("cluster-keys"), cluster_keys).unwrap();
}

async fn status(node: &Process, path: &str, header: &str, key: &str) -> StatusCode {
    let request = client()
        .get(format!("{}{path}", node.url))
        .header("X-User-Key", USER_KEY)
        .header(header, key.as_bytes());
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn keys_behind_a_byte_order_mark_open_and_with_the_mark_they_do_not() {
    let folder = TempDir::new().unwrap();
    write(
        folder.path(),
        &format!("{MARK}{API_KEY}\r\nthe second key of the tests\r\n"),
        &format!("{MARK}{CLUSTER_KEY}\n"),
    );
    let node = Process::start_command(&mut command(folder.path()));
    for (path, header, key) in [
        ("/configs", "X-API-Key", API_KEY),
        ("/configs", "X-API-Key", "the second key of the tests"),
        ("/cluster/salt", "X-Cluster-Key", CLUSTER_KEY),
    ] {
        assert_eq!(status(&node, path, header, key).await, 200, "{key}");
        let marked = format!("{MARK}{key}");
        assert_eq!(status(&node, path, header, &marked).await, 403, "{key}");
    }
    node.kill();
}

#[test]
fn a_comment_in_a_file_of_keys_stops_the_start_and_names_file_and_line() {
    for (file, api_keys, cluster_keys) in [
        (
            "api-keys",
            format!("{API_KEY}\n# mine\n"),
            CLUSTER_KEY.to_owned(),
        ),
        (
            "api-keys",
            format!("{MARK}# mine\n{API_KEY}\n"),
            CLUSTER_KEY.to_owned(),
        ),
        (
            "cluster-keys",
            API_KEY.to_owned(),
            format!("{CLUSTER_KEY}\n  # mine\n"),
        ),
    ] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), &api_keys, &cluster_keys);
        let line = if api_keys.starts_with(MARK) { 1 } else { 2 };
        let output = command(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{file}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.contains(file) && told.contains(&format!("line {line} begins with #")),
            "{told}"
        );
        assert!(!told.contains("mine") && !told.contains(API_KEY), "{told}");
    }
}

/// Every kind of file with a secret that a node has, and its mode once the node runs.
const FILES: [&str; 7] = [
    ".env",
    "api-keys",
    "earlier-api-keys",
    "cluster-keys",
    "encryption.salt",
    "configurations.db",
    "tls/tls.key",
];

#[tokio::test]
async fn each_file_with_a_secret_that_others_may_read_is_warned_of_and_counted() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    write(folder.path(), API_KEY, CLUSTER_KEY);
    fs::write(path("earlier-api-keys"), "an earlier key of the tests").unwrap();
    fs::write(path(".env"), "OSC_LOG_LEVEL=INFO\n").unwrap();
    let authority = Authority::new("nodes");
    let leaf = authority.issue(&Leaf::of_node(&["localhost"]));
    write_node_tls(&path("tls"), &leaf, &authority.pem());
    let start = || {
        let mut command = command(folder.path());
        command
            .env("OSC_API_KEY_PREVIOUS_FILE", "earlier-api-keys")
            .env("OSC_NODE_TLS_DIR", "tls")
            .env("OSC_PEER_PORT", "0");
        Process::start_command(&mut command)
    };
    let set = |name: &str, mode: u32| {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    start().kill();
    // All of them at once, and each alone: one that is not looked at is missed.
    for wide in std::iter::once(FILES.to_vec()).chain(FILES.map(|file| vec![file])) {
        for file in FILES {
            set(file, if wide.contains(&file) { 0o644 } else { 0o600 });
        }
        let node = start();
        // It looks at its files before it listens.
        let log = node.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("\"file_permissions_too_open\""));
        let events: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut told = Vec::new();
        for event in events {
            assert_eq!(
                (&event["level"], &event["mode"]),
                (&json!("WARNING"), &json!("0644"))
            );
            told.push(event["path"].as_str().unwrap().to_owned());
        }
        assert_eq!(told.len(), wide.len(), "{told:?}");
        for file in &wide {
            assert!(
                told.iter().any(|path| path.ends_with(file)),
                "{file}: {told:?}"
            );
        }
        let metrics = client().get(format!("{}/metrics", node.url)).send().await;
        let page = metrics.unwrap().text().await.unwrap();
        let line = format!("\nosc_files_with_open_permissions {}\n", wide.len());
        assert!(page.contains(&line), "{wide:?}: {page}");
        node.kill();
    }
}
