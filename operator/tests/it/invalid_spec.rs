//! A stored resource that breaks a rule, such as one of a later release: its certificates are renewed for years.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use kube::core::error_boundary::InvalidObject;
use opensecureconf_operator::{
    cluster::{
        context::Context,
        reconcile::reconcile_malformed,
        resource::{OpenSecureConfCluster, ServiceType},
    },
    pki::Authority,
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATUS, condition, reconcile},
    resource, shared,
    standstill::stored_pki,
    volumes::change,
};

const MAP: &str = "/api/v1/namespaces/team/configmaps/demo-ca";

/// An operator so many days later.
fn after(server: &ApiServer, days: i64) -> Context {
    let time = Timestamp::now() + SignedDuration::from_hours(24 * days);
    server.context().by_the_clock(move || time)
}

/// The end of the stored leaf, in days from now.
fn ends(server: &ApiServer) -> i64 {
    let leaf = stored_pki(server).leaf.unwrap().certificate;
    leaf.ends.duration_since(Timestamp::now()).as_hours() / 24
}

/// A cluster that was made by this change of the spec.
async fn made(
    change: impl FnOnce(&mut OpenSecureConfCluster),
) -> (ApiServer, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    change(&mut cluster);
    reconcile(&server, &mut cluster, &context).await;
    server.writes();
    (server, cluster)
}

/// What a user or a later release may have made of a resource.
type Fault = fn(&mut OpenSecureConfCluster);

#[tokio::test]
async fn a_leaf_is_renewed_whatever_rule_the_resource_breaks() {
    let faults: [Fault; 4] = [
        |cluster| cluster.spec.replicas = 99,
        |cluster| cluster.spec.tls.alt_names = vec!["No Name".to_owned()],
        |cluster| {
            cluster.spec.database =
                Some(serde_json::from_value(json!({ "secretRef": { "name": "x" } })).unwrap());
        },
        |cluster| {
            cluster.spec.tls = serde_json::from_value(json!({ "mode": "Disabled" })).unwrap();
            cluster.spec.service.type_ = ServiceType::NodePort;
        },
    ];
    for fault in faults {
        let (server, mut cluster) = made(|cluster| {
            cluster.spec.tls.alt_names = vec!["config.example.org".to_owned()];
        })
        .await;
        fault(&mut cluster);
        let first = stored_pki(&server);
        for days in [61, 122, 400] {
            reconcile(&server, &mut cluster, &after(&server, days)).await;
            assert_eq!(condition(&server, "Stalled")["reason"], "InvalidSpec");
            let ends = ends(&server);
            assert!((days + 363..days + 366).contains(&ends), "{days}: {ends}");
        }
        let last = stored_pki(&server);
        let leaf = last.leaf.unwrap().certificate;
        assert_eq!(leaf.names, first.leaf.unwrap().certificate.names);
        assert!(leaf.names.contains("config.example.org"));
        assert_eq!(last.authority, first.authority);
        let writes = server.writes();
        let others = |write: &&String| {
            !write.contains("/secrets/demo-node-tls") && !write.ends_with("/status")
        };
        assert_eq!(writes.iter().find(others), None);
    }
}

#[tokio::test]
async fn clients_learn_of_another_authority_and_those_of_another_certificate_keep_theirs() {
    let corporate = Authority::create("corporate", Timestamp::now()).unwrap();
    let corporate = corporate.certificate.pem();
    for is_own in [false, true] {
        let (server, context) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        if is_own {
            let secret = json!({ "metadata": { "name": "mine" }, "data": { "ca.crt": ByteString(corporate.clone().into()) } });
            server.put(&format!("{CORE}/secrets/mine"), secret);
            cluster.spec.tls = serde_json::from_value(
                json!({ "mode": "Secret", "secretRef": { "name": "mine" } }),
            )
            .unwrap();
        }
        reconcile(&server, &mut cluster, &context).await;
        cluster.spec.tls.secret_ref =
            Some(serde_json::from_value(json!({ "name": "No Name" })).unwrap());
        server.remove(&format!("{CORE}/secrets/demo-node-ca"));
        for _ in 0..3 {
            reconcile(&server, &mut cluster, &context).await;
        }
        assert_eq!(condition(&server, "Stalled")["reason"], "InvalidSpec");
        let stored = stored_pki(&server);
        assert_eq!(stored.bundle.len(), 1, "the exchange is complete");
        let newest = stored.authority.unwrap().certificate.pem();
        let data = server.object(MAP).unwrap()["data"].clone();
        assert_eq!(data["node-ca.crt"], newest);
        let clients = if is_own { &corporate } else { &newest };
        assert_eq!(data["ca.crt"], **clients);
    }
}

