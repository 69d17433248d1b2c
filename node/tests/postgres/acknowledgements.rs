//! A node's answer about an entry is as durable as a commit, also where the node refuses the write.

use std::time::Duration;

use futures::future::join_all;
use opensecureconf_node::store::postgres::PostgresSettings;
use reqwest::Method;
use serde_json::json;

use crate::{
    failover::pair,
    server::Server,
    world::{Answer, Node, SOON, World},
    writes::{created, named},
};

/// Cancels the waits for a standby: readers then see the writes, which are on one server alone.
const CANCEL: &str =
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// A create, a change and a delete; the node refuses each because of an entry's present state.
async fn refusals(node: &Node, seen: &str) -> [Answer; 3] {
    let condition = [("If-Match", seen)];
    let body = Some(json!({ "value": 3 }));
    [
        node.create("created", 1, &[]).await,
        node.call(Method::PUT, "/configs/changed", &condition, body)
            .await,
        node.call(Method::DELETE, "/configs/deleted", &[], None)
            .await,
    ]
}

/// Cancels all waits for a standby until readers see the three writes.
async fn show_what_waits(world: &World, node: &Node) {
    let showing = async {
        loop {
            world.server.sql(CANCEL).await;
            let created = node.get("/configs/created").await;
            let changed = node.get("/configs/changed").await;
            let deleted = node.get("/configs/deleted").await;
            let shown = (created.status.as_u16(), deleted.status.as_u16());
            if shown == (200, 404) && changed.json().get("value").is_some_and(|value| value == 2) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, showing).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_tells_of_a_write_that_no_standby_has() {
    let (primary, mut standby) = pair().await;
    let world = World::on(primary);
    let node = world.node_with(&[
        ("OSC_DATABASE_TIMEOUT", "1"),
        ("OSC_DATABASE_CONNECTIONS", "16"),
    ]);
    let made = node.create("changed", 1, &[]).await;
    let seen = made.header("etag").unwrap().to_owned();
    assert_eq!(node.create("deleted", 1, &[]).await.status, 201);
    standby.kill();
    let body = Some(json!({ "value": 2 }));
    for waits in [
        node.create("created", 1, &[]).await,
        node.call(Method::PUT, "/configs/changed", &[], body).await,
        node.call(Method::DELETE, "/configs/deleted", &[], None)
            .await,
    ] {
        assert_eq!(waits.status, 503, "{}", waits.text);
        assert_eq!(waits.header("x-osc-outcome"), Some("unknown"));
    }
    show_what_waits(&world, &node).await;
    // A failover would undo all three writes.
    for refused in refusals(&node, &seen).await {
        assert_eq!(refused.status, 503, "{}", refused.text);
    }

    standby.start().await;
    let settled = async {
        loop {
            let statuses = refusals(&node, &seen).await.map(|answer| answer.status);
            if statuses.iter().all(|status| *status != 503) {
                return statuses.map(|status| status.as_u16());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let settled = tokio::time::timeout(SOON, settled).await.unwrap();
    assert_eq!(settled, [400, 412, 404]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_learn_of_one_name_is_asked_of_the_database_now_and_then() {
    const TOUCHED: &str = "SELECT sum(touched)::bigint FROM opensecureconf.barrier";
    const CALLERS: usize = 500;
    let server = Server::primary().await;
    let store = server.store(1).await;
    let never = named("never written");
    let told = join_all((0..CALLERS).map(|_| store.confirm(&never, None))).await;
    assert!(told.into_iter().all(Result::unwrap));
    let touched = usize::try_from(server.count(TOUCHED).await).unwrap();
    assert!((1..CALLERS / 10).contains(&touched), "{touched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_another_session_holds_costs_no_other_name_its_time() {
    /// So many that the names share whatever the node keeps for several of them.
    const NAMES: usize = 640;
    let server = Server::primary().await;
    server.store(1).await;
    let settings = PostgresSettings {
        timeout: SOON,
        ..server.settings()
    };
    let store = server.node(2, settings).await;
    let made = created(&store, "held", "one").await;
    let mut other = server.connect("postgres").await.unwrap();
    let holding = other.transaction().await.unwrap();
    let hold = "SELECT FROM opensecureconf.entries FOR UPDATE";
    holding.batch_execute(hold).await.unwrap();
    let held = tokio::spawn({
        let store = store.clone();
        async move { store.confirm(&named("held"), Some(made.version)).await }
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while server.count(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = join_all((0..NAMES).map(|number| {
        let (store, name) = (store.clone(), named(&format!("k{number}")));
        async move { store.confirm(&name, None).await }
    }));
    assert!(told.await.into_iter().all(Result::unwrap));
    assert!(!held.is_finished(), "they waited for its end");
    holding.rollback().await.unwrap();
    assert!(held.await.unwrap().unwrap());
}
