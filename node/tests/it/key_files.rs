//! Files with keys from the hand of a person: what editors write into them.

use std::{fs, path::Path};

use reqwest::StatusCode;
use tempfile::TempDir;

use crate::{
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
