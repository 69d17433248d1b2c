//! The certificates of a cluster as Secrets, and the effect of absent or wrong objects on them.

use http::{Method, StatusCode};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use opensecureconf_operator::pki::Authority;
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, condition, reconcile},
    resource,
};

const CERTIFICATES: &str = "/apis/cert-manager.io/v1/namespaces/team/certificates";
const AUTHORITY: &str = "/api/v1/namespaces/team/secrets/demo-node-ca";
const NODE_TLS: &str = "/api/v1/namespaces/team/secrets/demo-node-tls";

#[tokio::test]
async fn a_lost_certificate_is_made_again_and_clients_learn_of_another_authority() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let (ca, tls, map) = (
        format!("{CORE}/secrets/demo-node-ca"),
        format!("{CORE}/secrets/demo-node-tls"),
        format!("{CORE}/configmaps/demo-ca"),
    );
    let read = |path: &str| server.object(path).unwrap();
    let roots = read(&map)["data"]["node-ca.crt"].clone();
    assert_eq!(read(&map)["data"]["ca.crt"], roots);
    let authority = read(&ca);
    server.writes();

    server.remove(&tls);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(&tls).is_some());
    assert_eq!(read(&ca), authority, "the same authority signs again");
    assert_eq!(read(&map)["data"]["node-ca.crt"], roots);

    // The authority's key is lost: nodes go on accepting the old authority, until every node accepts the new one. No pod runs
    // here.
    server.remove(&ca);
    reconcile(&server, &mut cluster, &context).await;
    let both = read(&map)["data"]["node-ca.crt"].clone();
    assert!(
        both.as_str().unwrap().contains(roots.as_str().unwrap()),
        "{both}"
    );
    assert_ne!(both, roots);
    reconcile(&server, &mut cluster, &context).await;
    reconcile(&server, &mut cluster, &context).await;
    let after = read(&map)["data"]["node-ca.crt"].clone();
    assert!(!after.as_str().unwrap().contains(roots.as_str().unwrap()));

    // A user asks for a rotation.
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }
    let asked = read(&map)["data"]["node-ca.crt"].clone();
    assert_ne!(asked, after);
    assert!(!asked.as_str().unwrap().contains(after.as_str().unwrap()));
    let annotations = &read(&ca)["metadata"]["annotations"];
    assert_eq!(annotations["opensecureconf.io/authority-rotation"], "2027");
    server.writes();
    reconcile(&server, &mut cluster, &context).await;
    let writes = server.writes();
    assert!(
        !writes.iter().any(|write| write.contains("/secrets")),
        "{writes:?}"
    );
}

#[tokio::test]
async fn the_certificate_of_clients_is_asked_of_cert_manager_where_there_is_one() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.tls = serde_json::from_value(json!({
        "mode": "Issuer", "issuerRef": { "name": "corporate" }, "altNames": ["config.example.org", "10.1.2.3"],
    }))
    .unwrap();
    reconcile(&server, &mut cluster, &context).await;
    let path = "/apis/cert-manager.io/v1/namespaces/team/certificates/demo";
    let spec = server.object(path).unwrap()["spec"].clone();
    assert_eq!(spec["secretName"], "demo-client-tls");
    assert_eq!(spec["issuerRef"]["kind"], "Issuer");
    assert_eq!(spec["ipAddresses"], json!(["10.1.2.3"]));
    let names = spec["dnsNames"].to_string();
    assert!(names.contains("demo.team.svc") && names.contains("config.example.org"));
    let missing = condition(&server, "TlsReady");
    assert_eq!(missing["reason"], "CertificateMissing");
    let map = format!("{CORE}/configmaps/demo-ca");
    assert_eq!(server.object(&map).unwrap()["data"]["ca.crt"], Value::Null);
    let corporate = authority("corporate").certificate.pem();

    server.put(
        &format!("{CORE}/secrets/demo-client-tls"),
        client_tls(&corporate),
    );
    reconcile(&server, &mut cluster, &context).await;
    let map = server.object(&map).unwrap();
    assert_eq!(map["data"]["ca.crt"], corporate);

    cluster.spec.tls = serde_json::from_value(json!({})).unwrap();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(path), None);
}

#[tokio::test]
async fn of_what_a_user_calls_authorities_nothing_but_certificates_is_shown() {
    let (one, two) = (authority("one"), authority("two"));
    let (key, certificates) = (one.key.pem(), [&one, &two].map(|it| it.certificate.pem()));
    for (what, written, expected) in [
        (
            "a key, words and certificates",
            // One file for all, as some programs make it.
            format!("{key}subject=CN = one\n{}", certificates.concat()),
            json!(certificates.concat()),
        ),
        ("a key", key.to_owned(), Value::Null),
        ("words", "a password".to_owned(), Value::Null),
    ] {
        let (server, context) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        cluster.spec.tls = serde_json::from_value(
            json!({ "mode": "Secret", "secretRef": { "name": "demo-certificate" } }),
        )
        .unwrap();
        let secret = format!("{CORE}/secrets/demo-certificate");
        server.put(&secret, client_tls(&written));

        reconcile(&server, &mut cluster, &context).await;

        let map = server.object(&format!("{CORE}/configmaps/demo-ca"));
        assert_eq!(map.unwrap()["data"]["ca.crt"], expected, "{what}");
    }
}

