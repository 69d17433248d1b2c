//! Nodes that share a database, as their clients meet them.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::{
    failover::pair,
    world::{SOON, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_one_database_are_one_store() {
    let world = World::new().await;
    let (one, other) = (world.node(), world.node());
    let made = one.create("k", 1, &[]).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let read = other.get("/configs/k").await;
    assert_eq!(read.json()["value"], 1);
    assert_eq!(
        read.header("x-osc-version"),
        made.header("x-osc-version"),
        "the same version on every node"
    );

    // Compare and set is strict over all nodes.
    let seen = made.header("etag").unwrap();
    let put = |value: i64| Some(json!({"value": value}));
    let changed = other
        .call(Method::PUT, "/configs/k", &[("If-Match", seen)], put(2))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let stale = one
        .call(Method::PUT, "/configs/k", &[("If-Match", seen)], put(3))
        .await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    let creates = [&one, &other, &one, &other, &one, &other];
    let creates = creates.into_iter().map(|node| node.create("l", 1, &[]));
    let mut statuses: Vec<_> = join_all(creates)
        .await
        .into_iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400, 400, 400, 400, 400]);

    let list = other.get("/configs").await;
    assert_eq!(list.json().as_array().map(Vec::len), Some(2));
    let gone = other.call(Method::DELETE, "/configs/k", &[], None).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    assert_eq!(one.get("/configs/k").await.status, 404);
    let again = one.call(Method::DELETE, "/configs/k", &[], None).await;
    assert_eq!(again.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_nothing_with_it_that_was_acknowledged() {
    let world = World::new().await;
    let (mut one, other) = (world.node(), world.node());
    for number in 0..20 {
        let made = one.create(&format!("k{number}"), number, &[]).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    one.kill();
    for number in 0..20 {
        let read = other.get(&format!("/configs/k{number}")).await;
        assert_eq!(read.json()["value"], number, "{}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_repeated_is_the_same_one_for_whoever_made_it() {
    let world = World::new().await;
    let (one, other) = (world.node(), world.node());
    let request = ("X-OSC-Request-Id", "deploy-7");
    let made = one.create("k", 1, &[request]).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for node in [&one, &other] {
        let again = node.create("k", 1, &[request]).await;
        assert_eq!(again.status, 201, "{}", again.text);
        assert_eq!(again.header("etag"), made.header("etag"));
        assert_eq!(again.json(), made.json());
    }
    for (value, headers) in [
        (1, vec![]),
        (1, vec![("X-OSC-Request-Id", "deploy-8")]),
        (2, vec![request]),
        (1, vec![request, ("X-User-Key", "the key of somebody else")]),
    ] {
        let refused = other.create("k", value, &headers).await;
        assert_eq!(refused.status, 400, "{headers:?}: {}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_nodes_have_that_replicate_is_refused_with_words() {
    let world = World::new().await;
    let node = world.node();
    let refused = node.create("k", 1, &[("X-OSC-Ack", "all")]).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text.contains("share a database"),
        "{}",
        refused.text
    );
    let made = node.create("k", 1, &[("X-OSC-Ack", "healthy")]).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let conflicts = node.get("/cluster/conflicts").await;
    assert_eq!(conflicts.status, 404);
    assert!(conflicts.text.contains("share a database"));

    let (code, text) = world.run(
        &[],
        &[
            ("OSC_CLUSTER_MODE", "federated"),
            ("OSC_CLUSTER_NODES", "a:1"),
            ("OSC_CLUSTER_WRITE_ACK", "all"),
        ],
    );
    assert_eq!(code, Some(2));
    for name in ["MODE", "NODES", "WRITE_ACK"] {
        let fault = format!("OSC_CLUSTER_{name} has no meaning beside OSC_DATABASE_URL");
        assert!(text.contains(&fault), "{text}");
    }
    for command in ["check", "vacuum", "adopt"] {
        let (code, text) = world.run(&[command], &[]);
        assert_eq!(code, Some(2), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_that_it_shares_a_database_and_what_a_commit_waits_for() {
    let world = World::new().await;
    let node = world.node();
    let plain = node.get("/cluster/status").await.json();
    assert_eq!(plain["enabled"], false);
    assert_eq!(plain["mode"], "shared");
    let details = node.get("/cluster/status?details=true").await.json();
    let database = &details["details"]["database"];
    assert_eq!(database["cluster"], "tests");
    assert_eq!(database["server"]["timeline"], 1, "{database}");
    assert_eq!(database["server"]["synchronous_commit"], "on");
    assert_eq!(database["server"]["standbys"], 0);
    let root = node.get("/").await.json();
    assert_eq!(root["cluster_mode"], "shared");
    let page = node.get("/metrics").await.text;
    for line in [
        "osc_database_reachable 1",
        "osc_database_commits_set_aside 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_the_primary_does_not_have_is_lost() {
    let world = World::new().await;
    let node = world.node();
    let made = node.create("k", 1, &[]).await;
    let version = made.header("x-osc-version").unwrap();
    let (clock, incarnation) = version.split_once('-').unwrap();
    let later = u64::from_str_radix(clock, 16).unwrap() + 1;
    let later = format!("{later:016x}-{incarnation}");
    for (wanted, lost) in [(version, None), (later.as_str(), Some("true"))] {
        let headers = [("X-OSC-Min-Version", wanted)];
        let read = node.call(Method::GET, "/configs/k", &headers, None).await;
        assert_eq!(read.status, 200);
        assert_eq!(read.header("x-osc-version-lost"), lost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_entries_wait_and_the_process_lives() {
    let mut world = World::new().await;
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "1")]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    world.server.kill();
    for answer in [
        node.get("/configs/k").await,
        node.create("l", 1, &[]).await,
        node.get("/configs").await,
    ] {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.header("retry-after").is_some());
    }
    let ready = node.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("database"), "{}", ready.text);
    assert_eq!(node.get("/health").await.status, 200);
    let details = &node.get("/cluster/status?details=true").await.json()["details"];
    let database = &details["database"];
    assert!(database["server"].is_null() && !database["error"].is_null());
    // The operator reads it here.
    assert_eq!(details["ready"], false);
    assert_eq!(details["reasons"][0], database["error"]);

    world.server.start().await;
    node.until("/ready", 200).await;
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_others_change_all_the_time_costs_a_request_its_time_and_no_more() {
    // The change finds no row to update, as after another change a moment before.
    const LOSE: &str = "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
                        CREATE TRIGGER lose BEFORE UPDATE ON opensecureconf.entries FOR EACH ROW EXECUTE FUNCTION lose()";
    let world = World::new().await;
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "1")]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let other = world.server.connect("postgres").await.unwrap();
    other.batch_execute(LOSE).await.unwrap();
    for (method, body) in [
        (Method::PUT, Some(json!({ "value": 2 }))),
        (Method::DELETE, None),
    ] {
        let change = node.call(method, "/configs/k", &[], body);
        let refused = tokio::time::timeout(SOON, change).await.unwrap();
        assert_eq!(refused.status, 503, "{}", refused.text);
        assert_eq!(refused.header("x-osc-outcome"), None);
    }
    let stop = "DROP TRIGGER lose ON opensecureconf.entries";
    other.batch_execute(stop).await.unwrap();
    let body = Some(json!({ "value": 2 }));
    let changed = node.call(Method::PUT, "/configs/k", &[], body).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_store_is_gone_says_so_and_writes_nothing_into_what_is_there_instead() {
    let world = World::new().await;
    let node = world.node();
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    world.server.sql("DROP SCHEMA opensecureconf CASCADE").await;
    let others = "FROM pg_stat_activity WHERE application_name = 'osc-node'";
    world
        .server
        .sql(&format!("SELECT pg_terminate_backend(pid) {others}"))
        .await;
    let (code, text) = world.run(&["database", "migrate"], &[]);
    assert_eq!(code, Some(0), "{text}");
    node.until_ready_says("another store").await;
    for refused in [node.create("l", 1, &[]).await, node.get("/configs/k").await] {
        assert_eq!(refused.status, 503);
        let told = "became another store while this node was running";
        assert!(refused.text.contains(told), "{}", refused.text);
    }

    world.server.sql("DROP SCHEMA opensecureconf CASCADE").await;
    world
        .server
        .sql(&format!("SELECT pg_terminate_backend(pid) {others}"))
        .await;
    node.until_ready_says("emptied or replaced").await;
    for refused in [node.create("l", 1, &[]).await, node.get("/configs/k").await] {
        assert_eq!(refused.status, 503);
        assert!(
            refused.text.contains("bring its backup back"),
            "{}",
            refused.text
        );
    }
    let details = &node.get("/cluster/status?details=true").await.json()["details"];
    assert_eq!(details["ready"], false, "{details}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_which_nobody_knows_the_outcome_says_so_and_is_settled_by_its_repetition() {
    let (primary, mut standby) = pair().await;
    let world = World::on(primary);
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "1")]);
    standby.kill();
    let request = [("X-OSC-Request-Id", "deploy-7")];
    let unknown = node.create("k", 1, &request).await;
    assert_eq!(unknown.status, 503, "{}", unknown.text);
    assert_eq!(unknown.header("x-osc-outcome"), Some("unknown"));
    standby.start().await;
    let settled = async {
        loop {
            let again = node.create("k", 1, &request).await;
            if again.status != 503 {
                return again;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let settled = tokio::time::timeout(SOON, settled).await.unwrap();
    assert_eq!(settled.status, 201, "{}", settled.text);
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
}
