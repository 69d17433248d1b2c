//! Pods that Kubernetes refuses to make: only events of their StatefulSet report it.

use serde_json::json;

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, condition, reconcile},
    resource,
};

/// Adds the event of a quota that refuses the pod of a StatefulSet.
fn refuse_pod(server: &ApiServer, stateful_set: &str) {
    let path = format!("/apis/events.k8s.io/v1/namespaces/team/events/{stateful_set}");
    let note = format!(
        "create Pod {stateful_set}-0 in StatefulSet {stateful_set} failed error: pods \"{stateful_set}-0\" is forbidden: exceeded \
         quota: few, requested: pods=1, used: pods=3, limited: pods=3"
    );
    server.put(
        &path,
        json!({ "metadata": { "name": stateful_set }, "reason": "FailedCreate", "note": note, "eventTime": null,
                "deprecatedLastTimestamp": "2026-01-01T00:00:00Z",
                "regarding": { "kind": "StatefulSet", "name": stateful_set } }),
    );
}

#[tokio::test]
async fn who_refuses_a_pod_is_named_until_it_is_there() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    refuse_pod(&server, "demo");

    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert_eq!(
        ready["message"],
        "0 of 1 nodes serve; pod demo-0: FailedCreate: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3"
    );

    server.put(
        &format!("{CORE}/pods/demo-0"),
        json!({ "metadata": { "name": "demo-0" } }),
    );
    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert!(
        !ready["message"].as_str().unwrap().contains("quota"),
        "{ready}"
    );
}

#[tokio::test]
async fn an_operator_that_may_not_read_events_goes_on() {
    let (server, context) = ApiServer::start();
    server.deny("list", "events");
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    refuse_pod(&server, "demo");

    reconcile(&server, &mut cluster, &context).await;

    let ready = condition(&server, "Ready");
    assert_eq!(ready["reason"], "NodesNotReady");
    // Where it may not read them, a person may.
    let words =
        "0 of 1 nodes serve; no pod is there yet: `kubectl describe statefulset demo -n team`";
    let message = ready["message"].as_str().unwrap();
    assert!(message.starts_with(words), "{message}");
}