#[tokio::test]
async fn what_is_not_this_operators_or_of_another_layout_stays_as_it_is() {
    let (server, mut cluster) = made(|_| {}).await;
    cluster.spec.replicas = 99;
    let lease = "/apis/coordination.k8s.io/v1/namespaces/elsewhere/leases/operator";
    server.put(lease, json!({ "metadata": { "name": "operator" } }));
    let salt = format!("{CORE}/secrets/demo-salt");
    for (annotation, value) in [
        ("opensecureconf.io/operator", "elsewhere/operator"),
        ("opensecureconf.io/layout", "9"),
    ] {
        let ours = server.object(&salt).unwrap();
        change(&server, &salt, |salt| {
            salt["metadata"]["annotations"][annotation] = json!(value);
        });
        let before = stored_pki(&server);
        reconcile(&server, &mut cluster, &after(&server, 100)).await;
        assert_eq!(stored_pki(&server), before, "{annotation}");
        server.put(&salt, ours);
    }
    reconcile(&server, &mut cluster, &after(&server, 100)).await;
    assert!(ends(&server) > 460);
}

#[tokio::test]
async fn a_failure_keeps_no_fault_of_the_resource_from_being_told() {
    let (server, mut cluster) = made(|_| {}).await;
    cluster.spec.replicas = 99;
    let tls = format!("{CORE}/secrets/demo-node-tls");
    server.refuse(http::Method::PATCH, &tls, StatusCode::INTERNAL_SERVER_ERROR);
    reconcile(&server, &mut cluster, &after(&server, 100)).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "InvalidSpec");
    assert!(ends(&server) < 366);
    reconcile(&server, &mut cluster, &after(&server, 100)).await;
    assert!(ends(&server) > 460, "it is tried again");
}

#[tokio::test]
async fn the_same_holds_for_a_shared_database_and_for_a_resource_that_cannot_be_read() {
    let (server, _, mut cluster) = shared::running().await;
    cluster.spec.replicas = 99;
    reconcile(&server, &mut cluster, &after(&server, 100)).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "InvalidSpec");
    assert!(ends(&server) > 460);

    let (server, cluster) = made(|_| {}).await;
    let invalid = InvalidObject {
        error: "spec.replicas: expected i32".to_owned(),
        metadata: cluster.metadata.clone(),
    };
    let path = STATUS.strip_suffix("/status").unwrap();
    let there = json!({ "metadata": { "name": "demo" }, "spec": { "replicas": "many" }, "status": Value::Null });
    server.put(path, there);
    let later = after(&server, 100);
    reconcile_malformed(&invalid, &later).await.unwrap();
    assert_eq!(condition(&server, "Stalled")["reason"], "Malformed");
    assert!(ends(&server) > 460);
}

/// A pod of the cluster that serves, or does not.
fn put_pod(server: &ApiServer, ready: bool) {
    let ready = if ready { "True" } else { "False" };
    server.put(
        &format!("{CORE}/pods/demo-0"),
        json!({
            "metadata": { "name": "demo-0" },
            "status": { "podIP": "10.1.0.1", "conditions": [{ "type": "Ready", "status": ready }] },
        }),
    );
}

