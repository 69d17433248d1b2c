//! An address with several hosts: none that stays silent keeps the node from the others.

use crate::{
    encryption::on_localhost,
    ways::SilentHost,
    world::{SOON, World},
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
    std::fs::write(
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
    std::fs::write(world.folder().join("url"), format!("{url}\n")).unwrap();
    let led = async {
        while !node.log().contains("shared_database_address_reloaded") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, led).await.unwrap();
    world.server.disconnect_everybody().await;
    node.until("/configs/k", 200).await;
}
