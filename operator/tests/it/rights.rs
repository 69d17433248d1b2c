//! The operator lacks a right that it needs: each right is taken away once, with the API server's review, and with refusals
//! alone.

use std::time::Duration;

use kube::runtime::controller::Action;
use opensecureconf_operator::{
    cluster::reconcile::reconcile_cluster,
    rights::{Need, RIGHTS, Scope},
};
use serde_json::json;

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, STATUS, condition, reconcile},
    resource, volumes,
    warnings::Warnings,
};

const MINUTE: Duration = Duration::from_mins(1);

/// Verb, resource and name for people of every right that is needed where clusters are.
fn rights(need: Need) -> Vec<(&'static str, &'static str, String)> {
    RIGHTS
        .iter()
        .filter(|right| right.scope == Scope::Clusters && right.need == need)
        .flat_map(|right| {
            right.rule.resources.iter().flat_map(|resource| {
                let full = match (right.rule.group, resource.split_once('/')) {
                    ("", _) => (*resource).to_owned(),
                    (group, None) => format!("{resource}.{group}"),
                    (group, Some((kind, part))) => format!("{kind}.{group}/{part}"),
                };
                right
                    .rule
                    .verbs
                    .iter()
                    .map(move |verb| (*verb, *resource, full.clone()))
            })
        })
        .collect()
}

#[tokio::test]
async fn each_required_right_that_is_missing_stops_the_cluster_and_is_named() {
    for (verb, resource_name, full) in rights(Need::Required) {
        let (server, context) = ApiServer::start();
        server.deny(verb, resource_name);
        let cluster = resource(ONE_NODE);

        let next = reconcile_cluster(&cluster, &context).await.unwrap();

        assert_eq!(next, Action::requeue(MINUTE), "{verb} {full}");
        let named = format!("{verb} {full}");
        if named == "patch opensecureconfclusters.opensecureconf.io/status" {
            // No condition can report it.
            assert_eq!(server.writes(), Vec::<String>::new());
            let notes = server.notes().join("\n");
            assert!(notes.contains("cannot patch resource"), "{notes}");
            continue;
        }
        assert_eq!(server.writes(), [format!("PATCH {STATUS}")], "{named}");
        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "RightsMissing", "{named}");
        let message = stalled["message"].as_str().unwrap();
        assert!(
            message.contains(&named) && message.contains("namespace team"),
            "{message}"
        );
        assert!(
            context
                .metrics()
                .page()
                .unwrap()
                .contains("osc_operator_missing_rights{namespace=\"team\",need=\"required\"} 1")
        );
    }
}

#[tokio::test]
async fn where_rights_cannot_be_reviewed_a_refusal_decides() {
    let used = [
        ("get", "secrets"),
        ("create", "secrets"),
        ("patch", "secrets"),
        ("get", "statefulsets"),
        ("patch", "statefulsets"),
        ("get", "services"),
        ("patch", "services"),
        ("patch", "configmaps"),
        ("patch", "serviceaccounts"),
        ("list", "persistentvolumeclaims"),
        ("list", "pods"),
        ("patch", "networkpolicies"),
        ("patch", "poddisruptionbudgets"),
    ];
    for (verb, kind) in used {
        let (server, context) = ApiServer::start();
        server.refuse_reviews();
        let mut cluster = resource(ONE_NODE);
        if (verb, kind) == ("patch", "secrets") {
            // Its certificates have ended long ago: they are renewed.
            reconcile(&server, &mut cluster, &context).await;
            let path = format!("{CORE}/secrets/demo-node-tls");
            let mut secret = server.object(&path).unwrap();
            secret["data"] = json!({});
            server.put(&path, secret);
        }
        server.deny(verb, kind);

        let next = reconcile_cluster(&cluster, &context).await.unwrap();

        assert_eq!(next, Action::requeue(MINUTE), "{verb} {kind}");
        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "RightsMissing", "{verb} {kind}");
        let message = stalled["message"].as_str().unwrap();
        let words = format!("cannot {verb} resource \"{kind}\"");
        assert!(message.contains(&words), "{message}");
        assert!(
            context
                .metrics()
                .page()
                .unwrap()
                .contains("osc_operator_missing_rights{namespace=\"team\",need=\"required\"} 1")
        );

        server.allow_all();
        reconcile(&server, &mut cluster, &context).await;
        assert!(server.object(STATEFUL_SET).is_some(), "{verb} {kind}");
        assert!(
            !context
                .metrics()
                .page()
                .unwrap()
                .contains("need=\"required\"} 1")
        );
    }
}

