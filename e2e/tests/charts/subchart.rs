//! Both charts inside another chart, under an alias and a condition.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::helm::{chart, copy, is_hook, one, template};

fn parent(folder: &Path) {
    let dependency = |name: &str, alias: &str| {
        json!({ "name": name, "version": env!("CARGO_PKG_VERSION"), "alias": alias, "condition": format!("{alias}.enabled"),
                "repository": "" })
    };
    let chart_file = json!({
        "apiVersion": "v2", "name": "platform", "version": "1.0.0",
        "dependencies": [dependency("opensecureconf-operator", "secrets"), dependency("opensecureconf-cluster", "store")],
    });
    fs::write(folder.join("Chart.yaml"), chart_file.to_string()).unwrap();
    for name in ["opensecureconf-operator", "opensecureconf-cluster"] {
        copy(&chart(name), &folder.join("charts").join(name));
    }
}

fn render(values: &Value) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    parent(folder.path());
    template(folder.path(), ("platform", "team"), values).unwrap()
}

#[test]
fn both_work_as_subcharts_with_values_of_their_parent() {
    let rendered = render(&json!({
        "global": { "imagePullSecrets": [{ "name": "parents" }], "other": 1 },
        "secrets": { "enabled": true, "replicas": 1 },
        "store": { "enabled": true, "spec": { "replicas": 5 } },
    }));
    let deployment = one(&rendered, "Deployment");
    assert_eq!(
        deployment["metadata"]["name"],
        "platform-opensecureconf-operator"
    );
    assert_eq!(deployment["spec"]["replicas"], 1);
    // The nodes' NetworkPolicies select the operator by this name, whatever the alias.
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "opensecureconf-operator");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "parents" }]));
    let cluster = one(&rendered, "OpenSecureConfCluster");
    assert_eq!(cluster["metadata"]["name"], "platform");
    assert_eq!(cluster["spec"]["replicas"], 5);
}

#[test]
fn a_condition_leaves_one_out() {
    let rendered =
        render(&json!({ "secrets": { "enabled": false }, "store": { "enabled": true } }));
    let applied: Vec<_> = rendered
        .iter()
        .filter(|document| !is_hook(document))
        .map(|document| document["kind"].as_str().unwrap())
        .collect();
    assert_eq!(applied, ["OpenSecureConfCluster"]);
}
