//! Paused resources: the steps that wait, and the steps that go on.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use opensecureconf_operator::{
    cluster::resource::OpenSecureConfCluster,
    names::{ClusterName, LABEL_AUTHORITIES},
    pki::cluster_names,
};
use serde_json::{Value, json};

use crate::{
    api_server::ApiServer,
    reconcile::{CORE, SERVICE_MONITOR, STATEFUL_SET, STATUS, condition, has_condition, reconcile},
    standstill::{message, stored_pki},
    volumes::{change, heard, three_nodes},
};

pub(crate) const HUNDRED_DAYS: SignedDuration = SignedDuration::from_hours(24 * 100);

/// Lets so much time pass for the nodes' certificate.
pub(crate) fn date_back(server: &ApiServer, by: SignedDuration) {
    let names = cluster_names(
        &ClusterName::new("demo").unwrap(),
        "team",
        "cluster.local",
        &[],
    );
    let authority = stored_pki(server).authority.unwrap();
    let leaf = authority
        .issue_node_leaf(&names, Timestamp::now() - by)
        .unwrap();
    change(server, &format!("{CORE}/secrets/demo-node-tls"), |secret| {
        secret["data"]["tls.crt"] = json!(ByteString(leaf.certificate.pem().into()));
        secret["data"]["tls.key"] = json!(ByteString(leaf.key.pem().into()));
    });
    assert!(!is_fresh(server));
}

/// Whether the nodes' certificate is of these days.
pub(crate) fn is_fresh(server: &ApiServer) -> bool {
    let leaf = stored_pki(server).leaf.unwrap();
    leaf.issued() > Timestamp::now() - SignedDuration::from_hours(24)
}

fn observed(server: &ApiServer) -> Value {
    server.object(STATUS).unwrap()["status"]["observedGeneration"].clone()
}

#[tokio::test]
async fn changes_wait_and_are_named_until_the_resource_goes_on() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    // To be paused is no change that waits.
    cluster.spec.paused = true;
    cluster.metadata.generation = Some(2);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(observed(&server), 2);
    assert_eq!(condition(&server, "Paused")["status"], "True");
    assert!(!has_condition(&server, "Stalled"));
    server.writes();

    cluster.spec.image = Some("node:2".to_owned());
    cluster.spec.replicas = 5;
    cluster.spec.network_policy.enabled = false;
    cluster.spec.storage.size = "2Gi".to_owned();
    cluster.metadata.generation = Some(3);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    assert_eq!(observed(&server), 2);
    let status = server.object(STATUS).unwrap()["status"].clone();
    assert_eq!(status["nodesReady"], "3/3", "five are not wanted yet");
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "Paused");
    assert_eq!(condition(&server, "Ready")["observedGeneration"], 2);
    assert_eq!(condition(&server, "Available")["status"], "True");
    for told in [
        "StatefulSet demo (",
        "spec.replicas",
        "NetworkPolicy demo goes",
        "volumes get 2Gi",
    ] {
        assert!(message(&stalled).contains(told), "{told}: {stalled}");
    }

    cluster.spec.paused = false;
    cluster.metadata.generation = Some(4);
    reconcile(&server, &mut cluster, &context).await;
    heard(&server);
    assert_eq!(observed(&server), 4);
    assert!(!has_condition(&server, "Paused") && !has_condition(&server, "Stalled"));
    assert_eq!(server.object(STATEFUL_SET).unwrap()["spec"]["replicas"], 5);
}

#[tokio::test]
async fn what_somebody_changed_by_hand_stays_and_is_no_change_that_waits() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.paused = true;
    cluster.metadata.generation = Some(2);
    change(&server, STATEFUL_SET, |set| {
        set["spec"]["replicas"] = json!(1);
        set["metadata"]["managedFields"] = json!([{
            "manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:replicas": {} } },
        }]);
    });
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(observed(&server), 2);
    assert!(
        !has_condition(&server, "Stalled"),
        "{}",
        condition(&server, "Stalled")
    );
    assert_eq!(server.object(STATEFUL_SET).unwrap()["spec"]["replicas"], 1);
}

#[tokio::test]
async fn certificates_are_renewed_and_clients_learn_of_authorities_meanwhile() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    for ordinal in 0..3 {
        server.remove(&format!("{CORE}/pods/demo-{ordinal}"));
    }
    cluster.spec.paused = true;
    date_back(&server, HUNDRED_DAYS);
    reconcile(&server, &mut cluster, &context).await;
    assert!(is_fresh(&server));

    let map = format!("{CORE}/configmaps/demo-ca");
    let before = server.object(&map).unwrap()["data"].clone();
    server.remove(&format!("{CORE}/secrets/demo-node-ca"));
    reconcile(&server, &mut cluster, &context).await;
    assert_ne!(server.object(&map).unwrap()["data"], before);
}