fn authority(name: &str) -> Authority {
    Authority::create(name, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap()
}

/// A Secret with the authorities of the clients' certificate, in this text.
fn client_tls(authorities: &str) -> Value {
    let secret = Secret {
        data: Some([("ca.crt".to_owned(), ByteString(authorities.into()))].into()),
        ..Secret::default()
    };
    serde_json::to_value(secret).unwrap()
}

#[tokio::test]
async fn without_cert_manager_nodes_run_and_the_condition_names_it() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.tls =
        serde_json::from_value(json!({ "mode": "Issuer", "issuerRef": { "name": "corporate" } }))
            .unwrap();
    server.refuse(Method::GET, CERTIFICATES, StatusCode::NOT_FOUND);

    reconcile(&server, &mut cluster, &context).await;

    assert!(server.object(STATEFUL_SET).is_some());
    assert_eq!(server.object(&format!("{CERTIFICATES}/demo")), None);
    let ready = condition(&server, "TlsReady");
    assert_eq!(ready["reason"], "CertManagerMissing");
    assert!(
        ready["message"]
            .as_str()
            .unwrap()
            .contains("install cert-manager")
    );
}

#[tokio::test]
async fn a_certificate_is_renewed_also_where_the_resource_stands_still() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let authority = server.object(AUTHORITY);
    server.remove(NODE_TLS);
    // The operator writes nothing else for a resource like this one.
    cluster.spec.pod_template.env = vec![json!({ "name": "OSC_API_KEY", "value": "x" })];
    server.writes();

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(
        condition(&server, "Stalled")["reason"],
        "InvalidPodTemplate"
    );
    assert!(server.object(NODE_TLS).is_some());
    assert_eq!(server.object(AUTHORITY), authority);
    let writes = server.writes();
    let others =
        |write: &&String| !write.contains("/secrets/demo-node-tls") && !write.ends_with("/status");
    assert_eq!(writes.iter().find(others), None);
}

#[tokio::test]
async fn clients_learn_of_another_authority_also_where_the_resource_stands_still() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let map = format!("{CORE}/configmaps/demo-ca");
    let shown = || server.object(&map).unwrap()["data"]["ca.crt"].to_string();
    let first = shown();
    cluster.spec.pod_template.env = vec![json!({ "name": "OSC_API_KEY", "value": "x" })];
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());

    // No running pod has to accept the new authority first.
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }

    assert_eq!(
        condition(&server, "Stalled")["reason"],
        "InvalidPodTemplate"
    );
    let secret = server.object(NODE_TLS).unwrap()["data"]["ca.crt"].clone();
    let accepted: ByteString = serde_json::from_value(secret).unwrap();
    let accepted = json!(String::from_utf8(accepted.0).unwrap()).to_string();
    assert_ne!(shown(), first);
    assert_eq!(shown(), accepted, "clients verify what nodes show");
}

#[tokio::test]
async fn a_service_monitor_whose_authorities_are_gone_is_not_said_to_work() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let monitoring = || condition(&server, "MonitoringReady");
    assert_eq!(monitoring()["reason"], "ServiceMonitorApplied");
    let map = format!("{CORE}/configmaps/demo-ca");

    // The Prometheus Operator refuses a ServiceMonitor whose ConfigMap has no such entry.
    let theirs = json!({ "metadata": { "name": "demo-ca", "labels": { "app": "another" } } });
    server.put(&map, theirs);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "NameTaken");
    let told = monitoring();
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("False"), &json!("AuthoritiesMissing"))
    );
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("ConfigMap demo-ca"), "{told}");

    server.remove(&map);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(monitoring()["reason"], "ServiceMonitorApplied");
}

#[tokio::test]
async fn a_clients_certificate_is_taken_from_no_secret_of_a_cluster() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.tls = serde_json::from_value(
        json!({ "mode": "Secret", "secretRef": { "name": "demo-node-ca" } }),
    )
    .unwrap();
    server.put(
        "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/demo",
        json!({ "metadata": { "name": "demo" } }),
    );

    reconcile(&server, &mut cluster, &context).await;

    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "InvalidSpec");
    assert!(
        stalled["message"]
            .as_str()
            .unwrap()
            .contains("demo-node-ca")
    );
    assert_eq!(server.object(STATEFUL_SET), None);
}

#[tokio::test]
async fn a_clients_key_is_taken_from_no_secret_of_a_cluster() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.api_key.secret_ref = Some(
        serde_json::from_value(json!({ "name": "other-cluster-key", "key": "cluster-key" }))
            .unwrap(),
    );
    server.put(
        "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/other",
        json!({ "metadata": { "name": "other" } }),
    );

    reconcile(&server, &mut cluster, &context).await;

    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "InvalidSpec");
    let message = stalled["message"].as_str().unwrap();
    assert!(
        message.contains("'other-cluster-key' is part of cluster other"),
        "{message}"
    );
    assert_eq!(server.object(STATEFUL_SET), None);
}
