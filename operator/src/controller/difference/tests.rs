use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::json;

use super::*;

fn paths(found: &[FieldPath]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

fn differ(wanted: &Value, live: &Value) -> Vec<String> {
    paths(&differing(wanted, live))
}

#[test]
fn what_the_api_server_adds_is_no_difference() {
    let wanted = json!({
        "metadata": { "name": "demo", "labels": { "a": "b" }, "annotations": {} },
        "spec": { "replicas": 3, "template": { "spec": { "containers": [
            { "name": "node", "image": "node:1", "ports": [{ "name": "http", "containerPort": 9000 }],
              "resources": { "requests": { "cpu": "0.5", "memory": "1Gi" } } },
        ], "volumes": [{ "name": "tmp", "emptyDir": {} }] } } },
    });
    let live = json!({
        "metadata": { "name": "demo", "uid": "1", "labels": { "a": "b", "other": "label" } },
        "spec": { "replicas": 3, "revisionHistoryLimit": 10, "template": { "spec": { "dnsPolicy": "ClusterFirst", "containers": [
            { "name": "injected", "image": "mesh:1" },
            { "name": "node", "image": "node:1", "imagePullPolicy": "IfNotPresent",
              "ports": [{ "name": "http", "containerPort": 9000, "protocol": "TCP" }],
              "resources": { "requests": { "cpu": "500m", "memory": "1024Mi" } } },
        ], "volumes": [{ "name": "tmp", "emptyDir": {} }] } } },
        "status": { "replicas": 3 },
    });
    assert_eq!(differ(&wanted, &live), Vec::<String>::new());
}

#[test]
fn each_field_that_is_another_one_is_named() {
    let container =
        |image: &str| json!({ "spec": { "containers": [{ "name": "node", "image": image }] } });
    assert_eq!(
        differ(&container("node:1"), &container("node:2")),
        ["spec.containers[node].image"]
    );
    let replicas = |count: i32| json!({ "spec": { "replicas": count } });
    assert_eq!(differ(&replicas(3), &replicas(1)), ["spec.replicas"]);
    assert_eq!(
        differ(&replicas(3), &json!({ "spec": {} })),
        ["spec.replicas"]
    );
    let token = json!({ "spec": { "automountServiceAccountToken": false } });
    assert_eq!(
        differ(&token, &json!({ "spec": {} })),
        ["spec.automountServiceAccountToken"],
        "where nothing is set the default may be another one"
    );
}

#[test]
fn a_list_of_one_owner_is_the_same_only_as_a_whole() {
    let rules = |ports: Value| json!({ "spec": { "ingress": [{ "ports": ports }] } });
    let wanted = rules(json!([{ "port": 9000 }]));
    let defaulted = rules(json!([{ "port": 9000, "protocol": "TCP" }]));
    assert_eq!(differ(&wanted, &defaulted), Vec::<String>::new());
    let opened = rules(json!([{ "port": 9000 }, { "port": 22 }]));
    assert_eq!(differ(&wanted, &opened), ["spec.ingress[0].ports"]);
}

#[test]
fn an_amount_counts_only_where_amounts_stand() {
    let label = |text: &str| json!({ "metadata": { "labels": { "limits": text } } });
    assert_eq!(
        differ(&label("1"), &label("1000m")),
        ["metadata.labels.limits"]
    );
}

fn entry(manager: &str, operation: &str, second: u32, fields: &Value) -> ManagedFieldsEntry {
    serde_json::from_value(json!({
        "manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "time": format!("2026-01-01T00:00:{second:02}Z"), "fieldsV1": fields,
    }))
    .unwrap()
}

#[test]
fn whoever_set_a_field_last_is_named_and_never_ourselves() {
    let image = json!({ "f:spec": { "f:containers": { "k:{\"name\":\"node\"}": { ".": {}, "f:image": {} } } } });
    let entries = [
        entry(FIELD_MANAGER_OF_TESTS, "Apply", 3, &image),
        entry("kubectl-set", "Update", 2, &image),
        entry("kubectl-edit", "Update", 1, &image),
    ];
    let changed = differing(
        &json!({ "spec": { "containers": [{ "name": "node", "image": "a" }] } }),
        &json!({ "spec": { "containers": [{ "name": "node", "image": "b" }] } }),
    );
    assert_eq!(manager_of(&changed[0], &entries), Some("kubectl-set"));
    let other = differing(
        &json!({ "spec": { "replicas": 1 } }),
        &json!({ "spec": { "replicas": 2 } }),
    );
    assert_eq!(manager_of(&other[0], &entries), None);
    assert_eq!(last_manager(&entries), Some("kubectl-set"));
}

const FIELD_MANAGER_OF_TESTS: &str = crate::names::FIELD_MANAGER;

#[test]
fn what_was_applied_once_and_is_wanted_no_more_is_found() {
    let fields = json!({
        "f:metadata": { "f:annotations": { "f:old": {}, "f:kept": {} } },
        "f:spec": { "f:ports": {
            "k:{\"port\":9000,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} },
            "k:{\"port\":9001,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} },
        } },
    });
    let wanted = json!({
        "metadata": { "annotations": { "kept": "1" } },
        "spec": { "ports": [{ "port": 9000 }] },
    });
    let ours = [entry(FIELD_MANAGER_OF_TESTS, "Apply", 1, &fields)];
    assert_eq!(
        paths(&unwanted(&wanted, &ours)),
        ["metadata.annotations.old", "spec.ports[9001,TCP]"]
    );
    let theirs = [entry("kubectl", "Apply", 1, &fields)];
    assert_eq!(unwanted(&wanted, &theirs), []);
}
