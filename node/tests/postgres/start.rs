//! On which databases a node starts, and to which cluster they belong from then on.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::{
    server::Server,
    world::{Node, SOON, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_with_the_salt_of_the_store_or_not_at_all() {
    let world = World::new().await;
    fs::write(world.folder().join("other-salt"), [8; 64]).unwrap();
    for (file, told) in [
        ("none", "which is not there"),
        ("other-salt", "fingerprint"),
    ] {
        let (code, text) = world.run(&[], &[("OSC_SALT_SECRET_FILE", file)]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("OSC_SALT_SECRET_FILE") && text.contains(told));
        assert!(!world.folder().join("none").exists());
    }
    let (code, text) = world.run(&[], &[("OSC_CLUSTER_ID", "another")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("osc-node database adopt"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_may_stand_in_a_file_and_is_printed_nowhere() {
    let world = World::new().await;
    let url = world.server.url().replace("postgres@", "postgres:s3cret@");
    fs::write(world.folder().join("url"), format!("{url}\n")).unwrap();
    let of_file = [("OSC_DATABASE_URL", ""), ("OSC_DATABASE_URL_FILE", "url")];
    let node = world.node_with(&of_file);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    for more in [&of_file[..], &[("OSC_DATABASE_URL", url.as_str())]] {
        let (code, text) = world.run(&["config"], more);
        assert_eq!(code, Some(0));
        assert!(!text.contains("s3cret"), "{text}");
    }
    let both = [("OSC_DATABASE_URL_FILE", "url")];
    let (code, text) = world.run(&["config"], &both);
    assert_eq!(code, Some(2));
    assert!(text.contains("are both set"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_before_its_database_waits_for_it() {
    let mut world = World::new().await;
    world.server.kill();
    let starting = world.starting_node();
    world.server.start().await;
    let node = starting.await.unwrap();
    node.until("/ready", 200).await;
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
}

/// A node whose database is away: it lives, says that it is not ready and why, and names no server to the public.
async fn waiting_node(world: &World, more: &[(&str, &str)]) -> Node {
    let node = world.node_with(more);
    assert_eq!(node.get("/health").await.status, 200);
    let ready = node.get("/ready").await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    let told = ready.text.contains("the database does not answer");
    assert!(told, "{}", ready.text);
    let folder = world.server.folder().display().to_string();
    assert!(!ready.text.contains(&folder), "{}", ready.text);
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_its_database_lives_and_serves_when_it_comes() {
    let mut world = World::new().await;
    world.server.kill();
    let node = waiting_node(&world, &[]).await;
    for answer in [
        node.get("/configs/k").await,
        node.create("k", 1, &[]).await,
        node.get("/configs").await,
    ] {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.header("retry-after").is_some(), "{}", answer.text);
    }
    let status = node.get("/cluster/status?details=true").await.json();
    assert_eq!(status["details"]["ready"], false, "{status}");
    world.server.start().await;
    node.until("/ready", 200).await;
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_its_database_ends_in_good_order() {
    let mut world = World::new().await;
    world.server.kill();
    let mut node = waiting_node(&world, &[]).await;
    assert_eq!(node.stopped().await, Some(0));
    assert!(node.log().contains("node_stopped"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_where_the_database_that_comes_is_not_its_store() {
    let mut world = World::new().await;
    fs::write(world.folder().join("other-salt"), [8; 64]).unwrap();
    for (setting, value, code) in [
        ("OSC_SALT_SECRET_FILE", "other-salt", 2),
        ("OSC_CLUSTER_ID", "another", 2),
    ] {
        world.server.kill();
        let mut node = waiting_node(&world, &[(setting, value)]).await;
        world.server.start().await;
        assert_eq!(node.ended().await, Some(code), "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_the_database_where_it_is_asked_to() {
    let mut world = World::new().await;
    world.server.kill();
    let (code, text) = world.run(&["database", "migrate"], &[]);
    assert_eq!(code, Some(1), "{text}");
    let mut waiting = world.command(&[]);
    waiting.args(["database", "migrate", "--wait", "60"]);
    waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = waiting.spawn().unwrap();
    let mut told = String::new();
    let mut words = BufReader::new(waiting.stderr.take().unwrap());
    words.read_line(&mut told).unwrap();
    assert!(told.contains("trying again"), "{told}");
    world.server.start().await;
    let output = tokio::task::spawn_blocking(move || waiting.wait_with_output());
    let output = output.await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("has schema 1 already"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_by_the_command_alone() {
    let world = World::new().await;
    let (code, text) = world.run(&["database", "migrate"], &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("has schema 1 already"), "{text}");
    world.server.sql("DROP SCHEMA opensecureconf CASCADE").await;
    let (code, text) = world.run(&[], &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("osc-node database migrate"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_store_is_given_to_another_cluster_while_nobody_uses_it() {
    let world = World::new().await;
    let mut node = world.node();
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let another = [("OSC_CLUSTER_ID", "another")];
    let adopt = || world.run(&["database", "adopt", "--from", "tests"], &another);
    let (code, text) = adopt();
    assert_eq!(code, Some(1));
    assert!(text.contains("stop the nodes"), "{text}");
    node.kill();
    let adopting = async {
        loop {
            // The server finds out after a moment that the node is gone.
            let (code, text) = adopt();
            if code == Some(0) {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let text = tokio::time::timeout(SOON, adopting).await.unwrap();
    assert!(text.contains("cluster 'another'"), "{text}");
    assert_eq!(world.run(&[], &[]).0, Some(2), "it is no more of this one");
    let node = world.node_with(&another);
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
}

/// No standby has this name; sessions of the role wait for it once they are told to.
const ABSENT: &str = "synchronous_standby_names = 'absent'\nsynchronous_commit = local";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_tries_again_finds_what_its_earlier_try_did() {
    let world = World::on(Server::primary_with(ABSENT).await);
    world
        .server
        .sql("CHECKPOINT; CHECKPOINT; ALTER ROLE postgres SET synchronous_commit = 'on'")
        .await;
    let mut adopting =
        world.command(&[("OSC_CLUSTER_ID", "another"), ("OSC_DATABASE_TIMEOUT", "1")]);
    adopting.args(["database", "adopt", "--from", "tests", "--wait", "60"]);
    adopting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut adopting = adopting.spawn().unwrap();
    let mut told = String::new();
    let mut words = BufReader::new(adopting.stderr.take().unwrap());
    words.read_line(&mut told).unwrap();
    assert!(told.contains("trying again"), "{told}");
    // The commit of the first try succeeds now, and has no caller any more.
    world
        .server
        .sql("ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()")
        .await;
    let output = tokio::task::spawn_blocking(move || adopting.wait_with_output());
    let output = output.await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("cluster 'another'"), "{text}");
}
