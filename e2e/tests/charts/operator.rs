//! The operator's chart beside `manifests/install.yaml`.

use std::fs;

use serde_json::{Value, json};

use crate::helm::{
    OPERATOR, chart, documents, identity, is_hook, one, sorted, takes_null, template, top,
};

fn render(values: &Value) -> Vec<Value> {
    template(&chart("opensecureconf-operator"), OPERATOR, values).unwrap()
}

fn refused(values: &Value) -> String {
    template(&chart("opensecureconf-operator"), OPERATOR, values).unwrap_err()
}

fn manifest(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(top().join("manifests").join(name)).unwrap();
    documents(&text)
}

/// The document without the marks that Helm, or another tool, adds about itself.
fn bare(mut document: Value) -> Value {
    let own = |name: &str| name.starts_with("helm.sh/") || name == "app.kubernetes.io/managed-by";
    for field in ["labels", "annotations"] {
        let metadata = document["metadata"].as_object_mut().unwrap();
        if let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) {
            map.retain(|name, _| !own(name));
            if map.is_empty() {
                metadata.remove(field);
            }
        }
    }
    document
}

fn container(documents: &[Value]) -> &Value {
    &one(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn it_renders_what_the_manifest_has() {
    renders(&json!({}), "install.yaml");
}

#[test]
fn it_renders_what_the_manifest_for_platforms_has() {
    renders(
        &json!({ "podSecurity": "Platform" }),
        "install-platform.yaml",
    );
}

fn renders(values: &Value, name: &str) {
    let wanted: Vec<_> = manifest(name)
        .into_iter()
        .filter(|document| document["kind"] != "Namespace")
        .map(bare)
        .collect();
    let rendered: Vec<_> = render(values)
        .into_iter()
        .filter(|document| !is_hook(document))
        .map(bare)
        .collect();
    let (wanted, rendered) = (sorted(&wanted), sorted(&rendered));
    let names = |documents: &[Value]| documents.iter().map(identity).collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&wanted));
    for (rendered, wanted) in rendered.iter().zip(&wanted) {
        assert_eq!(rendered, wanted, "{:?}", identity(wanted));
    }
}

#[test]
fn the_definition_outlives_the_release_unless_told_otherwise() {
    let annotations = |values: &Value| {
        one(&render(values), "CustomResourceDefinition")["metadata"]["annotations"].clone()
    };
    assert_eq!(
        annotations(&json!({})),
        json!({
            "argocd.argoproj.io/sync-options": "Prune=false",
            "helm.sh/resource-policy": "keep",
        })
    );
    assert_eq!(
        annotations(&json!({ "crds": { "keep": false } })),
        Value::Null
    );
    let without = render(&json!({ "crds": { "install": false } }));
    assert!(
        without
            .iter()
            .all(|document| document["kind"] != "CustomResourceDefinition")
    );
}

#[test]
fn namespaces_that_are_named_get_the_same_rights_and_nothing_else_is_granted() {
    // One of them is the operator's own namespace.
    let namespaces = ["team-a", "opensecureconf-system"];
    let rendered = render(&json!({ "watchNamespaces": namespaces }));
    // A role without a binding grants nothing.
    assert!(
        rendered
            .iter()
            .all(|document| document["kind"] != "ClusterRoleBinding")
    );
    let roles = cluster_roles(&rendered);
    assert_eq!(
        roles,
        [
            "opensecureconf-operator-edit",
            "opensecureconf-operator-view"
        ]
    );
    let generated = chart("opensecureconf-operator").join("files/operator.yaml");
    let generated = &documents(&fs::read_to_string(generated).unwrap())[0];
    let rules = generated["rules"].clone();
    for namespace in namespaces {
        let named = |kind: &str| {
            let wanted = (
                kind.to_owned(),
                namespace.to_owned(),
                "opensecureconf-operator-clusters".to_owned(),
            );
            rendered
                .iter()
                .find(|document| identity(document) == wanted)
                .unwrap_or_else(|| panic!("no {wanted:?}"))
        };
        assert_eq!(named("Role")["rules"], rules);
        let binding = named("RoleBinding");
        assert_eq!(binding["subjects"][0]["namespace"], OPERATOR.1);
        assert_eq!(
            binding["roleRef"]["name"],
            named("Role")["metadata"]["name"]
        );
    }
    let args = container(&rendered)["args"].as_array().unwrap().clone();
    assert!(args.contains(&json!("--namespace=team-a")), "{args:?}");
    assert!(args.contains(&json!("--namespace=opensecureconf-system")));
}

