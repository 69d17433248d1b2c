//! Nodes with ports of their own and certificates of one authority: which callers they let in.

use serde_json::json;

use crate::{
    authority::{Authority, Leaf, OF_CLIENTS, OF_NODES},
    secured::{Secured, issue},
    wait::until,
};

const DAY_MILLIS: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_certificate_of_a_node_is_refused_by_those_that_dial_it_and_those_that_it_dials()
{
    let mut secured = Secured::bootstrapped(2).await;
    let host = secured.hosts[1].clone();
    let names = [host.as_str()];
    let foreign = Authority::new("nodes");
    let leaf = |usages, days| Leaf {
        names: &names,
        usages,
        days,
    };
    let cases = [
        (
            "certificate expired",
            secured.authority.issue(&leaf(OF_NODES, (-30, -1))),
        ),
        (
            "certificate not valid yet",
            secured.authority.issue(&leaf(OF_NODES, (1, 30))),
        ),
        ("BadSignature", issue(&foreign, &host)),
        (
            "certificate not valid for name",
            secured
                .authority
                .issue(&Leaf::of_node(&["elsewhere.example"])),
        ),
        (
            "certificate does not allow extended key usage for server authentication",
            secured.authority.issue(&leaf(OF_CLIENTS, (-1, 30))),
        ),
    ];
    for (why, pair) in cases {
        // A running node would keep its old certificate.
        secured.cluster.nodes[1].stop().await;
        secured.mount(1, &pair, &secured.authority.pem());
        secured.cluster.nodes[1].start().await;
        secured.in_force(1, &pair, &[&secured.authority]).await;
        secured.unreachable(0, 1, why).await;
        secured.unreachable(1, 0, "alert").await;
        assert!(secured.cluster.api(0).is_ready().await, "{why}");
        let good = secured.issue(1);
        secured.mount(1, &good, &secured.authority.pem());
        for node in [0, 1] {
            secured.cluster.sees_healthy(node, 1).await;
        }
    }
    let refusal = secured
        .cluster
        .logged(0, "peer_certificate_refused", 1)
        .await;
    let error = refusal["error"].as_str().unwrap();
    assert!(error.contains("certificate expired"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_cluster_key_and_without_a_certificate_of_the_cluster_is_no_peer() {
    let mut secured = Secured::prepared(4, 2).await;
    let foreign = Authority::new("nodes");
    // One peer has a certificate of another authority and trusts this one; the other has none and speaks plain HTTP.
    let pair = issue(&foreign, &secured.hosts[2]);
    let both = foreign.pem() + &secured.authority.pem();
    secured.mount(2, &pair, &both);
    for setting in ["OSC_PEER_PORT", "OSC_NODE_TLS_DIR"] {
        secured.cluster.nodes[3].set(setting, "");
    }
    secured.cluster.start_all().await;
    secured.bootstrap();
    let cluster = &secured.cluster;
    for node in [0, 1] {
        cluster.ready(node).await;
    }
    let created = cluster.api(0).create("k", 1).await.with(201);
    for stranger in [2, 3] {
        for member in [0, 1] {
            let address = json!(format!("{}:9001", secured.hosts[member]));
            until("the stranger is refused", async || {
                let refused = cluster.nodes[stranger].events("peer_unreachable");
                let mut refused = refused.iter();
                refused.any(|event| event["peer"] == address).then_some(())
            })
            .await;
        }
        assert!(!cluster.api(stranger).is_ready().await);
        assert!(!cluster.nodes[stranger].holds_ciphertext());
    }
    let read = cluster.api(1).get_since("k", &created.version()).await;
    assert_eq!(read.with(200).body["value"], 1);
    for member in [0, 1] {
        let status = cluster.api(member).status().await;
        assert_eq!(status["total_nodes"], 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_speak_to_each_other_stop_when_a_certificate_ends_and_go_on_when_it_is_renewed()
{
    let secured = Secured::bootstrapped(2).await;
    let cluster = &secured.cluster;
    let names = [secured.hosts[1].as_str()];
    // Both ask each other on connections that are open by then.
    let ending = secured.authority.issue_until(&Leaf::of_node(&names), 10);
    secured.mount(1, &ending, &secured.authority.pem());
    secured.in_force(1, &ending, &[&secured.authority]).await;
    secured.unreachable(0, 1, "certificate").await;
    secured.unreachable(1, 0, "alert").await;
    for api in cluster.apis() {
        assert!(api.is_ready().await, "clients are served");
    }
    let renewed = secured.issue(1);
    secured.mount(1, &renewed, &secured.authority.pem());
    for node in [0, 1] {
        cluster.sees_healthy(node, 1).await;
    }
    cluster.api(1).create("k", 1).await.with(201);
    assert_eq!(cluster.converged().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_last_a_hundred_days_and_after_four_hundred_nodes_serve_what_they_have() {
    let mut secured = Secured::bootstrapped(2).await;
    secured.cluster.api(0).create("k", 1).await.with(201);
    secured.cluster.converged().await;
    for node in [0, 1] {
        secured.cluster.nodes[node].stop().await;
        secured.cluster.skew_clock(node, 100 * DAY_MILLIS);
    }
    secured.cluster.start_all().await;
    secured.cluster.converged().await;
    for node in [0, 1] {
        secured.cluster.nodes[node].stop().await;
        secured.cluster.skew_clock(node, 400 * DAY_MILLIS);
    }
    secured.cluster.start_all().await;
    let cluster = &secured.cluster;
    secured.unreachable(0, 1, "certificate").await;
    secured.unreachable(1, 0, "certificate").await;
    cluster.all_ready().await;
    for (node, api) in cluster.apis().into_iter().enumerate() {
        assert_eq!(api.value("k").await, 1);
        api.create(&format!("alone-{node}"), 1).await.with(201);
        cluster.logged(node, "certificate_has_ended", 1).await;
        let told = cluster.nodes[node].events("certificate_has_ended");
        assert_eq!(told.len(), 1, "n{node}");
    }
    // A certificate that is renewed then is taken while both run.
    for node in [0, 1] {
        let names = [secured.hosts[node].as_str()];
        let pair = secured.authority.issue(&Leaf {
            names: &names,
            usages: OF_NODES,
            days: (399, 764),
        });
        secured.mount(node, &pair, &secured.authority.pem());
    }
    assert_eq!(cluster.converged().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_leaves_and_another_is_removed_by_commands_on_their_own_machines() {
    let mut secured = Secured::bootstrapped(3).await;
    let run = |secured: &Secured, node: usize, arguments: &[&str]| {
        secured.cluster.nodes[node].run_to_its_end(arguments)
    };
    assert_eq!(run(&secured, 0, &["members"]).0, Some(0));
    let (code, said) = run(&secured, 0, &["members", "remove", "n2"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("let it leave first"), "{said}");

    assert_eq!(run(&secured, 2, &["leave"]).0, Some(0));
    secured.cluster.state(2, "left").await;
    secured.cluster.nodes[2].stop().await;
    let (code, said) = run(&secured, 0, &["members", "remove", "n2"]);
    assert_eq!(code, Some(0), "{said}");

    secured.cluster.nodes[1].kill();
    let (code, said) = run(&secured, 0, &["members", "remove", "n1", "--force"]);
    assert_eq!(code, Some(0), "{said}");
    secured
        .cluster
        .status_until(0, "it is alone", |status| status["total_nodes"] == 0)
        .await;
    let (code, said) = run(&secured, 0, &["members", "remove", "n1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no other member 'n1'"), "{said}");
}
