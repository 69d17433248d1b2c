//! The notes that the charts print after an installation.

use std::fs;

use serde_json::{Value, json};

use crate::helm::{chart, copy, one, template};

/// Renders the notes as an object: Helm itself renders them only where it reaches a Kubernetes.
const AS_OBJECT: &str = r#"{{ dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" (dict "name" "notes") "data" (dict "notes" (tpl (.Files.Get "notes") .)) | toJson }}"#;

/// The notes of a chart as release `config` in namespace `team`.
fn notes(name: &str, values: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    copy(&chart(name), folder);
    let templates = folder.join("templates");
    fs::rename(templates.join("NOTES.txt"), folder.join("notes")).unwrap();
    fs::write(templates.join("notes.yaml"), AS_OBJECT).unwrap();
    let rendered = template(folder, ("config", "team"), values).unwrap();
    let notes = &one(&rendered, "ConfigMap")["data"]["notes"];
    notes.as_str().unwrap().to_owned()
}

fn operator(values: &Value) -> String {
    notes("opensecureconf-operator", values)
}

fn cluster(values: &Value) -> String {
    notes("opensecureconf-cluster", values)
}

#[test]
fn the_operator_tells_whose_clusters_it_runs() {
    for (values, words) in [
        (json!({}), "runs the clusters of all namespaces."),
        (
            json!({ "watchNamespaces": ["team-a", "team-b"] }),
            "runs the clusters of these namespaces: team-a, team-b.",
        ),
        (
            json!({ "excludeNamespaces": ["team-a", "team-b"] }),
            "runs the clusters of all namespaces but these: team-a, team-b.",
        ),
    ] {
        let told = operator(&values);
        assert!(told.contains(words), "{values}: {told}");
        assert!(told.contains("helm test config --namespace team"), "{told}");
    }
    let told = operator(&json!({ "watchNamespaces": ["team-a"] }));
    assert!(
        told.contains("opensecureconf-cluster --namespace team-a"),
        "{told}"
    );
}

#[test]
fn the_operator_tells_what_becomes_of_the_definition() {
    const ELSEWHERE: &str = "--namespace NAMESPACE --take-ownership";
    const WARNING: &str = "WARNING: crds.keep is false.";
    const OTHERS: &str = "another release's (crds.install is false)";
    for (values, said) in [
        (json!({}), ELSEWHERE),
        (json!({ "crds": { "keep": false } }), WARNING),
        (json!({ "crds": { "install": false } }), OTHERS),
    ] {
        let told = operator(&values);
        for words in [ELSEWHERE, WARNING, OTHERS] {
            assert_eq!(told.contains(words), words == said, "{values}: {told}");
        }
    }
}

#[test]
fn a_cluster_tells_where_it_is_found_and_who_waits_for_it() {
    const HINT: &str = "Helm 3 takes every custom resource for ready";
    let told = cluster(&json!({}));
    for command in [
        "kubectl get osc config --namespace team --watch",
        "helm test config --namespace team",
        "kubectl get osc config --namespace team -o jsonpath=",
    ] {
        assert!(told.contains(command), "{command}: {told}");
    }
    assert!(told.contains(HINT), "{told}");
    let told = cluster(&json!({ "name": "shop", "waitForReady": { "enabled": true } }));
    assert!(
        told.contains("kubectl get osc shop --namespace team"),
        "{told}"
    );
    assert!(!told.contains(HINT), "{told}");
}

#[test]
fn a_cluster_tells_what_uninstalling_deletes() {
    const KEPT: &str = "keeps volumes, salt and keys";
    const DELETED: &str = "WARNING: uninstalling deletes the volumes";
    for (retention, kept) in [
        (None, true),
        (Some("Retain"), true),
        (Some("Delete"), false),
    ] {
        let spec = retention.map_or(
            json!({}),
            |retention| json!({ "storage": { "retention": { "whenDeleted": retention } } }),
        );
        let told = cluster(&json!({ "spec": spec }));
        assert_eq!(told.contains(KEPT), kept, "{retention:?}: {told}");
        assert_eq!(told.contains(DELETED), !kept, "{retention:?}: {told}");
    }
}