#[test]
fn a_release_may_write_its_own_lease_and_no_other() {
    let release = ("second", "shared");
    let rendered = template(&chart("opensecureconf-operator"), release, &json!({})).unwrap();
    let lease = one(&rendered, "Lease")["metadata"]["name"].clone();
    assert_eq!(lease, "second-opensecureconf-operator");
    let writes = |rule: &&Value| {
        let verbs = rule["verbs"].as_array().unwrap();
        verbs.iter().any(|verb| verb != "get" && verb != "create")
    };
    let rules = one(&rendered, "Role")["rules"].as_array().unwrap().clone();
    let written: Vec<_> = rules.iter().filter(writes).collect();
    let own = json!({
        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"], "resourceNames": [lease],
    });
    assert_eq!(written, [&own]);
}

#[test]
fn namespaces_are_left_to_another_operator_by_its_arguments_alone() {
    let mut rendered = render(&json!({ "excludeNamespaces": ["team-a", "team-b"] }));
    let args = container(&rendered)["args"].as_array().unwrap().clone();
    let (own, left) = args.split_at(args.len() - 2);
    let excluded = [
        json!("--exclude-namespace=team-a"),
        json!("--exclude-namespace=team-b"),
    ];
    assert_eq!(left, excluded);
    let usual = render(&json!({}));
    assert_eq!(container(&usual)["args"].as_array().unwrap(), own);
    // The rights are the same as for all namespaces.
    let deployment = |document: &Value| document["kind"] == "Deployment";
    rendered.retain(|document| !deployment(document));
    let others: Vec<_> = usual.iter().filter(|&it| !deployment(it)).collect();
    assert_eq!(rendered.iter().collect::<Vec<_>>(), others);
}

fn cluster_roles(rendered: &[Value]) -> Vec<String> {
    let roles = rendered
        .iter()
        .filter(|document| document["kind"] == "ClusterRole");
    let mut names: Vec<_> = roles.map(|role| identity(role).2).collect();
    names.sort();
    names
}

#[test]
fn roles_of_people_come_with_the_definition_unless_told_otherwise() {
    for values in [
        json!({ "rbac": { "aggregate": false } }),
        json!({ "crds": { "install": false } }),
    ] {
        assert_eq!(cluster_roles(&render(&values)), ["opensecureconf-operator"]);
    }
}

#[test]
fn rights_and_identity_may_come_from_elsewhere() {
    let rendered = render(&json!({
        "rbac": { "create": false }, "serviceAccount": { "create": false, "name": "theirs" },
    }));
    for document in &rendered {
        let kind = document["kind"].as_str().unwrap();
        assert!(!kind.contains("Role") && kind != "ServiceAccount", "{kind}");
    }
    let pod = &one(&rendered, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "theirs");
}

#[test]
fn images_come_by_digest_from_a_registry_with_secrets() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let rendered = render(&json!({
        "image": { "repository": "registry.example/operator", "digest": digest, "pullPolicy": "Always" },
        "nodeImage": { "repository": "registry.example/node", "tag": "1.2.3" },
        "imagePullSecrets": [{ "name": "own" }],
        "global": { "imagePullSecrets": [{ "name": "parents" }] },
    }));
    let image = format!("registry.example/operator@{digest}");
    assert_eq!(container(&rendered)["image"], image);
    assert_eq!(container(&rendered)["imagePullPolicy"], "Always");
    let args = container(&rendered)["args"].as_array().unwrap();
    assert!(args.contains(&json!("--node-image=registry.example/node:1.2.3")));
    let pod = &one(&rendered, "Deployment")["spec"]["template"]["spec"];
    let secrets = json!([{ "name": "own" }, { "name": "parents" }]);
    assert_eq!(pod["imagePullSecrets"], secrets);
    let test = rendered.iter().find(|document| is_hook(document)).unwrap();
    assert_eq!(test["spec"]["containers"][0]["image"], image);
    assert_eq!(test["spec"]["imagePullSecrets"], secrets);
}