#[tokio::test]
async fn scrapers_learn_of_authorities_too_and_what_else_differs_of_their_object_waits() {
    let paused: fn(&mut OpenSecureConfCluster) = |cluster| cluster.spec.paused = true;
    let stalled: fn(&mut OpenSecureConfCluster) = |cluster| {
        let key = json!({ "name": "x", "secret": { "secretName": "demo-cluster-key" } });
        cluster.spec.pod_template.volumes = vec![key];
    };
    for how in [paused, stalled] {
        let (server, context, mut cluster) = three_nodes(|_| {}).await;
        for ordinal in 0..3 {
            server.remove(&format!("{CORE}/pods/demo-{ordinal}"));
        }
        let as_before = cluster.clone();
        let monitor = || server.object(SERVICE_MONITOR).unwrap();
        let label = || monitor()["metadata"]["labels"][LABEL_AUTHORITIES].clone();
        let before = monitor();
        let first = label();
        how(&mut cluster);
        cluster.spec.monitoring.service_monitor.interval = "7s".to_owned();
        server.remove(&format!("{CORE}/secrets/demo-node-ca"));
        reconcile(&server, &mut cluster, &context).await;

        let both = label();
        assert_ne!(both, first, "{}", condition(&server, "Stalled"));
        let mut expected = before;
        expected["metadata"]["labels"][LABEL_AUTHORITIES] = both.clone();
        assert_eq!(monitor()["spec"], expected["spec"]);
        assert_eq!(
            monitor()["metadata"]["labels"],
            expected["metadata"]["labels"]
        );
        if cluster.spec.paused {
            let told = condition(&server, "Paused");
            let told = message(&told);
            assert!(
                told.contains("ServiceMonitor demo (spec.endpoints"),
                "{told}"
            );
            assert!(!told.contains(LABEL_AUTHORITIES), "{told}");
        }
        // Nothing is written twice.
        server.writes();
        reconcile(&server, &mut cluster, &context).await;
        let writes = server.writes();
        let patch = format!("PATCH {SERVICE_MONITOR}");
        let changed = label() != both;
        assert_eq!(writes.contains(&patch), changed, "{writes:?}");

        // It is what a cluster that goes on writes.
        let settled = label();
        let mut cluster = as_before;
        reconcile(&server, &mut cluster, &context).await;
        let again = label();
        reconcile(&server, &mut cluster, &context).await;
        assert!(again == settled || label() == again);
    }
}

#[tokio::test]
async fn a_child_that_is_lost_meanwhile_is_not_told_to_be_there() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.paused = true;
    reconcile(&server, &mut cluster, &context).await;
    let monitoring = || condition(&server, "MonitoringReady");
    assert_eq!(monitoring()["status"], "True");
    server.remove(SERVICE_MONITOR);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(monitoring()["reason"], "ServiceMonitorMissing");
    let paused = condition(&server, "Paused");
    assert!(
        message(&paused).contains("ServiceMonitor demo is made"),
        "{paused}"
    );
}

#[tokio::test]
async fn hibernation_waits_too_and_a_sleeping_cluster_sleeps_on() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.paused = true;
    cluster.spec.hibernate = true;
    cluster.metadata.generation = Some(2);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(STATEFUL_SET).unwrap()["spec"]["replicas"], 3);
    assert_eq!(condition(&server, "Stalled")["reason"], "Paused");
    assert_ne!(condition(&server, "Ready")["reason"], "Hibernating");

    cluster.spec.paused = false;
    reconcile(&server, &mut cluster, &context).await;
    heard(&server);
    for ordinal in 0..3 {
        server.remove(&format!("{CORE}/pods/demo-{ordinal}"));
    }
    cluster.spec.paused = true;
    cluster.spec.hibernate = false;
    cluster.metadata.generation = Some(4);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(STATEFUL_SET).unwrap()["spec"]["replicas"], 0);
    assert_eq!(condition(&server, "Ready")["reason"], "Hibernated");
    assert_eq!(condition(&server, "Stalled")["reason"], "Paused");
}

#[tokio::test]
async fn a_refused_resource_of_a_sleeping_cluster_keeps_what_was_known_of_its_nodes() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.hibernate = true;
    reconcile(&server, &mut cluster, &context).await;
    heard(&server);
    for ordinal in 0..3 {
        server.remove(&format!("{CORE}/pods/demo-{ordinal}"));
    }
    reconcile(&server, &mut cluster, &context).await;
    let of_nodes = ["Available", "SaltMatches", "Replicated"];
    let asleep = of_nodes.map(|type_| condition(&server, type_));
    assert_eq!(asleep[0]["reason"], "Hibernated");

    cluster.spec.replicas = 99;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "InvalidSpec");
    for (type_, before) in of_nodes.into_iter().zip(asleep) {
        let after = condition(&server, type_);
        assert_eq!(
            (&after["status"], &after["reason"]),
            (&before["status"], &before["reason"]),
            "{type_}"
        );
    }
}

#[tokio::test]
async fn a_resource_that_is_paused_from_the_beginning_is_not_made() {
    let (server, context) = ApiServer::start();
    let mut cluster = crate::resource(crate::ONE_NODE);
    cluster.spec.paused = true;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    assert_eq!(observed(&server), -1);
    assert_eq!(condition(&server, "Stalled")["reason"], "Paused");
}
