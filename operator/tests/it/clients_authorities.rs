//! Another authority signs only once clients can read it in ConfigMap `NAME-ca`, whatever keeps that from being written.

use http::{Method, StatusCode};
use opensecureconf_operator::{
    cluster::{reconcile::reconcile_cluster, resource::OpenSecureConfCluster},
    names::ANNOTATION_AUTHORITY_SHOWN,
    pki::StoredPki,
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    authority_exchange::{after, operator_at, put_silent_node, reported},
    reconcile::{CORE, condition, reconcile},
    resource,
    serving::answered_with,
    standstill::stored_pki,
    volumes::change,
};

const MAP: &str = "/api/v1/namespaces/team/configmaps/demo-ca";
const NODE_TLS: &str = "/api/v1/namespaces/team/secrets/demo-node-tls";

/// A cluster with one node that runs, and its certificates.
async fn running() -> (ApiServer, OpenSecureConfCluster, StoredPki) {
    let (server, _) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &operator_at(&server, after(0))).await;
    put_silent_node(&server);
    change(&server, &format!("{CORE}/pods/demo-0"), |pod| {
        pod["status"]["podIP"] = json!("10.1.0.1");
    });
    let before = stored_pki(&server);
    (server, cluster, before)
}

/// Reconciles while the node shows the leaf that it had, and accepts every stored authority. Returns whether that leaf stays.
async fn keeps_leaf(
    server: &ApiServer,
    cluster: &mut OpenSecureConfCluster,
    before: &StoredPki,
    minutes: i64,
) -> bool {
    let leaf = before.leaf.as_ref().unwrap();
    let stored = stored_pki(server);
    let accepts: Vec<_> = stored.bundle.iter().collect();
    let context = answered_with(
        operator_at(server, after(minutes)),
        reported(&leaf.certificate, &accepts),
    );
    reconcile(server, cluster, &context).await;
    stored_pki(server).leaf.as_ref() == Some(leaf)
}

fn shown(server: &ApiServer) -> Value {
    server.object(NODE_TLS).unwrap()["metadata"]["annotations"][ANNOTATION_AUTHORITY_SHOWN].clone()
}

#[tokio::test]
async fn clients_have_their_time_although_an_operator_stopped_before_it_gave_them_the_authority() {
    let (server, mut cluster, before) = running().await;
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    server.refuse(Method::PATCH, MAP, StatusCode::INTERNAL_SERVER_ERROR);
    let stops = operator_at(&server, after(0));
    reconcile_cluster(&cluster, &stops).await.unwrap_err();
    assert_eq!(stored_pki(&server).bundle.len(), 2, "nodes are given it");
    let newest = stored_pki(&server).authority.unwrap().certificate.pem();
    let map = || server.object(MAP).unwrap()["data"]["ca.crt"].clone();
    assert!(!map().as_str().unwrap().contains(&newest));

    // The next operator finds a node that has proved everything.
    assert!(keeps_leaf(&server, &mut cluster, &before, 20).await);
    assert!(map().as_str().unwrap().contains(&newest));
    assert_eq!(shown(&server), Value::Null, "it has not been read yet");
    assert_eq!(
        condition(&server, "TlsReady")["reason"],
        "AuthorityExchanging"
    );
    assert!(keeps_leaf(&server, &mut cluster, &before, 21).await);
    assert_eq!(shown(&server), after(21).to_string());
    server.writes();
    assert!(keeps_leaf(&server, &mut cluster, &before, 23).await);
    let writes = server.writes();
    let is_secret = |write: &String| write.contains("/secrets");
    assert!(
        !writes.iter().any(is_secret),
        "it is noted once: {writes:?}"
    );
    assert!(!keeps_leaf(&server, &mut cluster, &before, 24).await);
}

#[tokio::test]
async fn while_another_owner_has_the_object_no_other_authority_signs() {
    let (server, mut cluster, before) = running().await;
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    let theirs = json!({ "metadata": { "name": "demo-ca", "labels": { "app": "another" } } });
    server.put(MAP, theirs.clone());
    for minutes in [1, 20, 60 * 24 * 70] {
        keeps_leaf(&server, &mut cluster, &before, minutes).await;
        let stored = stored_pki(&server);
        let leaf = stored.leaf.unwrap().certificate;
        let old = before.authority.as_ref().unwrap();
        // The one before goes on signing, as for the leaf that is due after seventy days.
        assert!(leaf.is_signed_by(&old.certificate), "{minutes}");
        assert_eq!(stored.bundle.len(), 2, "{minutes}");
        assert_eq!(condition(&server, "Stalled")["reason"], "NameTaken");
    }
    assert_eq!(server.object(MAP), Some(theirs));

    server.remove(MAP);
    let before = stored_pki(&server);
    let begin = 60 * 24 * 70;
    assert!(keeps_leaf(&server, &mut cluster, &before, begin + 1).await);
    assert!(keeps_leaf(&server, &mut cluster, &before, begin + 2).await);
    assert!(!keeps_leaf(&server, &mut cluster, &before, begin + 6).await);
}

#[tokio::test]
async fn an_authority_that_is_taken_from_clients_again_signs_nothing() {
    let (server, mut cluster, before) = running().await;
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    for minutes in [0, 1] {
        assert!(keeps_leaf(&server, &mut cluster, &before, minutes).await);
    }
    assert_eq!(shown(&server), after(1).to_string());
    server.remove(MAP);
    assert!(keeps_leaf(&server, &mut cluster, &before, 10).await);
    assert_eq!(shown(&server), Value::Null);
    // Their time begins anew.
    assert!(keeps_leaf(&server, &mut cluster, &before, 11).await);
    assert!(keeps_leaf(&server, &mut cluster, &before, 13).await);
    assert!(!keeps_leaf(&server, &mut cluster, &before, 14).await);
}

#[tokio::test]
async fn the_record_of_an_earlier_exchange_counts_for_no_later_one() {
    let (server, mut cluster, _) = running().await;
    // Without a node that runs clients need no time.
    server.remove(&format!("{CORE}/pods/demo-0"));
    for nonce in ["2027", "2028"] {
        cluster.spec.tls.authority.rotate = Some(nonce.to_owned());
        reconcile(&server, &mut cluster, &operator_at(&server, after(1))).await;
        assert_eq!(shown(&server), Value::Null, "{nonce}");
        for _ in 0..2 {
            reconcile(&server, &mut cluster, &operator_at(&server, after(2))).await;
        }
        assert_eq!(stored_pki(&server).bundle.len(), 1, "{nonce}");
        assert_eq!(shown(&server), after(2).to_string(), "{nonce}");
    }
}
