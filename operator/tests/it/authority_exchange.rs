//! An exchange of the authority while a running node does not prove that it has the new one: which leaf stays, and what the
//! resource reports when.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use opensecureconf_operator::{
    cluster::context::Context,
    names::ANNOTATION_AUTHORITY_GIVEN,
    node::{ClientCertificate, NodeCertificates, NodeTls},
    pki::Certificate,
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, condition, reconcile},
    resource,
    serving::answered_with,
    shared,
    standstill::{message, stored_pki},
    volumes::change,
};

const AUTHORITY: &str = "/api/v1/namespaces/team/secrets/demo-node-ca";
const NODE_TLS: &str = "/api/v1/namespaces/team/secrets/demo-node-tls";

/// A pod whose node runs, but has no address at which the operator could ask it.
pub(crate) fn put_silent_node(server: &ApiServer) {
    server.put(
        &format!("{CORE}/pods/demo-0"),
        json!({
            "metadata": { "name": "demo-0" },
            "status": { "containerStatuses": running() },
        }),
    );
}

fn running() -> Value {
    json!([{
        "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
    }])
}

/// Time after the cluster was made.
pub(crate) fn after(minutes: i64) -> Timestamp {
    let begin: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    begin + SignedDuration::from_mins(minutes)
}

/// An operator with a clock that shows this time.
pub(crate) fn operator_at(server: &ApiServer, time: Timestamp) -> Context {
    server.context().by_the_clock(move || time)
}

#[tokio::test]
async fn a_running_node_that_proves_nothing_keeps_the_leaf_that_it_accepts() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let leaf = server.object(NODE_TLS).unwrap()["data"]["tls.crt"].clone();
    put_silent_node(&server);
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    for _ in 0..4 {
        reconcile(&server, &mut cluster, &context).await;
    }
    let there = server.object(NODE_TLS).unwrap();
    assert_eq!(there["data"]["tls.crt"], leaf);
    assert_ne!(there["data"]["ca.crt"], Value::Null);
    let previous = server.object(AUTHORITY).unwrap()["data"]["previous.crt"].clone();
    assert_ne!(
        previous,
        Value::Null,
        "the old one signs until the node accepts the new one"
    );
    assert_eq!(
        server.object(AUTHORITY).unwrap()["metadata"]["annotations"]["argocd.argoproj.io/sync-options"],
        "Prune=false,Delete=false"
    );
}

#[tokio::test]
async fn a_node_that_proves_nothing_for_ten_minutes_is_named() {
    let (server, _) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &operator_at(&server, after(0))).await;
    put_silent_node(&server);
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &operator_at(&server, after(0))).await;
    assert_ne!(
        server.object(AUTHORITY).unwrap()["data"]["previous.crt"],
        Value::Null
    );

    // A Secret may take so long to reach the pod. Its node has reported nothing, and the resource reports just that.
    reconcile(&server, &mut cluster, &operator_at(&server, after(9))).await;
    let silent = condition(&server, "TlsReady");
    assert_eq!(
        (&silent["status"], &silent["reason"]),
        (&json!("Unknown"), &json!("NodesUnreachable"))
    );

    reconcile(&server, &mut cluster, &operator_at(&server, after(11))).await;
    let overdue = condition(&server, "TlsReady");
    assert_eq!(
        (&overdue["status"], &overdue["reason"]),
        (&json!("False"), &json!("AuthorityNotDistributed"))
    );
    assert!(
        message(&overdue).contains("another authority waits for demo-0,"),
        "{overdue}"
    );

    // An authority may be much older than its distribution to nodes, such as one that a user provides.
    change(&server, NODE_TLS, |secret| {
        secret["metadata"]["annotations"][ANNOTATION_AUTHORITY_GIVEN] = json!(after(5).to_string());
    });
    reconcile(&server, &mut cluster, &operator_at(&server, after(11))).await;
    assert_eq!(condition(&server, "TlsReady")["reason"], "NodesUnreachable");
    reconcile(&server, &mut cluster, &operator_at(&server, after(16))).await;
    let overdue = condition(&server, "TlsReady");
    assert_eq!(overdue["reason"], "AuthorityNotDistributed");

    // A pod that is gone reads the new certificates when it is made again, and is not waited for.
    server.remove(&format!("{CORE}/pods/demo-0"));
    reconcile(&server, &mut cluster, &operator_at(&server, after(16))).await;
    assert_ne!(
        condition(&server, "TlsReady")["reason"],
        "AuthorityNotDistributed"
    );
}

