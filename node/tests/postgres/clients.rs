//! The published Python clients find no difference between a shared database and a node's own database.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::world::{API_KEY, Node, USER_KEY, World};

const SCRIPT: &str = include_str!("../it/published_client.py");

/// The output of the script that calls every method of a client.
fn results(version: &str, url: &str) -> String {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let python = target.join("python/bin/python");
    assert!(
        python.exists(),
        "{} is missing; `make test-tools` makes it",
        python.display()
    );
    let clients = target.join("python/clients").join(version);
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(clients)
        .args([version, url, API_KEY, USER_KEY])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_clients_work_as_with_any_node() {
    for version in ["2.0.2", "2.3.1", "3.1.0"] {
        let world = World::new().await;
        let folder = TempDir::new().unwrap();
        let (shared, alone) = (world.node(), Node::alone(folder.path()));
        assert_eq!(
            results(version, &shared.url),
            results(version, &alone.url),
            "client {version}"
        );
    }
}