#[test]
fn on_a_platform_that_assigns_users_no_pod_names_one() {
    let rendered = render(&json!({ "podSecurity": "Platform" }));
    let text = serde_json::to_string(&rendered).unwrap();
    assert!(!text.contains("runAsUser") && !text.contains("runAsGroup"));
    assert!(text.contains("runAsNonRoot"));
}

#[test]
fn whatever_yaml_reads_otherwise_stays_text() {
    let odd = json!({ "a": true, "b": 1, "c": "2026-01-01", "d": "on", "e": 0.5, "f": 1_000_000 });
    let values = json!({
        "commonLabels": odd, "commonAnnotations": odd, "podLabels": odd, "podAnnotations": odd, "nodeSelector": odd,
        "resources": { "requests": { "cpu": 0.5, "memory": 67_108_864 }, "limits": null },
        "serviceAccount": { "annotations": odd },
        "serviceMonitor": { "enabled": true, "labels": odd }, "prometheusRule": { "enabled": true, "labels": odd },
        "dashboard": { "enabled": true, "labels": odd, "annotations": odd },
    });
    // `template` itself checks every map of strings, and names.
    for release in ["true", "1234", "null", "1e3"] {
        let rendered =
            template(&chart("opensecureconf-operator"), (release, "123"), &values).unwrap();
        let pod = &one(&rendered, "Deployment")["spec"]["template"];
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({ "requests": { "cpu": "0.5", "memory": "67108864" } })
        );
        assert_eq!(pod["spec"]["nodeSelector"]["f"], "1000000");
        assert_eq!(pod["metadata"]["labels"]["a"], "true");
    }
}

#[test]
fn no_value_takes_the_labels_that_pods_are_selected_by() {
    let taken = json!({ "app.kubernetes.io/name": "other", "app.kubernetes.io/instance": "other" });
    let rendered = render(&json!({
        "commonLabels": taken, "podLabels": taken, "fullnameOverride": "other",
        "topologySpreadConstraints": [],
    }));
    let deployment = one(&rendered, "Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "opensecureconf-operator");
    assert_eq!(deployment["metadata"]["name"], "other");
    for (name, value) in deployment["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        assert_eq!(labels[name], *value);
    }
}

#[test]
fn alerts_and_dashboard_are_those_of_the_repository() {
    let rendered = render(&json!({
        "serviceMonitor": { "enabled": true, "interval": "1m", "scrapeTimeout": "10s", "labels": { "release": "prometheus" } },
        "prometheusRule": { "enabled": true }, "dashboard": { "enabled": true },
    }));
    let monitoring =
        |file: &str| fs::read_to_string(top().join("manifests/monitoring").join(file)).unwrap();
    let rules: Vec<_> = rendered
        .iter()
        .filter(|document| document["kind"] == "PrometheusRule")
        .map(|document| (&document["metadata"]["name"], &document["spec"]))
        .collect();
    let wanted = ["alerts.yaml", "operator/alerts.yaml"]
        .map(|file| documents(&monitoring(file)).remove(0)["spec"].clone());
    assert_eq!(
        rules,
        [
            (&json!("opensecureconf-operator-nodes"), &wanted[0]),
            (&json!("opensecureconf-operator"), &wanted[1]),
        ]
    );
    let config_map = one(&rendered, "ConfigMap");
    assert_eq!(config_map["metadata"]["labels"]["grafana_dashboard"], "1");
    for (entry, file) in [
        ("opensecureconf-nodes.json", "dashboard.json"),
        ("opensecureconf-operator.json", "operator/dashboard.json"),
    ] {
        let text = config_map["data"][entry].as_str().unwrap();
        let shown: Value = serde_json::from_str(text).unwrap();
        let wanted: Value = serde_json::from_str(&monitoring(file)).unwrap();
        assert_eq!(shown, wanted, "{file}");
    }

    let monitor = one(&rendered, "ServiceMonitor");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(monitor["spec"]["endpoints"][0]["scrapeTimeout"], "10s");
    let service = &one(&rendered, "Service")["metadata"]["labels"];
    for (name, value) in monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        assert_eq!(service[name], *value);
    }
}