#[tokio::test]
async fn what_nodes_do_is_told_anew_whatever_rule_the_resource_breaks() {
    let (server, mut cluster) = made(|_| {}).await;
    put_pod(&server, true);
    let answered = || crate::serving::answered(server.context());
    reconcile(&server, &mut cluster, &answered()).await;
    assert_eq!(cluster.status.as_ref().unwrap().nodes_ready, "1/1");

    cluster.spec.replicas = 99;
    reconcile(&server, &mut cluster, &answered()).await;
    let status = cluster.status.clone().unwrap();
    assert_eq!(
        (status.nodes_ready.as_str(), status.ready_replicas),
        ("1/1", 1)
    );
    assert_eq!(condition(&server, "Available")["status"], "True");
    assert_eq!(condition(&server, "Replicated")["status"], "True");
    for of_objects in ["TlsReady", "MonitoringReady"] {
        assert_eq!(
            condition(&server, of_objects)["status"],
            "Unknown",
            "{of_objects}"
        );
    }

    // Its only node fails.
    put_pod(&server, false);
    reconcile(&server, &mut cluster, &server.context()).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "InvalidSpec");
    let status = cluster.status.clone().unwrap();
    assert_eq!(
        (status.nodes_ready.as_str(), status.ready_replicas),
        ("0/1", 0)
    );
    assert_eq!(condition(&server, "Available")["status"], "False");
    assert_eq!(condition(&server, "Replicated")["status"], "Unknown");
    assert_eq!(condition(&server, "SaltMatches")["status"], "Unknown");
    assert!(
        status
            .members
            .iter()
            .all(|member| !member.reachable && !member.ready)
    );

    // The same of a resource that cannot be read.
    let invalid = InvalidObject {
        error: "spec.replicas: expected i32".to_owned(),
        metadata: cluster.metadata.clone(),
    };
    let path = STATUS.strip_suffix("/status").unwrap();
    let there = json!({ "metadata": { "name": "demo" }, "spec": { "replicas": "many" }, "status": cluster.status });
    server.put(path, there);
    put_pod(&server, true);
    reconcile_malformed(&invalid, &answered()).await.unwrap();
    assert_eq!(condition(&server, "Stalled")["reason"], "Malformed");
    assert_eq!(condition(&server, "Available")["status"], "True");
    assert_eq!(condition(&server, "Replicated")["status"], "True");
    assert_eq!(
        server.object(STATUS).unwrap()["status"]["nodesReady"],
        "1/1"
    );
}

#[tokio::test]
async fn without_rights_what_pods_do_is_told_as_far_as_they_may_be_read() {
    for pods_too in [false, true] {
        let (server, mut cluster) = made(|_| {}).await;
        put_pod(&server, true);
        let context = crate::serving::answered(server.context());
        reconcile(&server, &mut cluster, &context).await;
        assert_eq!(condition(&server, "Replicated")["status"], "True");
        server.deny("get", "secrets");
        if pods_too {
            server.deny("list", "pods");
        }
        put_pod(&server, false);
        reconcile(&server, &mut cluster, &server.context()).await;
        assert_eq!(condition(&server, "Stalled")["reason"], "RightsMissing");
        let status = cluster.status.clone().unwrap();
        let available = condition(&server, "Available");
        if pods_too {
            // `Available` is never Unknown: it says that it is an earlier look's.
            assert_eq!(
                (&available["status"], &available["reason"]),
                (&json!("True"), &json!("NotLookedAt"))
            );
            assert_eq!(status.nodes_ready, "?/1");
        } else {
            assert_eq!(available["status"], "False");
            assert_eq!(status.nodes_ready, "0/1");
        }
        for type_ in ["Replicated", "SaltMatches", "TlsReady", "MonitoringReady"] {
            assert_eq!(condition(&server, type_)["status"], "Unknown", "{type_}");
        }
        assert!(status.members.iter().all(|member| !member.reachable));
    }
}
