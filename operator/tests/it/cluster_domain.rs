//! A Kubernetes cluster whose domain is not `cluster.local`.

use std::collections::BTreeSet;

use opensecureconf_operator::cluster::{context::Context, validate::Installation};
use serde_json::json;

use crate::{
    ONE_NODE, api_server::ApiServer, reconcile::reconcile, resource, standstill::stored_pki,
};

const DOMAIN: &str = "example.internal";
const CERTIFICATE: &str = "/apis/cert-manager.io/v1/namespaces/team/certificates/demo";

fn operator() -> (ApiServer, Context) {
    let (server, context) = ApiServer::start();
    let context = context.at(Installation {
        cluster_domain: DOMAIN.to_owned(),
        ..Installation::default()
    });
    (server, context)
}

fn assert_of_the_domain(names: &BTreeSet<String>, wanted: &[&str]) {
    for name in wanted {
        assert!(names.contains(*name), "{name} is not in {names:?}");
    }
    let is_elsewhere = |name: &&String| name.contains("cluster.local");
    assert_eq!(names.iter().find(is_elsewhere), None);
}

#[tokio::test]
async fn the_nodes_certificate_is_for_names_of_that_domain() {
    let (server, context) = operator();
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    assert_of_the_domain(
        &stored_pki(&server).leaf.unwrap().certificate.names,
        &[
            "demo.team.svc.example.internal",
            "*.demo-nodes.team.svc.example.internal",
        ],
    );
}

#[tokio::test]
async fn cert_manager_is_asked_for_names_of_that_domain() {
    let (server, context) = operator();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.tls =
        serde_json::from_value(json!({ "mode": "Issuer", "issuerRef": { "name": "corporate" } }))
            .unwrap();
    reconcile(&server, &mut cluster, &context).await;
    let names = server.object(CERTIFICATE).unwrap()["spec"]["dnsNames"].clone();
    assert_of_the_domain(
        &serde_json::from_value(names).unwrap(),
        &["demo.team.svc.example.internal"],
    );
}

#[tokio::test]
async fn a_leaf_for_another_domain_is_issued_again_by_the_same_authority() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let before = stored_pki(&server);
    // The operator was installed with the wrong domain.
    let context = context.at(Installation {
        cluster_domain: DOMAIN.to_owned(),
        ..Installation::default()
    });
    reconcile(&server, &mut cluster, &context).await;
    let after = stored_pki(&server);
    assert_eq!(after.authority, before.authority);
    assert_of_the_domain(
        &after.leaf.unwrap().certificate.names,
        &["demo.team.svc.example.internal"],
    );
}