#[test]
fn the_manifest_lets_the_operator_be_scraped_as_the_chart_does() {
    let rendered = render(&json!({ "serviceMonitor": { "enabled": true } }));
    let manifest = manifest("monitoring/operator/service-monitor.yaml");
    for kind in ["Service", "ServiceMonitor"] {
        let (rendered, wanted) = (one(&rendered, kind), one(&manifest, kind));
        assert_eq!(identity(rendered), identity(wanted));
        assert_eq!(rendered["spec"], wanted["spec"], "{kind}");
    }
}

#[test]
fn pods_are_placed_as_the_values_say() {
    let rendered = render(&json!({
        "replicas": 3,
        "tolerations": [{ "key": "k", "operator": "Exists" }],
        "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "kubernetes.io/hostname", "labelSelector": {} } ] } },
        "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {} }],
        "priorityClassName": "system-cluster-critical",
        "clusterDomain": "cluster.example", "maxConcurrentRollouts": 3, "answerTimeout": "1h30m", "extraArgs": ["--extra"], "extraEnv": [{ "name": "A", "value": "1" }],
        "podSecurityContext": { "fsGroup": 1 }, "securityContext": { "procMount": "Default" },
    }));
    let deployment = one(&rendered, "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(pod["tolerations"][0]["key"], "k");
    // An empty selector means every pod: it stays.
    let term =
        &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(term["labelSelector"], json!({}));
    assert_eq!(pod["topologySpreadConstraints"][0]["topologyKey"], "zone");
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["securityContext"]["fsGroup"], 1);
    assert_eq!(pod["securityContext"]["runAsUser"], 65532);
    let container = container(&rendered);
    let args = container["args"].as_array().unwrap();
    assert!(args.ends_with(&[json!("--cluster-domain=cluster.example"), json!("--extra")]));
    assert!(args.contains(&json!("--max-concurrent-rollouts=3")));
    assert!(args.contains(&json!("--answer-timeout=1h30m")));
    assert_eq!(
        container["env"].as_array().unwrap().last().unwrap()["name"],
        "A"
    );
    assert_eq!(container["securityContext"]["procMount"], "Default");
}

#[test]
fn two_releases_in_one_namespace_share_no_object() {
    let second = template(
        &chart("opensecureconf-operator"),
        ("second", OPERATOR.1),
        &json!({ "crds": { "install": false } }),
    )
    .unwrap();
    let first: Vec<_> = render(&json!({})).iter().map(identity).collect();
    for document in &second {
        assert!(!first.contains(&identity(document)), "{document}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (values, word) in [
        (json!({ "replica": 2 }), "replica"),
        (json!({ "replicas": 0 }), "replicas"),
        (json!({ "image": { "digest": "latest" } }), "digest"),
        (json!({ "watchNamespaces": "team" }), "watchNamespaces"),
        (json!({ "podSecurity": "None" }), "podSecurity"),
        (json!({ "commonLabels": { "a": ["b"] } }), "commonLabels"),
        (json!({ "fullnameOverride": "Abc" }), "fullnameOverride"),
        (json!({ "fullnameOverride": "a/b" }), "fullnameOverride"),
        (json!({ "priorityClassName": "a b" }), "priorityClassName"),
        (
            json!({ "serviceAccount": { "name": "a/../b" } }),
            "serviceAccount",
        ),
        (
            json!({ "imagePullSecrets": [{ "name": "" }] }),
            "imagePullSecrets",
        ),
        (
            json!({ "watchNamespaces": ["a"], "excludeNamespaces": ["b"] }),
            "/excludeNamespaces",
        ),
    ] {
        let words = refused(&values);
        assert!(words.contains(word), "{values}: {words}");
    }
}

#[test]
fn a_value_that_is_taken_away_is_done_without_or_asked_for_by_its_name() {
    let enabled = json!({ "enabled": true });
    let with = json!({ "admissionPolicy": enabled, "serviceMonitor": enabled, "prometheusRule": enabled, "dashboard": enabled });
    takes_null(&chart("opensecureconf-operator"), OPERATOR, &with);
}
