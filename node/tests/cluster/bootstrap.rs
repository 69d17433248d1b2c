//! A cluster begins once, where its admin decides; nodes that do not belong are refused.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::Method;
use serde_json::json;

use crate::{api::Api, cluster::Cluster, wait::until};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_wait_until_one_is_instructed_to_bootstrap_and_then_share_its_salt() {
    let cluster = Cluster::blank(3).await;
    for api in cluster.apis() {
        let ready = Api::send(api.bare(Method::GET, "/ready"))
            .await
            .unwrap()
            .with(503);
        assert!(
            ready.body.to_string().contains("osc-node bootstrap"),
            "{}",
            ready.body
        );
        assert_eq!(api.salt().await, None);
        api.create("early", 1).await.with(503);
        api.get("/configs").await.with(503);
    }
    let bootstrapped = cluster.bootstrap(1).await.with(200).body;
    cluster.all_ready().await;
    let salt = cluster.one_salt().await;
    assert_eq!(salt.len(), 64);
    for api in cluster.apis() {
        let details = &api.status().await["details"];
        assert_eq!(details["cluster_uid"], bootstrapped["cluster_uid"]);
        assert_eq!(details["state"], "member");
    }
    for node in &cluster.nodes {
        let file = node.folder.join("encryption.salt");
        assert_eq!(std::fs::read(&file).unwrap(), salt);
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_is_repeated_without_harm_and_refused_where_a_cluster_is() {
    let cluster = Cluster::blank(2).await;
    let (first, second) = (cluster.api(0), cluster.api(1));
    let wrong = json!({"incarnation": "0123456789abcdef"});
    first
        .owner(Method::POST, "/cluster/bootstrap", Some(wrong))
        .await
        .with(409);
    let bootstrapped = cluster.bootstrap(0).await.with(200).body;
    assert_eq!(cluster.bootstrap(0).await.with(200).body, bootstrapped);
    cluster.all_ready().await;
    let refusal = cluster.bootstrap(1).await.with(409).body;
    assert!(
        refusal.to_string().contains("belongs to a cluster already"),
        "{refusal}"
    );
    assert_eq!(first.salt().await, second.salt().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_who_begin_at_once_begin_one_cluster() {
    let cluster = Cluster::blank(3).await;
    let inits: Vec<_> = cluster.nodes.iter().map(|node| node.bootstrap(3)).collect();
    for init in inits {
        init.wait_with_output().unwrap();
    }
    cluster.all_ready().await;
    cluster.one_salt().await;
    for api in cluster.apis() {
        let details = &api.status().await["details"];
        assert_eq!(details["members"].as_array().unwrap().len(), 2, "{details}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_begins_where_the_data_is() {
    let mut cluster = Cluster::bootstrapped(2).await;
    cluster.api(1).create("entry", "kept").await.with(201);
    cluster.converged().await;
    for node in &mut cluster.nodes {
        node.stop().await;
    }
    let copied = cluster.nodes[1].run_to_its_end(&["backup", "--output", "../copy.db"]);
    assert_eq!(copied.0, Some(0), "{}", copied.1);
    for node in &mut cluster.nodes {
        node.wipe();
    }
    let restore = ["restore", "--input", "../copy.db", "--new-cluster"];
    let restored = cluster.nodes[1].run_to_its_end(&restore);
    assert_eq!(restored.0, Some(0), "{}", restored.1);
    cluster.start_all().await;
    let init = cluster.nodes[0].bootstrap(2).wait_with_output().unwrap();
    let said = String::from_utf8(init.stdout).unwrap();
    assert!(
        said.contains("node 'n1' has bootstrapped the cluster"),
        "{said}"
    );
    cluster.all_ready().await;
    assert_eq!(cluster.api(0).value("entry").await, "kept");
}

/// The steps of the operator's status, without Kubernetes: each node was restored as a node of a living cluster, and no cluster
/// lives.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_all_fenced_are_copied_and_a_new_cluster_takes_their_entries() {
    let mut cluster = Cluster::bootstrapped(2).await;
    cluster.api(1).create("entry", "kept").await.with(201);
    cluster.converged().await;
    let done = |(code, told): (Option<i32>, String)| assert_eq!(code, Some(0), "{told}");
    for node in &mut cluster.nodes {
        node.stop().await;
        let copy = format!("../copy-{}.db", node.number);
        done(node.run_to_its_end(&["backup", "--output", &copy]));
        done(node.run_to_its_end(&["restore", "--input", &copy, "--force"]));
    }
    cluster.start_all().await;
    for node in 0..2 {
        cluster.state(node, "fenced").await;
        let status = cluster.status_until(node, "it tells all", |_| true).await;
        assert_eq!(status["details"]["fenced"], "restored", "{status}");
    }
    let (code, told) = cluster.nodes[0].order(&["unfence"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("cannot be overlooked"), "{told}");
    done(cluster.nodes[0].run_to_its_end(&["backup", "--output", "../fenced.db"]));

    let salt = [
        "salt",
        "export",
        "--from",
        "../fenced.db",
        "--output",
        "../salt",
    ];
    done(cluster.nodes[0].run_to_its_end(&salt));
    for node in &mut cluster.nodes {
        node.stop().await;
        node.wipe();
        // As the Secret of a lost cluster keeps it.
        node.set("OSC_SALT_SECRET_FILE", "../salt");
    }
    cluster.start_all().await;
    let init = cluster.nodes[0].bootstrap(2).wait_with_output().unwrap();
    assert!(init.status.success(), "{init:?}");
    cluster.all_ready().await;
    done(cluster.nodes[0].order(&["import", "--from", "../fenced.db"]));
    cluster.converged().await;
    assert_eq!(cluster.api(1).value("entry").await, "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_refuse_each_other_and_both_go_on() {
    let cluster = Cluster::split(4, &[2, 3]).await;
    cluster.bootstrap(0).await.with(200);
    cluster.bootstrap(2).await.with(200);
    cluster.all_ready().await;
    cluster.api(0).create("here", 1).await.with(201);
    cluster.api(2).create("there", 2).await.with(201);
    cluster.network.heal();
    for node in 0..4 {
        let refused = cluster.logged(node, "peer_refused", 2).await;
        assert!(
            refused["reason"].to_string().contains("other_cluster_uid"),
            "{refused}"
        );
    }
    for node in 0..4 {
        let api = cluster.api(node);
        assert!(api.is_ready().await);
        assert_eq!(cluster.nodes[node].events("node_ready").len(), 1);
        let list = api.get("/configs").await.with(200).body;
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["key"], if node < 2 { "here" } else { "there" });
    }
    assert_eq!(cluster.api(0).salt().await, cluster.api(1).salt().await);
    assert_eq!(cluster.api(2).salt().await, cluster.api(3).salt().await);
    assert_ne!(cluster.api(0).salt().await, cluster.api(2).salt().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_id_is_refused_by_name() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.nodes[2].set("OSC_CLUSTER_ID", "production");
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    cluster.ready(0).await;
    cluster.ready(1).await;
    for (node, other) in [(2, "tests"), (0, "production"), (1, "production")] {
        let refused = cluster.logged(node, "peer_refused", 1).await;
        assert_eq!(refused["peer_cluster"], other, "{refused}");
    }
    let stranger = cluster.api(2);
    assert!(!stranger.is_ready().await);
    assert_eq!(stranger.salt().await, None);
    assert!(cluster.api(0).is_ready().await && cluster.api(1).is_ready().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_cluster_key_never_joins() {
    let mut cluster = Cluster::prepared(3).await;
    cluster.nodes[2].set("OSC_CLUSTER_KEY", "some other cluster key");
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    cluster.ready(0).await;
    cluster.ready(1).await;
    cluster.api(0).create("secret", 1).await.with(201);
    until("it has asked everybody often enough", async || {
        let sent = |from, to| cluster.network.sent(from, to).requests;
        (sent(2, 0) >= 5 && sent(2, 1) >= 5 && sent(0, 2) >= 5).then_some(())
    })
    .await;
    let stranger = cluster.api(2);
    assert!(!stranger.is_ready().await);
    let details = &stranger.status().await["details"];
    assert_eq!(details["state"], "blank");
    assert_eq!(details["salt_fingerprint"], json!(null));
    assert_eq!(details["entries"], 0);
}
