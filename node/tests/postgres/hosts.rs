//! An address with several hosts: none that stays silent keeps the node from the others.

use std::fs;

use crate::{
    encryption::{Pair, on_localhost},
    server::Server,
    ways::SilentHost,
    world::{Node, SOON, World},
};

/// The node, the commands and the settings of a running node find the server behind a silent host.
async fn finds_the_server_behind_a_silent_host(world: &World) {
    let silent = SilentHost::new().await;
    let url = silent.before(&world.server.url());
    let both = [
        ("OSC_DATABASE_URL", url.as_str()),
        ("OSC_DATABASE_TIMEOUT", "4"),
    ];
    let (code, text) = world.run(&["database", "migrate"], &both);
    assert_eq!(code, Some(0), "{text}");
    let node = world.node_with(&both);
    node.until("/ready", 200).await;
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    // Every connection is a new one from here on, and no request waits for the silent host again.
    for _ in 0..3 {
        world.server.disconnect_everybody().await;
        node.until("/configs/k", 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_and_stays_silent_is_passed_over() {
    finds_the_server_behind_a_silent_host(&World::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stays_silent_before_tls_is_passed_over_too() {
    finds_the_server_behind_a_silent_host(&World::on(on_localhost().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_is_passed_over_by_a_node_that_runs() {
    let world = World::new().await;
    let silent = SilentHost::new().await;
    let url = silent.before(&world.server.url());
    fs::write(
        world.folder().join("url"),
        format!("{}\n", world.server.url()),
    )
    .unwrap();
    let node = world.node_with(&[
        ("OSC_DATABASE_URL", ""),
        ("OSC_DATABASE_URL_FILE", "url"),
        ("OSC_DATABASE_TIMEOUT", "4"),
    ]);
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    fs::write(world.folder().join("url"), format!("{url}\n")).unwrap();
    let led = async {
        while !node.log().contains("shared_database_address_reloaded") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, led).await.unwrap();
    world.server.disconnect_everybody().await;
    node.until("/configs/k", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_address_of_a_name_is_passed_over() {
    const NAME: &str = "database.test";
    /// The resolver gives the address first that is nearer to the machine's own.
    const SILENT: &str = "127.0.0.1";
    const SERVER: &str = "127.0.0.2";
    let pair = Pair::for_names(&[NAME, SERVER]);
    let world = World::on(Server::encrypted_at(SERVER, &pair.certified()).await);
    let silent = SilentHost::at(&format!("{SILENT}:{}", world.server.port())).await;
    let url = world.server.url().replace(SERVER, NAME);
    // The server's own files are closed to the user of the namespace.
    fs::copy(world.server.authority(), world.folder().join("ca.crt")).unwrap();
    let names = format!("{SILENT} {NAME}\n{SERVER} {NAME}\n");
    let settings = [
        ("OSC_DATABASE_URL", url.as_str()),
        ("OSC_DATABASE_CA_FILE", "ca.crt"),
        ("OSC_DATABASE_TIMEOUT", "4"),
    ];
    let node = Node::start(&mut world.command_with_names(&names, &settings));
    node.until("/ready", 200).await;
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    assert!(silent.accepted() > 0, "the silent address was tried first");
    // Every connection is a new one from here on, and no request waits for the silent address again.
    let before = silent.accepted();
    for _ in 0..3 {
        world.server.disconnect_everybody().await;
        node.until("/configs/k", 200).await;
    }
    assert_eq!(silent.accepted(), before);
}
