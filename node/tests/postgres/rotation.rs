//! The password, the role and the address change while a node runs, in any order.

use std::{fs, time::Duration};

use crate::{
    server::Server,
    world::{Node, SOON, World},
};

const OF_FILE: [(&str, &str); 2] = [("OSC_DATABASE_URL", ""), ("OSC_DATABASE_URL_FILE", "url")];

/// Makes a role as the documentation has it.
async fn make_role(server: &Server, role: &str) {
    server
        .sql(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA opensecureconf TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA opensecureconf TO {role}"
        ))
        .await;
}

/// Puts another address into the file of the settings.
fn lead_to(world: &World, url: &str) {
    fs::write(world.folder().join("url"), format!("{url}\n")).unwrap();
}

fn url_of(world: &World, role: &str) -> String {
    world.server.url().replace("postgres@", &format!("{role}@"))
}

/// Ends the node's connections and reads an entry, until the node connects with a role.
async fn until_it_comes_as(world: &World, node: &Node, role: &str) {
    let coming = async {
        loop {
            node.until("/configs/k", 200).await;
            let sql = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'osc-node' AND usename = '{role}'"
            );
            if world.server.count(&sql).await > 0 {
                return;
            }
            world.server.disconnect_everybody().await;
        }
    };
    tokio::time::timeout(SOON, coming).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_by_another_role_without_a_restart() {
    let world = World::new().await;
    for role in ["first", "second"] {
        make_role(&world.server, role).await;
    }
    lead_to(&world, &url_of(&world, "first"));
    let node = world.node_with(&OF_FILE);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    until_it_comes_as(&world, &node, "first").await;
    lead_to(&world, &url_of(&world, "second"));
    world.server.sql("ALTER ROLE first NOLOGIN").await;
    until_it_comes_as(&world, &node, "second").await;
    assert_eq!(node.create("l", 1, &[]).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_before_the_database_ends_no_service() {
    let world = World::new().await;
    make_role(&world.server, "first").await;
    lead_to(&world, &url_of(&world, "first"));
    let node = world.node_with(&OF_FILE);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    lead_to(&world, &url_of(&world, "second"));
    let tried = async {
        while !world
            .server
            .log()
            .contains("role \"second\" does not exist")
        {
            world.server.disconnect_everybody().await;
            node.until("/configs/k", 200).await;
        }
    };
    tokio::time::timeout(SOON, tried).await.unwrap();
    assert_eq!(node.get("/configs/k").await.status, 200);
    make_role(&world.server, "second").await;
    until_it_comes_as(&world, &node, "second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_store_is_neither_read_nor_written() {
    let world = World::new().await;
    lead_to(&world, &world.server.url());
    let node = world.node_with(&OF_FILE);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    world.server.sql("CREATE DATABASE other").await;
    let other = world.server.url().replace("/postgres?", "/other?");
    let (code, text) = world.run(
        &["database", "migrate"],
        &[("OSC_DATABASE_URL", other.as_str())],
    );
    assert_eq!(code, Some(0), "{text}");
    lead_to(&world, &other);
    let refused = async {
        loop {
            world.server.disconnect_everybody().await;
            let ready = node.get("/ready").await;
            if ready.text.contains("another store") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, refused).await.unwrap();
    assert_eq!(node.get("/configs/k").await.status, 503);
    assert_eq!(node.create("l", 1, &[]).await.status, 503);
    let client = world.server.connect("other").await.unwrap();
    let sql = "SELECT count(*) FROM opensecureconf.entries";
    let entries: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(entries, 0);

    lead_to(&world, &world.server.url());
    node.until("/configs/k", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_hangs_readiness_is_answered_with_the_cause() {
    let world = World::new().await;
    let node = world.node_with(&[("OSC_DATABASE_TIMEOUT", "60")]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let hanging = world.server.hang().await;
    // Long before a request would be given up. The answers of a moment ago still count for a moment.
    let ready = node.until("/ready", 503).await;
    assert!(
        ready.text.contains("the database did not answer"),
        "{}",
        ready.text
    );
    assert_eq!(node.get("/health").await.status, 200);
    drop(hanging);
    node.until("/ready", 200).await;
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
}