#[tokio::test]
async fn a_status_that_may_not_be_written_is_told_by_an_event_and_ends_nothing() {
    let (server, context) = ApiServer::start();
    server.refuse_reviews();
    server.deny("patch", "opensecureconfclusters/status");

    let next = reconcile_cluster(&resource(ONE_NODE), &context)
        .await
        .unwrap();

    assert_eq!(next, Action::requeue(MINUTE));
    let notes = server.notes().join("\n");
    assert!(
        notes.contains("cannot patch resource \"opensecureconfclusters/status\""),
        "{notes}"
    );
}

#[tokio::test]
async fn rights_are_reviewed_once_for_a_namespace() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }
    assert_eq!(server.reviews(), 1);
}

#[tokio::test]
async fn a_right_that_is_taken_away_later_is_noticed_by_its_refusal_and_then_reviewed() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    server.deny("patch", "services");
    cluster.spec.service.annotations = [("a".to_owned(), "b".to_owned())].into();
    reconcile(&server, &mut cluster, &context).await;
    let told = condition(&server, "Stalled")["message"].clone();
    assert!(
        told.as_str().unwrap().contains("cannot patch resource"),
        "{told}"
    );

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(server.reviews(), 2);
    let told = condition(&server, "Stalled")["message"].clone();
    assert!(told.as_str().unwrap().contains("patch services"), "{told}");
}

#[tokio::test]
async fn an_optional_right_that_is_missed_again_and_again_is_logged_once_until_it_is_back() {
    let (server, context, mut cluster) = volumes::three_nodes(|_| {}).await;
    let warnings = Warnings::listen();
    server.deny("patch", "persistentvolumeclaims");
    "2Gi".clone_into(&mut cluster.spec.storage.size);
    for _ in 0..4 {
        reconcile(&server, &mut cluster, &context).await;
        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "VolumeGrowthForbidden");
    }
    let told = |count| {
        let found = warnings.count("optional_rights_missing");
        assert_eq!(found, count, "{}", warnings.text());
    };
    told(1);

    server.allow_all();
    reconcile(&server, &mut cluster, &context).await;
    "3Gi".clone_into(&mut cluster.spec.storage.size);
    server.deny("patch", "persistentvolumeclaims");
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }
    told(2);
}

#[tokio::test]
async fn without_any_optional_right_everything_else_goes_on() {
    for reviewed in [true, false] {
        let (server, context) = ApiServer::start();
        if !reviewed {
            server.refuse_reviews();
        }
        for (verb, kind, _) in rights(Need::Optional) {
            server.deny(verb, kind);
        }
        let mut cluster = resource(&format!(
            "{ONE_NODE}\n  tls:\n    mode: Issuer\n    issuerRef: {{ name: x }}\n"
        ));

        reconcile(&server, &mut cluster, &context).await;

        assert!(server.object(STATEFUL_SET).is_some());
        let monitoring = condition(&server, "MonitoringReady");
        assert_eq!(monitoring["reason"], "ServiceMonitorForbidden");
        let tls = condition(&server, "TlsReady");
        assert_eq!(tls["reason"], "CertificateForbidden");
        assert_eq!(server.notes(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_service_monitor_that_may_be_read_and_not_written_is_said_to_be_forbidden() {
    let (server, context) = ApiServer::start();
    server.deny("patch", "servicemonitors");

    reconcile(&server, &mut resource(ONE_NODE), &context).await;

    assert!(server.object(STATEFUL_SET).is_some());
    let monitoring = condition(&server, "MonitoringReady");
    assert_eq!(monitoring["reason"], "ServiceMonitorForbidden");
    assert!(
        monitoring["message"]
            .as_str()
            .unwrap()
            .contains("cannot patch"),
        "{monitoring}"
    );
}

#[tokio::test]
async fn a_storage_class_that_does_not_exist_is_told_from_one_that_cannot_be_looked_at() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({
            "metadata": { "name": "data-demo-0" }, "spec": { "storageClassName": "fast" }, "status": { "phase": "Pending" },
        }),
    );
    let scheduled = json!({ "metadata": { "name": "demo-0" }, "status": {} });
    server.put(&format!("{CORE}/pods/demo-0"), scheduled);
    let class = "/apis/storage.k8s.io/v1/storageclasses/fast";

    reconcile(&server, &mut cluster, &context).await;
    assert_ready_says(&server, "StorageClass 'fast', which does not exist");

    server.put(class, json!({ "metadata": { "name": "fast" } }));
    reconcile(&server, &mut cluster, &context).await;
    assert_ready_says(&server, "kubectl describe pvc data-demo-0");

    server.deny("get", "storageclasses");
    reconcile(&server, &mut cluster, &context).await;
    assert_ready_says(&server, "if there is none of that name");
}

#[track_caller]
fn assert_ready_says(server: &ApiServer, words: &str) {
    let ready = condition(server, "Ready")["message"].clone();
    assert!(ready.as_str().unwrap().contains(words), "{ready}");
}
