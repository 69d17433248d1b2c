//! Reconciles against an API server in memory: the order of writes, and the writes that never happen.

use http::{Method, StatusCode};
use opensecureconf_operator::cluster::{
    context::Context,
    reconcile::reconcile_cluster,
    resource::{ClusterStatus, OpenSecureConfCluster},
};
use serde_json::{Value, json};

use crate::{ONE_NODE, api_server::ApiServer, resource};

pub(crate) const CORE: &str = "/api/v1/namespaces/team";
pub(crate) const STATUS: &str =
    "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/demo/status";
pub(crate) const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/team/statefulsets/demo";
pub(crate) const NETWORK_POLICY: &str =
    "/apis/networking.k8s.io/v1/namespaces/team/networkpolicies/demo";
pub(crate) const DISRUPTION_BUDGET: &str =
    "/apis/policy/v1/namespaces/team/poddisruptionbudgets/demo";
pub(crate) const SERVICE_MONITOR: &str =
    "/apis/monitoring.coreos.com/v1/namespaces/team/servicemonitors/demo";

/// Reconciles once; the resource gets the status that was written, as a watch would bring it.
pub(crate) async fn reconcile(
    server: &ApiServer,
    cluster: &mut OpenSecureConfCluster,
    context: &Context,
) {
    reconcile_cluster(cluster, context).await.unwrap();
    cluster.status = server
        .object(STATUS)
        .map(|object| serde_json::from_value::<ClusterStatus>(object["status"].clone()).unwrap());
}

pub(crate) fn condition(server: &ApiServer, type_: &str) -> Value {
    let status = server.object(STATUS).unwrap();
    status["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == type_)
        .unwrap_or_else(|| panic!("no condition {type_} in {status}"))
        .clone()
}

pub(crate) fn has_condition(server: &ApiServer, type_: &str) -> bool {
    let status = server.object(STATUS).unwrap();
    let conditions = status["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .any(|condition| condition["type"] == type_)
}

#[tokio::test]
async fn secrets_come_first_the_salt_before_all_and_what_pods_need_before_them() {
    let (server, context) = ApiServer::start();
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    assert_eq!(
        server.writes(),
        [
            format!("POST {CORE}/secrets/demo-salt"),
            format!("POST {CORE}/secrets/demo-api-key"),
            format!("POST {CORE}/secrets/demo-cluster-key"),
            format!("POST {CORE}/secrets/demo-node-ca"),
            format!("POST {CORE}/secrets/demo-node-tls"),
            format!("PATCH {CORE}/serviceaccounts/demo"),
            format!("PATCH {CORE}/configmaps/demo-nodes"),
            format!("PATCH {CORE}/configmaps/demo-ca"),
            format!("PATCH {CORE}/services/demo-nodes"),
            format!("PATCH {CORE}/services/demo"),
            format!("PATCH {NETWORK_POLICY}"),
            format!("PATCH {DISRUPTION_BUDGET}"),
            format!("PATCH {CORE}/configmaps/demo-template"),
            format!("PATCH {STATEFUL_SET}"),
            format!("PATCH {SERVICE_MONITOR}"),
            format!("PATCH {STATUS}"),
        ]
    );
}

#[tokio::test]
async fn a_second_reconcile_writes_no_secret() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let salt = server.object(&format!("{CORE}/secrets/demo-salt"));
    server.writes();

    reconcile(&server, &mut cluster, &context).await;

    let writes = server.writes();
    assert!(
        !writes.iter().any(|write| write.contains("/secrets")),
        "{writes:?}"
    );
    assert_eq!(server.object(&format!("{CORE}/secrets/demo-salt")), salt);
}

#[tokio::test]
async fn two_operators_make_one_salt() {
    let (server, context) = ApiServer::start();
    let cluster = resource(ONE_NODE);
    // The other operator was faster between our read and our create.
    server.refuse(
        Method::POST,
        &format!("{CORE}/secrets/demo-salt"),
        StatusCode::CONFLICT,
    );

    let error = reconcile_cluster(&cluster, &context).await.unwrap_err();

    assert_eq!(error.to_string(), "failed to apply");
    assert_eq!(
        server.writes(),
        Vec::<String>::new(),
        "nothing after the lost vote"
    );
}

#[tokio::test]
async fn what_is_switched_off_goes_and_nothing_of_somebody_elses() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    server.writes();
    cluster.spec.network_policy.enabled = false;
    cluster.spec.pod_disruption_budget.enabled = false;
    cluster.spec.monitoring.service_monitor.enabled = false;

    reconcile(&server, &mut cluster, &context).await;

    let deletes = |server: &ApiServer| {
        let mut writes = server.writes();
        writes.retain(|write| write.starts_with("DELETE"));
        writes
    };
    let optional = [NETWORK_POLICY, DISRUPTION_BUDGET, SERVICE_MONITOR];
    assert_eq!(
        deletes(&server),
        optional.map(|path| format!("DELETE {path}"))
    );
    assert_eq!(condition(&server, "MonitoringReady")["reason"], "Disabled");

    let theirs = json!({ "metadata": { "name": "demo", "uid": "theirs" } });
    for path in optional {
        assert_eq!(server.object(path), None);
        server.put(path, theirs.clone());
    }
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deletes(&server), Vec::<String>::new());
    assert!(optional.iter().all(|path| server.object(path).is_some()));
    assert!(
        !has_condition(&server, "Stalled"),
        "a name that is not wanted cannot be taken"
    );
}

