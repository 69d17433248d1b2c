//! How many nodes hold a write when it is answered, and reading one's own writes elsewhere.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{cluster::Cluster, network::Way, wait::until};

const ALL: [(&str, &str); 1] = [("X-OSC-Ack", "all")];
const LOCAL: [(&str, &str); 1] = [("X-OSC-Ack", "local")];

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_asks_for_all_tells_when_one_is_missing() {
    let mut cluster = Cluster::bootstrapped(3).await;
    let api = cluster.api(0);
    let whole = api.create_with("whole", 1, &ALL).await.with(201);
    assert_eq!(whole.header("x-osc-acked"), Some("3/3"));
    cluster.nodes[2].kill();
    let short = api.create_with("short", 1, &ALL).await.with(202);
    assert_eq!(short.header("x-osc-acked"), Some("2/3"));
    let short = api.put_with("short", 2, &ALL).await.with(202);
    assert_eq!(short.header("x-osc-acked"), Some("2/3"));
    cluster.sees_healthy(0, 1).await;
    let healthy = api.create("healthy", 1).await.with(201);
    assert_eq!(healthy.header("x-osc-acked"), Some("2/2"));
    let local = api.create_with("local", 1, &LOCAL).await.with(201);
    assert_eq!(local.header("x-osc-acked"), None);
    let nonsense = [("X-OSC-Ack", "most")];
    api.create_with("nonsense", 1, &nonsense).await.with(422);

    cluster.nodes[2].start().await;
    cluster.ready(2).await;
    cluster.sees_healthy(0, 2).await;
    let whole = api.put_with("short", 3, &ALL).await.with(200);
    assert_eq!(whole.header("x-osc-acked"), Some("3/3"));
    assert_eq!(cluster.api(2).value("short").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_knows_what_was_acknowledged_before_it_was_asked() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.network.around(&[2], Way::Swallowed);
    let api = cluster.api(2);
    for number in 1..=20 {
        let key = format!("k{number}");
        api.create_with(&key, 1, &LOCAL).await.with(201);
        let status = api.status().await;
        let members = status["details"]["members"].as_array().unwrap();
        for member in members {
            let lag = member["lag"].as_u64();
            assert!(lag >= Some(number), "after {number}: {member}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_wait_for_a_silent_node_once() {
    let cluster = Cluster::bootstrapped(3).await;
    cluster.network.around(&[2], Way::Swallowed);
    let first = cluster.api(0).create("first", 1).await.with(201);
    let (held, _) = first
        .header("x-osc-acked")
        .unwrap()
        .split_once('/')
        .unwrap();
    assert_eq!(held, "2");
    until("nobody waits for it any more", async || {
        let begun = Instant::now();
        let write = cluster.api(0).put("first", 2).await.with(200);
        let quick = begun.elapsed() < Duration::from_millis(200);
        (write.header("x-osc-acked") == Some("2/2") && quick).then_some(())
    })
    .await;
    cluster.network.heal();
    let last = cluster.api(1).put("first", 3).await.with(200);
    cluster.everywhere("first", &last.version()).await;
    cluster.sees_healthy(0, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_names_a_version_waits_for_it_and_is_never_stale() {
    let cluster = Cluster::bootstrapped(3).await;
    let (writer, reader) = (cluster.api(0), cluster.api(1));
    let old = writer.create_with("entry", "old", &ALL).await.with(201);
    cluster.network.around(&[1], Way::Swallowed);
    let new = writer.put("entry", "new").await.with(200);
    let fresh = writer.create("fresh", 1).await.with(201);
    for (key, version) in [("entry", new.version()), ("fresh", fresh.version())] {
        let begun = Instant::now();
        let behind = reader.get_since(key, &version).await.with(503);
        assert!(
            begun.elapsed() >= Duration::from_millis(500),
            "it waits first"
        );
        assert_eq!(behind.header("retry-after"), Some("1"));
    }
    assert_eq!(
        reader
            .get_since("entry", &old.version())
            .await
            .with(200)
            .body["value"],
        "old"
    );
    assert_eq!(reader.value("entry").await, "old");
    cluster.network.heal();
    cluster.everywhere("entry", &new.version()).await;
    cluster.everywhere("fresh", &fresh.version()).await;
    assert_eq!(reader.value("entry").await, "new");
    let gone = writer.delete("entry").await.with(200);
    until(
        "the delete arrives, and nothing older is answered",
        async || {
            let read = reader.get_since("entry", &gone.version()).await;
            assert!([404, 503].contains(&read.status), "{}", read.body);
            (read.status == 404).then_some(())
        },
    )
    .await;
    reader.get_since("entry", "yesterday").await.with(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_went_with_its_writers_disk_is_said_to_be_lost() {
    let mut cluster = Cluster::bootstrapped(3).await;
    cluster
        .api(0)
        .create_with("entry", "old", &ALL)
        .await
        .with(201);
    cluster.cut_off(&[2]);
    let entry = cluster.api(2).put("entry", "new").await.with(200).version();
    let fresh = cluster.api(2).create("fresh", 1).await.with(201).version();
    cluster.nodes[2].kill();
    cluster.nodes[2].wipe();
    cluster.network.heal();
    // As long as the writer may come back, no node calls the version lost.
    cluster.api(0).get_since("fresh", &fresh).await.with(503);
    cluster.nodes[2].start().await;
    cluster.converged().await;
    let lost = until("the version is given up", async || {
        let read = cluster.api(0).get_since("fresh", &fresh).await;
        assert!([404, 503].contains(&read.status), "{}", read.body);
        (read.status == 404).then_some(read)
    })
    .await;
    assert_eq!(lost.header("x-osc-version-lost"), Some("true"));
    let read = cluster.api(0).get_since("entry", &entry).await.with(200);
    assert_eq!(read.header("x-osc-version-lost"), Some("true"));
    assert_eq!(read.body["value"], "old");
    // An entry that a node holds is not lost.
    let read = cluster
        .api(0)
        .get_since("entry", &read.version())
        .await
        .with(200);
    assert_eq!(read.header("x-osc-version-lost"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_slow_ways_a_named_version_arrives_while_the_read_waits() {
    let cluster = Cluster::bootstrapped(3).await;
    for to in [1, 2] {
        cluster
            .network
            .one_way(0, to, Way::Delayed(Duration::from_millis(150)));
    }
    for number in 0..10 {
        let key = format!("slow-{number}");
        let written = cluster
            .api(0)
            .create_with(&key, number, &LOCAL)
            .await
            .with(201);
        let version = written.version();
        cluster.everywhere(&key, &version).await;
    }
    cluster.network.heal();
    assert_eq!(cluster.converged().await.len(), 10);
}

/// Execution 1: the clock of a node is ahead, and its write is deleted on a node that has not seen it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_names_a_version_beats_it_although_the_clocks_differ() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.skew_clock(0, 20_000);
    cluster.start_all().await;
    cluster.bootstrap(1).await.with(200);
    cluster.all_ready().await;
    cluster.api(0).create_with("entry", 1, &ALL).await.with(201);
    cluster.cut_off(&[0]);
    let ahead = cluster.api(0).put("entry", 2).await.with(200);
    // The deleting node holds the first version only.
    assert_eq!(cluster.api(1).value("entry").await, 1);
    let named = [("X-OSC-Version", &*ahead.version())];
    let path = "/configs/entry";
    let deleted = cluster
        .api(1)
        .call_with(reqwest::Method::DELETE, path, None, &named)
        .await
        .with(200);
    assert!(deleted.version() > ahead.version());
    cluster.network.heal();
    assert_eq!(cluster.converged().await, Vec::<serde_json::Value>::new());
    let offset = &cluster.api(1).status().await["details"]["members"][0];
    assert_eq!(offset["name"], json!("n0"));
    let offset = offset["clock_offset_seconds"].as_f64().unwrap();
    assert!((15.0..25.0).contains(&offset), "{offset}");
}
