//! Lists of large values: a node has a few of them in its memory at a time, whatever came before them.

use opensecureconf_node::{domain::Incarnation, store::postgres::PostgresStore};

use crate::{
    world::{Node, World},
    writes::created,
};

const SMALL: usize = 200;
const LARGE: usize = 200;
/// Characters of a large token, about the largest that a node accepts by default.
const LENGTH: usize = 1_000_000;
/// Less than the large tokens take together.
const MOST_MEBIBYTES: u64 = 128;

/// The store as another node has it, whatever its salt.
async fn store_of(world: &World) -> PostgresStore {
    let client = world.server.connect("postgres").await.unwrap();
    let sql = "SELECT salt_fingerprint FROM opensecureconf.identity";
    let salt: String = client.query_one(sql, &[]).await.unwrap().get(0);
    let node = Incarnation::from_raw(9);
    PostgresStore::connect(world.server.settings(), &salt, node)
        .await
        .unwrap()
}

/// The most memory that the node has ever had.
fn peak_mebibytes(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_behind_small_ones_are_in_memory_a_few_at_a_time() {
    let world = World::new().await;
    let node = world.node();
    for number in 0..SMALL {
        let made = node.create(&format!("a{number:04}"), 1, &[]).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let store = store_of(&world).await;
    let token = "x".repeat(LENGTH);
    for number in 0..LARGE {
        created(&store, &format!("b{number:04}"), &token).await;
    }
    let list = node.get("/configs?limit=1000").await;
    assert_eq!(list.status, 200, "{}", list.text);
    assert_eq!(list.json().as_array().map(Vec::len), Some(SMALL));
    // The key opens none of the large ones, and each of them was looked at.
    assert_eq!(list.header("x-osc-skipped"), Some("200"));
    let peak = peak_mebibytes(&node);
    assert!(peak < MOST_MEBIBYTES, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_and_large_values_come_in_the_order_of_their_names() {
    let world = World::new().await;
    let node = world.node();
    let value = |number: usize| match number % 4 {
        0 => "s".repeat(10),
        1 => "m".repeat(9_000),
        2 => "l".repeat(100_000),
        _ => "h".repeat(700_000),
    };
    for number in 0..24 {
        let body = serde_json::json!({"key": format!("k{number:02}"), "value": value(number)});
        let made = node
            .call(reqwest::Method::POST, "/configs", &[], Some(body))
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let list = node.get("/configs").await.json();
    let rows = list.as_array().unwrap();
    assert_eq!(rows.len(), 24);
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row["key"], format!("k{number:02}"));
        assert!(row["value"] == value(number), "the value of k{number:02}");
    }
    let read = node.get("/configs/k23").await.json();
    assert!(read["value"] == value(23));
}
