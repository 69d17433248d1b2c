//! A cluster without an operator: `bootstrap` begins it, a restored backup joins a cluster or begins a new one, `adopt`
//! renames.

use std::{path::Path, process::Output, time::Duration};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    free_port::free_port,
    node::{API_KEY, USER_KEY, client, environment},
    process::{Process, osc_node},
};

/// The only node of a cluster, in a folder of its own.
struct Lonely {
    folder: TempDir,
    port: String,
}

impl Lonely {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            port: free_port("127.0.0.1").to_string(),
        }
    }

    fn settings(&self, name: &str) -> Vec<(String, String)> {
        let mut settings = environment(self.folder.path());
        settings.extend(
            [
                ("OSC_HOST_PORT", self.port.clone()),
                ("OSC_CLUSTER_ENABLED", "true".to_owned()),
                ("OSC_CLUSTER_NODE_ID", name.to_owned()),
                ("OSC_CLUSTER_KEY", "the cluster key of the tests".to_owned()),
                ("OSC_CLUSTER_NODES", format!("127.0.0.1:{}", self.port)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        settings
    }

    fn start(&self) -> Process {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[(&str, &str)]) -> Process {
        let mut command = osc_node(self.folder.path());
        command
            .envs(self.settings("one"))
            .envs(more.iter().copied());
        Process::start_command(&mut command)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = osc_node(self.folder.path())
            .envs(self.settings(name))
            .args(arguments)
            .output()
            .unwrap();
        (
            status.code(),
            String::from_utf8([stdout, stderr].concat()).unwrap(),
        )
    }
}

async fn ready(client: &Client, url: &str) -> (StatusCode, Value) {
    let answer = client.get(format!("{url}/ready")).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn becomes_ready(client: &Client, url: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let (status, said) = ready(client, url).await;
        if status.is_success() {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "never ready: {said}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn put(client: &Client, url: &str, key: &str) -> StatusCode {
    let request = client
        .put(format!("{url}/configs/{key}?upsert=true"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY)
        .json(&json!({ "value": key }));
    request.send().await.unwrap().status()
}

async fn get(client: &Client, url: &str, key: &str) -> StatusCode {
    let request = client
        .get(format!("{url}/configs/{key}"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_node_serves_nothing_before_it_is_bootstrapped_or_has_joined() {
    let lonely = Lonely::new();
    let node = lonely.start();
    let client = client();
    let (status, said) = ready(&client, &node.url).await;
    assert_eq!(status, 503);
    assert!(
        said["detail"]
            .as_str()
            .unwrap()
            .contains("osc-node bootstrap"),
        "{said}"
    );
    assert_eq!(put(&client, &node.url, "early").await, 503);

    let (code, text) = lonely.run("one", &["bootstrap"]);
    assert_eq!(code, Some(0), "{text}");
    becomes_ready(&client, &node.url).await;
    assert_eq!(put(&client, &node.url, "k").await, 201);

    let (code, again) = lonely.run("one", &["bootstrap"]);
    assert_eq!(code, Some(0), "telling it again is harmless: {again}");
    assert!(
        again.contains("already") && again.contains("nothing was done"),
        "{again}"
    );
    node.kill();

    // A new client each time: the old client would reuse connections of the killed node.
    let (node, client) = (lonely.start(), crate::node::client());
    becomes_ready(&client, &node.url).await;
    assert_eq!(get(&client, &node.url, "k").await, 200);
}

#[tokio::test]
async fn a_listed_node_with_another_cluster_key_is_named_as_such() {
    let (one, other) = (Lonely::new(), Lonely::new());
    let _other = other.start_with(&[("OSC_CLUSTER_KEY", "the cluster key of another cluster")]);
    let both = format!("127.0.0.1:{},127.0.0.1:{}", one.port, other.port);
    let _one = one.start_with(&[("OSC_CLUSTER_NODES", &both)]);
    let output = osc_node(one.folder.path())
        .envs(one.settings("one"))
        .env("OSC_CLUSTER_NODES", &both)
        .arg("bootstrap")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!(
        "the listed node 127.0.0.1:{} has another cluster key",
        other.port
    );
    assert!(said.contains(&expected), "{said}");
    assert!(!said.contains("--force"), "{said}");
}

#[tokio::test]
async fn a_salt_that_is_mounted_late_is_there_for_the_bootstrap() {
    let lonely = Lonely::new();
    let mounted = lonely.folder.path().join("mounted-salt");
    let more = [
        ("OSC_SALT_SECRET_FILE", mounted.to_str().unwrap()),
        ("OSC_BOOTSTRAP", "never"),
    ];
    let node = lonely.start_with(&more);
    let (code, text) = lonely.run("one", &["bootstrap"]);
    assert_ne!(code, Some(0), "it makes none of its own: {text}");

    std::fs::write(&mounted, [7; 64]).unwrap();
    let (code, text) = lonely.run("one", &["bootstrap"]);
    assert_eq!(code, Some(0), "{text}");
    becomes_ready(&client(), &node.url).await;
    let own = lonely.folder.path().join("encryption.salt");
    assert_eq!(std::fs::read(own).unwrap(), [7; 64]);
}

#[tokio::test]
async fn a_node_that_takes_no_writes_yet_says_so() {
    let lonely = Lonely::new();
    let node = lonely.start();
    let client = client();
    assert_eq!(put(&client, &node.url, "early").await, 503);
    for path in ["health", "ready"] {
        let url = format!("{}/{path}", node.url);
        let said: Value = client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(said["writes"], "refused: not ready", "{path}: {said}");
    }
}

#[tokio::test]
async fn a_restored_backup_waits_for_its_cluster_unless_that_is_lost() {
    let lonely = Lonely::new();
    let node = lonely.start();
    let client = client();
    assert_eq!(lonely.run("one", &["bootstrap"]).0, Some(0));
    becomes_ready(&client, &node.url).await;
    assert_eq!(put(&client, &node.url, "k").await, 201);
    assert_eq!(
        lonely.run("one", &["backup", "--output", "b.db"]).0,
        Some(0)
    );
    node.kill();

    let restore = ["restore", "--input", "b.db", "--force"];
    assert_eq!(lonely.run("one", &restore).0, Some(0));
    let (node, client) = (lonely.start(), crate::node::client());
    let (status, said) = ready(&client, &node.url).await;
    assert_eq!(status, 503);
    assert!(
        said["detail"]
            .as_str()
            .unwrap()
            .contains("restored from a backup"),
        "{said}"
    );
    node.kill();

    let restore = ["restore", "--input", "b.db", "--force", "--new-cluster"];
    assert_eq!(lonely.run("one", &restore).0, Some(0));
    let (node, client) = (lonely.start(), crate::node::client());
    let (code, text) = lonely.run("one", &["bootstrap"]);
    assert_eq!(code, Some(0), "{text}");
    becomes_ready(&client, &node.url).await;
    assert_eq!(get(&client, &node.url, "k").await, 200);
}

#[tokio::test]
async fn a_database_of_another_name_is_refused_until_it_is_adopted() {
    let lonely = Lonely::new();
    let node = lonely.start();
    node.kill();
    let (code, text) = lonely.run("two", &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("belongs to node 'one'") && text.contains("osc-node adopt"),
        "{text}"
    );

    let (code, text) = lonely.run("two", &["adopt"]);
    assert_eq!(code, Some(0), "{text}");
    let folder: &Path = lonely.folder.path();
    let node = Process::start_command(osc_node(folder).envs(lonely.settings("two")));
    node.kill();
}
