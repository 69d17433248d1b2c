//! How soon clients are served again: after the database was away, and after another server has taken over. The promises are times
//! (two seconds, ten seconds), so these tests measure them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    failover::pair,
    server::Server,
    world::{Node, World},
};

/// From the first new connection that the server accepts to the first answer.
const BACK: Duration = Duration::from_secs(2);
/// From the loss of the primary to the first write that its successor acknowledges.
const TAKEN_OVER: Duration = Duration::from_secs(10);

/// Starts the server, which returns with its first connection, and waits until the node serves; how long that took.
async fn back(world: &mut World, node: &Node, path: &str) -> Duration {
    world.server.start().await;
    let accepts = Instant::now();
    node.until(path, 200).await;
    accepts.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn service_is_back_two_seconds_after_the_database() {
    let mut world = World::new().await;
    let node = world.node();
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    world.server.kill();
    node.until("/configs/k", 503).await;
    node.until("/ready", 503).await;
    let took = back(&mut world, &node, "/configs/k").await;
    assert!(took < BACK, "{took:?}");
    assert_eq!(node.create("l", 1, &[]).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_started_without_its_database_serves_two_seconds_after_it_comes() {
    let mut world = World::new().await;
    world.server.kill();
    let node = world.node();
    let took = back(&mut world, &node, "/ready").await;
    assert!(took < BACK, "{took:?}");
}

/// The address of both servers.
fn url_of_both(one: &Server, other: &Server) -> String {
    let host = |server: &Server| server.folder().display().to_string().replace('/', "%2F");
    let hosts = [one, other].map(host).join(",");
    format!("postgres://postgres@{hosts}/postgres?sslmode=disable")
}

/// Creates entries until one is acknowledged; how long that took.
async fn until_one_is_made(node: &Node, key: &str) -> Duration {
    let begun = Instant::now();
    let making = async {
        for number in 0.. {
            let made = node.create(&format!("{key}{number}"), 1, &[]).await;
            if made.status == 201 {
                return;
            }
            assert_eq!(made.status, 503, "{}", made.text);
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(3 * TAKEN_OVER, making).await.unwrap();
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_costs_clients_less_than_ten_seconds() {
    let (primary, standby) = pair().await;
    let url = url_of_both(&primary, &standby);
    let mut world = World::on(primary);
    let node = world.node_with(&[("OSC_DATABASE_URL", url.as_str())]);
    for number in 0..20 {
        let made = node.create(&format!("k{number}"), number, &[]).await;
        assert_eq!(made.status, 201);
    }
    world.server.kill();
    let lost = Instant::now();
    standby.promote();
    until_one_is_made(&node, "after").await;
    let took = lost.elapsed();
    assert!(took < TAKEN_OVER, "{took:?}");
    for number in 0..20 {
        let read = node.get(&format!("/configs/k{number}")).await;
        assert_eq!(read.json()["value"], number, "{}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_for_the_one_that_takes_over() {
    let (primary, standby) = pair().await;
    let url = url_of_both(&primary, &standby);
    let world = World::on(primary);
    let node = world.node_with(&[
        ("OSC_DATABASE_URL", url.as_str()),
        ("OSC_DATABASE_TIMEOUT", "2"),
    ]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let at_once = async |key: &str| {
        let creates = (0..8).map(|number| {
            let (node, key) = (&node, format!("{key}{number}"));
            async move { node.create(&key, 1, &[]).await.status }
        });
        futures::future::join_all(creates).await
    };
    at_once("before").await;
    let hanging = world.server.hang().await;
    // They take all connections for writing.
    assert!(
        at_once("unanswered")
            .await
            .iter()
            .all(|status| *status == 503)
    );
    standby.promote();
    let took = until_one_is_made(&node, "after").await;
    assert!(took < TAKEN_OVER, "{took:?}");
    // Writes that the hanging server never answers keep no later one from the new primary.
    for number in 0..10 {
        let made = node.create(&format!("then{number}"), 1, &[]).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
    drop(hanging);
}