#[tokio::test]
async fn nothing_is_remembered_of_a_cluster_that_goes() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(context.remembered(), 1);
    let mut going = cluster.clone();
    going.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();

    reconcile_cluster(&going, &context).await.unwrap();

    assert_eq!(context.remembered(), 0);
}

#[tokio::test]
async fn an_operator_that_stops_anywhere_is_continued_by_the_next() {
    let (server, context) = ApiServer::start();
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    let all_writes = server.writes();
    for lost in &all_writes {
        let (server, context) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        let (method, path) = lost.split_once(' ').unwrap();
        server.refuse(
            method.parse().unwrap(),
            path,
            StatusCode::INTERNAL_SERVER_ERROR,
        );
        reconcile_cluster(&cluster, &context).await.unwrap_err();
        let salt = server.object(&format!("{CORE}/secrets/demo-salt"));

        reconcile(&server, &mut cluster, &context).await;

        assert!(server.object(STATEFUL_SET).is_some(), "after {lost}");
        if salt.is_some() {
            assert_eq!(server.object(&format!("{CORE}/secrets/demo-salt")), salt);
        }
    }
}

#[tokio::test]
async fn secrets_that_outlived_their_resource_are_used_again() {
    let (server, context) = ApiServer::start();
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    // The resource is deleted; everything with an owner goes, Secrets and volumes stay.
    let kept = ["demo-api-key", "demo-cluster-key", "demo-node-ca"]
        .map(|secret| format!("{CORE}/secrets/{secret}"));
    let read = |path: &String| server.object(path).unwrap();
    let before = kept.each_ref().map(read);
    let map = format!("{CORE}/configmaps/demo-ca");
    let roots = read(&map)["data"].clone();
    assert!(roots["node-ca.crt"].is_string() && roots["ca.crt"].is_string());
    for child in [
        "serviceaccounts/demo",
        "configmaps/demo-nodes",
        "configmaps/demo-ca",
        "configmaps/demo-template",
        "secrets/demo-node-tls",
        "services/demo-nodes",
        "services/demo",
    ] {
        server.remove(&format!("{CORE}/{child}"));
    }
    for child in [
        NETWORK_POLICY,
        DISRUPTION_BUDGET,
        SERVICE_MONITOR,
        STATEFUL_SET,
        STATUS,
    ] {
        server.remove(child);
    }
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({ "metadata": { "name": "data-demo-0" } }),
    );
    let mut again = resource(ONE_NODE);
    again.metadata.uid = Some("0f4e9b1c-0000-4000-8000-000000000002".to_owned());

    reconcile(&server, &mut again, &context).await;

    assert_eq!(kept.each_ref().map(read), before);
    assert_eq!(read(&map)["data"], roots, "no workload needs another file");
    assert!(server.object(STATEFUL_SET).is_some());
    assert_eq!(
        condition(&server, "Ready")["status"],
        "False",
        "no pod serves yet"
    );
}

#[tokio::test]
async fn each_child_and_each_change_of_readiness_has_an_event_of_its_own() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.metadata.resource_version = Some("1".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    let told = |note: &str| server.notes().iter().any(|told| told == note);
    let begins = |words: &str| server.notes().iter().any(|told| told.starts_with(words));
    for child in [
        "Secret demo-salt",
        "Secret demo-api-key",
        "Service demo",
        "Service demo-nodes",
        "StatefulSet demo",
    ] {
        assert!(told(&format!("created {child}")), "{:#?}", server.notes());
    }
    assert!(begins("0 of 1 nodes serve; "), "{:#?}", server.notes());

    // Later the operator reports it again, for another number of nodes.
    cluster.metadata.resource_version = Some("2".to_owned());
    cluster.spec.replicas = 3;
    cluster.status = None;
    reconcile(&server, &mut cluster, &context).await;

    assert!(begins("0 of 3 nodes serve; "), "{:#?}", server.notes());
}
