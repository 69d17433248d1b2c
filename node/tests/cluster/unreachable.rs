//! Reports on listed nodes that do not answer: the node logs the begin and the end once each, with all causes, and shows the
//! same on its status routes.

use std::net::TcpListener;

use serde_json::Value;

use crate::{api::Api, cluster::Cluster, wait::until};

/// What `/ready` reports of an address.
async fn shown_by_ready(api: &Api, address: &str) -> Option<String> {
    let request = api.bare(reqwest::Method::GET, "/ready");
    let body = Api::send(request).await?.body;
    error_of(&body["unreachable_nodes"], address)
}

fn error_of(nodes: &Value, address: &str) -> Option<String> {
    let mut nodes = nodes.as_array()?.iter();
    let node = nodes.find(|node| node["address"] == address)?;
    Some(node["error"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listed_node_that_does_not_answer_is_told_once_with_all_causes() {
    let mut cluster = Cluster::prepared(1).await;
    let own = cluster.network.addresses[0].to_string();
    // Nobody listens there as long as this is not listened to.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = {
        let address = closed.local_addr().unwrap().to_string();
        drop(closed);
        address
    };
    let unknown = "no-such-host.invalid:9000".to_owned();
    let list = [own.as_str(), &closed, &unknown].join(",");
    cluster.nodes[0].set("OSC_CLUSTER_NODES", &list);
    cluster.start_all().await;
    let api = cluster.api(0);
    for (address, cause) in [(&closed, "refused"), (&unknown, "dns error")] {
        let shown = until(&format!("{address} is shown"), async || {
            shown_by_ready(&api, address).await
        })
        .await;
        assert!(shown.contains(cause), "{shown}");
        let told = until(&format!("{address} is told in the log"), async || {
            let mut told = cluster.nodes[0].events("peer_unreachable");
            told.retain(|event| event["peer"] == **address);
            (!told.is_empty()).then_some(told)
        })
        .await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]["error"].as_str().unwrap().contains(cause),
            "{told:?}"
        );
    }
    // A member reports it too, and stays ready.
    cluster.bootstrap(0).await.with(200);
    cluster.ready(0).await;
    cluster
        .status_until(0, "it shows who does not answer", |status| {
            error_of(&status["details"]["unreachable_nodes"], &closed).is_some()
        })
        .await;
    assert!(shown_by_ready(&api, &closed).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_key_is_named_and_its_end_is_told() {
    let mut cluster = Cluster::prepared(2).await;
    cluster.nodes[1].set("OSC_CLUSTER_KEY", "another cluster key of the tests");
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    let other = cluster.network.addresses[1].to_string();
    let shown = until("the other key is named", async || {
        let shown = shown_by_ready(&cluster.api(0), &other).await?;
        shown.contains("OSC_CLUSTER_KEY").then_some(shown)
    })
    .await;
    assert!(shown.contains("403"), "{shown}");
    cluster.nodes[1].stop().await;
    let key = crate::api::CLUSTER_KEY;
    cluster.nodes[1].set("OSC_CLUSTER_KEY", key);
    cluster.nodes[1].start().await;
    cluster.ready(1).await;
    let told = until("its end is told", async || {
        let told = cluster.nodes[0].events("peer_reachable_again");
        told.into_iter().find(|event| event["peer"] == *other)
    })
    .await;
    assert_eq!(told["level"], "INFO", "{told}");
    assert_eq!(shown_by_ready(&cluster.api(0), &other).await, None);
}
