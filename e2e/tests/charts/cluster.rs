//! The chart of one cluster beside the resource.

use std::fs;

use serde_json::{Value, json};

use crate::helm::{chart, documents, identity, is_hook, one, takes_null, template, top};

const RELEASE: (&str, &str) = ("config", "team");

fn render(values: &Value) -> Vec<Value> {
    template(&chart("opensecureconf-cluster"), RELEASE, values).unwrap()
}

fn spec(given: &Value) -> Value {
    one(&render(&json!({ "spec": given })), "OpenSecureConfCluster")["spec"].clone()
}

#[test]
fn without_values_it_is_a_resource_without_fields() {
    let rendered = render(&json!({}));
    let applied: Vec<_> = rendered
        .iter()
        .filter(|document| !is_hook(document))
        .collect();
    assert_eq!(applied.len(), 1);
    assert_eq!(
        identity(applied[0]),
        (
            "OpenSecureConfCluster".to_owned(),
            "team".to_owned(),
            "config".to_owned()
        )
    );
    assert_eq!(applied[0]["spec"], json!({}));
}

#[test]
fn every_field_of_the_resource_can_be_given() {
    let text = fs::read_to_string(top().join("operator/tests/it/everything.yaml")).unwrap();
    let everything = documents(&text)[0]["spec"].clone();
    assert_eq!(spec(&everything), everything);
    let text = fs::read_to_string(top().join("operator/tests/it/everything-shared.yaml")).unwrap();
    let shared = documents(&text)[0]["spec"].clone();
    assert_eq!(spec(&shared), shared);
    let samples = fs::read_dir(top().join("manifests/samples")).unwrap();
    for sample in samples.map(Result::unwrap) {
        let text = fs::read_to_string(sample.path()).unwrap();
        let wanted = documents(&text)[0]["spec"].clone();
        assert_eq!(spec(&wanted), wanted, "{}", sample.path().display());
    }
}

#[test]
fn quantities_become_text() {
    let given = json!({
        "resources": { "requests": { "cpu": 0.5, "memory": 67_108_864 }, "limits": { "cpu": 2 } },
        "storage": { "size": "1Gi" },
    });
    assert_eq!(
        spec(&given)["resources"],
        json!({ "requests": { "cpu": "0.5", "memory": "67108864" }, "limits": { "cpu": "2" } })
    );
}

#[test]
fn empty_maps_are_left_out_where_they_mean_nothing() {
    let given = json!({
        "nodeSelector": {}, "podTemplate": { "annotations": {}, "labels": { "a": "b" } }, "affinity": {},
        "service": { "labels": {} },
        "networkPolicy": { "clients": [{ "podSelector": {} }] },
        "resources": {},
    });
    assert_eq!(
        spec(&given),
        json!({
            "podTemplate": { "labels": { "a": "b" } }, "service": {},
            "networkPolicy": { "clients": [{ "podSelector": {} }] },
            // None at all, which the default is not.
            "resources": {},
        })
    );
}

#[test]
fn names_that_a_cluster_cannot_have_are_refused_with_words_that_help() {
    let chart = chart("opensecureconf-cluster");
    for release in ["1st", "my-nodes", &"a".repeat(41)] {
        let words = template(&chart, (release, "team"), &json!({})).unwrap_err();
        assert!(words.contains("cannot be the name of a cluster"), "{words}");
        let named = template(&chart, (release, "team"), &json!({ "name": "config" })).unwrap();
        let name = &one(&named, "OpenSecureConfCluster")["metadata"]["name"];
        assert_eq!(name, "config");
    }
}

#[test]
fn fields_that_the_resource_does_not_have_are_refused() {
    let chart = chart("opensecureconf-cluster");
    for (values, word) in [
        (json!({ "spec": { "replica": 3 } }), "replica"),
        (json!({ "spec": { "mode": "Anarchy" } }), "mode"),
        (json!({ "spec": { "storage": { "sice": "1Gi" } } }), "sice"),
        (json!({ "replicas": 3 }), "replicas"),
        (json!({ "waitForReady": { "timeout": "soon" } }), "timeout"),
        (json!({ "spec": { "replicas": 0 } }), "replicas"),
        (json!({ "spec": { "replicas": 16 } }), "replicas"),
        (
            json!({ "spec": { "mode": "Shared", "replicas": 51 } }),
            "replicas",
        ),
        (
            json!({ "spec": { "apiKey": { "secretRef": { "name": "x/../y" } } } }),
            "/spec/apiKey/secretRef/name",
        ),
        (
            json!({ "waitForReady": { "imagePullSecrets": [{ "name": "" }] } }),
            "imagePullSecrets",
        ),
    ] {
        let words = template(&chart, RELEASE, &values).unwrap_err();
        assert!(words.contains(word), "{values}: {words}");
    }
}

#[test]
fn what_waits_may_look_at_this_cluster_and_do_nothing_else() {
    let digest = format!("sha256:{}", "0b".repeat(32));
    let rendered = render(&json!({
        "waitForReady": { "enabled": true, "timeout": "90s", "image": { "repository": "registry.example/operator", "digest": digest } },
        "global": { "imagePullSecrets": [{ "name": "parents" }] },
    }));
    let job = rendered
        .iter()
        .find(|document| document["kind"] == "Job")
        .unwrap();
    assert_eq!(
        job["metadata"]["annotations"]["helm.sh/hook"],
        "post-install,post-upgrade,post-rollback"
    );
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        container["image"],
        format!("registry.example/operator@{digest}")
    );
    assert_eq!(
        container["args"],
        json!(["wait", "config", "--namespace", "team", "--timeout", "90s"])
    );
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "parents" }]));
    assert_eq!(pod["serviceAccountName"], "config-ready");
    for role in rendered
        .iter()
        .filter(|document| document["kind"] == "Role")
    {
        let rules = json!([{
            "apiGroups": ["opensecureconf.io"], "resources": ["opensecureconfclusters"], "resourceNames": ["config"], "verbs": ["get"],
        }]);
        assert_eq!(role["rules"], rules);
    }
    // No hook stays behind.
    for document in rendered.iter().filter(|document| is_hook(document)) {
        assert_eq!(
            document["metadata"]["annotations"]["helm.sh/hook-delete-policy"],
            "before-hook-creation,hook-succeeded"
        );
    }
}

#[test]
fn a_value_that_is_taken_away_is_done_without_or_asked_for_by_its_name() {
    let with = json!({ "waitForReady": { "enabled": true } });
    takes_null(&chart("opensecureconf-cluster"), RELEASE, &with);
}