#[tokio::test]
async fn clients_are_served_meanwhile_and_a_node_that_does_not_keep_up_is_named() {
    let (server, _) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &operator_at(&server, after(0))).await;
    let before = stored_pki(&server);
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &operator_at(&server, after(0))).await;
    let (old, leaf) = (before.authority.unwrap(), before.leaf.unwrap());
    let new = stored_pki(&server).authority.unwrap();
    assert_ne!(new, old);

    let one = [&old.certificate];
    let both = [&new.certificate, &old.certificate];
    for (minutes, accepts, status, reason) in [
        (1, &one[..], "True", "AuthorityExchanging"),
        (11, &one, "False", "AuthorityNotDistributed"),
        // Now the new authority signs, and the node still shows the leaf of the old one.
        (12, &both, "True", "CertificatesServed"),
        (13, &both, "True", "AuthorityExchanging"),
        (23, &both, "False", "AuthorityNotDistributed"),
    ] {
        put_silent_node(&server);
        change(&server, &format!("{CORE}/pods/demo-0"), |pod| {
            pod["status"]["podIP"] = json!("10.1.0.1");
        });
        let context = answered_with(
            operator_at(&server, after(minutes)),
            reported(&leaf.certificate, accepts),
        );
        reconcile(&server, &mut cluster, &context).await;
        let told = condition(&server, "TlsReady");
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!(status), &json!(reason)),
            "after {minutes} minutes: {told}"
        );
        let names_node = message(&told).contains("demo-0");
        assert_eq!(names_node, reason != "CertificatesServed", "{told}");
    }
}

#[tokio::test]
async fn nodes_that_share_a_database_are_named_as_well() {
    let (server, context, mut cluster) = shared::running().await;
    change(&server, &format!("{CORE}/pods/demo-7f9c-24567"), |pod| {
        pod["status"]["containerStatuses"] = running();
    });
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    let reason = || condition(&server, "TlsReady")["reason"].clone();
    assert_eq!(reason(), "NodesUnreachable");

    let later = Timestamp::now() + SignedDuration::from_mins(11);
    reconcile(&server, &mut cluster, &operator_at(&server, later)).await;
    assert_eq!(reason(), "AuthorityNotDistributed");
    let told = condition(&server, "TlsReady");
    assert!(message(&told).contains("demo-7f9c-24567,"), "{told}");
}

#[tokio::test]
async fn clients_of_a_shared_database_learn_of_it_also_where_the_resource_stands_still() {
    for missing in ["demo-salt", "pg-app"] {
        let (server, context, mut cluster) = shared::running().await;
        let map = format!("{CORE}/configmaps/demo-ca");
        let shown = || server.object(&map).unwrap()["data"]["ca.crt"].clone();
        let first = shown();
        server.remove(&format!("{CORE}/secrets/{missing}"));
        cluster.spec.tls.authority.rotate = Some("2027".to_owned());

        // No running pod has to accept the new authority first.
        for _ in 0..3 {
            reconcile(&server, &mut cluster, &context).await;
        }

        assert_eq!(
            condition(&server, "Stalled")["status"],
            "True",
            "without {missing}"
        );
        let secret = server.object(NODE_TLS).unwrap()["data"]["ca.crt"].clone();
        let accepted: ByteString = serde_json::from_value(secret).unwrap();
        let accepted = json!(String::from_utf8(accepted.0).unwrap());
        assert_ne!(shown(), first, "without {missing}");
        assert_eq!(shown(), accepted, "clients verify what nodes show");
    }
}

/// The report of a node that shows this leaf, also to clients, and accepts these authorities.
pub(crate) fn reported(leaf: &Certificate, authorities: &[&Certificate]) -> NodeTls {
    let fingerprint = |certificate: &Certificate| certificate.fingerprint.to_string();
    let authorities = authorities.iter().map(|it| fingerprint(it));
    NodeTls {
        node: Some(NodeCertificates {
            leaf: Some(fingerprint(leaf)),
            authorities: Some(authorities.collect()),
            ..NodeCertificates::default()
        }),
        clients: Some(ClientCertificate {
            open: true,
            leaf: Some(fingerprint(leaf)),
            ..ClientCertificate::default()
        }),
    }
}
