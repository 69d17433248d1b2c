//! Reconciles against an API server in memory: in which order things are written, and what is never written.

use http::{Method, StatusCode};
use opensecureconf_operator::cluster::{
    reconcile::{Context, reconcile_cluster},
    resource::{ClusterStatus, OpenSecureConfCluster},
};
use serde_json::{Value, json};

use crate::{ONE_NODE, api_server::ApiServer, resource};

const CORE: &str = "/api/v1/namespaces/team";
const STATUS: &str =
    "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/demo/status";
const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/team/statefulsets/demo";
const NETWORK_POLICY: &str = "/apis/networking.k8s.io/v1/namespaces/team/networkpolicies/demo";
const DISRUPTION_BUDGET: &str = "/apis/policy/v1/namespaces/team/poddisruptionbudgets/demo";
const SERVICE_MONITOR: &str = "/apis/monitoring.coreos.com/v1/namespaces/team/servicemonitors/demo";

/// Reconciles once; the resource gets the status that was written, as a watch would bring it.
async fn reconcile(server: &ApiServer, cluster: &mut OpenSecureConfCluster, context: &Context) {
    reconcile_cluster(cluster, context).await.unwrap();
    cluster.status = server
        .object(STATUS)
        .map(|object| serde_json::from_value::<ClusterStatus>(object["status"].clone()).unwrap());
}

fn condition(server: &ApiServer, type_: &str) -> Value {
    let status = server.object(STATUS).unwrap();
    status["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == type_)
        .unwrap_or_else(|| panic!("no condition {type_} in {status}"))
        .clone()
}

#[tokio::test]
async fn secrets_come_first_the_salt_before_all_and_pods_last() {
    let (server, context) = ApiServer::start();
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    assert_eq!(
        server.writes(),
        [
            format!("POST {CORE}/secrets/demo-salt"),
            format!("POST {CORE}/secrets/demo-api-key"),
            format!("POST {CORE}/secrets/demo-cluster-key"),
            format!("PATCH {CORE}/serviceaccounts/demo"),
            format!("PATCH {CORE}/configmaps/demo-nodes"),
            format!("PATCH {CORE}/services/demo-nodes"),
            format!("PATCH {CORE}/services/demo"),
            format!("PATCH {NETWORK_POLICY}"),
            format!("PATCH {DISRUPTION_BUDGET}"),
            format!("PATCH {SERVICE_MONITOR}"),
            format!("PATCH {STATEFUL_SET}"),
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
    // The other one was faster between our look and our create.
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
async fn a_lost_salt_is_never_replaced_while_volumes_exist() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({ "metadata": { "name": "data-demo-0" } }),
    );
    server.remove(&format!("{CORE}/secrets/demo-salt"));
    server.writes();

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(
        server.writes(),
        [format!("PATCH {STATUS}")],
        "only the status"
    );
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["status"], "True");
    assert_eq!(stalled["reason"], "SaltMissing");
    assert!(
        stalled["message"]
            .as_str()
            .unwrap()
            .contains("Restore the Secret"),
        "{stalled}"
    );
}

#[tokio::test]
async fn somebody_elses_object_is_left_alone() {
    let (server, context) = ApiServer::start();
    let theirs = json!({ "metadata": { "name": "demo", "labels": { "app": "another" } } });
    server.put(STATEFUL_SET, theirs.clone());

    reconcile(&server, &mut resource(ONE_NODE), &context).await;

    assert_eq!(
        server.writes(),
        [format!("PATCH {STATUS}")],
        "only the status"
    );
    assert_eq!(server.object(STATEFUL_SET), Some(theirs));
    assert_eq!(condition(&server, "Stalled")["reason"], "NameTaken");
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
    let secret = format!("{CORE}/secrets/demo-api-key");
    let key = server.object(&secret).unwrap();
    for child in [
        "serviceaccounts/demo",
        "configmaps/demo-nodes",
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

    assert_eq!(server.object(&secret), Some(key));
    assert!(server.object(STATEFUL_SET).is_some());
    assert_eq!(
        condition(&server, "Ready")["status"],
        "False",
        "no pod serves yet"
    );
}
