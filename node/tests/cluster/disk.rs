//! A node whose disk is full beside others that have room.

use std::{fs, path::PathBuf};

use reqwest::Method;
use serde_json::json;

use crate::{cluster::Cluster, wait::until};

/// Fills the disk that only this node has.
fn filler(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/cwd/disk/filler"))
}

/// Fills the disk up to these many free bytes.
fn fill(process: u32, free: u64) {
    let file = filler(process);
    let disk = rustix::fs::statvfs(file.parent().unwrap()).unwrap();
    let now = disk.f_bavail * disk.f_frsize;
    fs::write(file, vec![1; usize::try_from(now - free).unwrap()]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_serves_reads_and_acknowledges_nothing() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.nodes[0].start().await;
    cluster.nodes[1].start().await;
    cluster.nodes[2].start_on_small_disk(16).await;
    cluster.bootstrap(0).await.with(200);
    cluster.all_ready().await;
    let (roomy, full) = (cluster.api(0), cluster.api(2));
    roomy.create("before", 1).await.with(201);
    cluster.converged().await;
    let all = [("X-OSC-Ack", "all")];
    // First there is room for deletes only, then for nothing: the reserve is a tenth of the disk.
    for (round, free) in [(0, 1 << 20), (1, 100 << 10)] {
        fill(cluster.nodes[2].id(), free);
        let refused = full.create("refused", 1).await;
        assert_eq!(refused.status, 507, "{}", refused.body);
        cluster
            .status_until(0, "n2 acknowledges nothing", |status| {
                let written = status["details"]["members"].as_array().unwrap();
                written
                    .iter()
                    .any(|member| member["name"] == "n2" && member["reachable"] == true)
            })
            .await;
        until("the others do without it", async || {
            let written = roomy.create("probe", round).await.with(201);
            roomy.delete("probe").await.with(200);
            (written.header("x-osc-acked") == Some("2/2")).then_some(())
        })
        .await;
        let short = roomy
            .create_with(&format!("round-{round}"), 1, &all)
            .await
            .with(202);
        assert_eq!(short.header("x-osc-acked"), Some("2/3"));
        for number in 0..20 {
            roomy.put("before", number).await.with(200);
            assert!(full.is_ready().await, "it serves reads");
            full.get("/configs/before").await.with(200);
            full.get("/configs").await.with(200);
        }
        fs::remove_file(filler(cluster.nodes[2].id())).unwrap();
        until("it takes writes again", async || {
            let body = json!({"value": 1});
            let path = format!("/configs/again-{round}?upsert=true");
            (full.call(Method::PUT, &path, Some(body)).await.status == 201).then_some(())
        })
        .await;
        cluster.converged().await;
        until("it acknowledges again", async || {
            let written = roomy.put_with("before", 1, &all).await;
            (written.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(
        cluster.nodes[2].events("node_ready").len(),
        1,
        "it never stopped serving"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_writes_fail_goes_on_reading_although_nobody_had_read_before() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.fill_disk(2, false);
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    cluster.all_ready().await;
    cluster.api(0).create("entry", 1).await.with(201);
    cluster.converged().await;
    cluster.nodes[2].stop().await;
    cluster.nodes[2].start().await;
    // From its log: asking the node itself is a read.
    cluster.logged(2, "node_ready", 2).await;
    cluster.fill_disk(2, true);
    cluster.api(0).put("entry", 2).await.with(200);
    cluster.logged(2, "write_failed", 1).await;
    let api = cluster.api(2);
    let refused = api.create("refused", 1).await;
    assert!([503, 507].contains(&refused.status), "{}", refused.body);
    for _ in 0..20 {
        until("it answers", async || {
            let read = api.get("/configs/entry").await;
            // The engine may have started anew, and a new engine catches up first.
            assert!([200, 503].contains(&read.status), "{}", read.body);
            (read.status == 200).then(|| assert_eq!(read.body["value"], 1))
        })
        .await;
    }
    cluster.fill_disk(2, false);
    assert_eq!(cluster.converged().await[0]["value"], 2);
}
