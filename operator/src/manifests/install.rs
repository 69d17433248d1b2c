//! The operator itself as Kubernetes objects.

use serde_json::{Map, Value, json};

use crate::{
    cluster::{
        resource::crd,
        rollout::{ANSWER_TIMEOUT, AT_ONCE},
    },
    duration,
    names::{
        LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, LABEL_VERSION, OPERATOR, OPERATOR_NAMESPACE,
        USER_ID,
    },
    rights::{EDIT, RIGHTS, Rule, Scope, VIEW},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// As long as a Lease that is not renewed is waited for, and a little more (`leader.rs`).
const TOLERATED_SECONDS: i64 = 20;

/// All documents, in the order in which they can be applied.
pub(super) fn documents() -> anyhow::Result<Vec<Value>> {
    let everywhere = [granted(Scope::Clusters), granted(Scope::Kubernetes)].concat();
    let own_namespace = [granted(Scope::Operator), only(OPERATOR, Scope::OwnLease)].concat();
    Ok(vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": OPERATOR_NAMESPACE, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
        } } }),
        serde_json::to_value(crd()?)?,
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(true) }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata(false), "rules": everywhere }),
        binding("ClusterRoleBinding", "ClusterRole", &metadata(false)),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(true), "rules": own_namespace }),
        binding("RoleBinding", "Role", &metadata(true)),
        // The Lease comes and goes with the installation: once it is gone, another operator may take the clusters over.
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata(true) }),
        aggregated("view", &["view", "edit", "admin"], VIEW),
        aggregated("edit", &["edit", "admin"], EDIT),
        deployment(),
        json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(true), "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": selector() },
        } }),
        // The operator's outgoing traffic is free.
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(true), "spec": {
            "podSelector": { "matchLabels": selector() },
            "policyTypes": ["Ingress"],
            "ingress": [{ "ports": [{ "port": "admin", "protocol": "TCP" }] }],
        } }),
    ])
}

fn tolerations() -> Value {
    let taints = ["not-ready", "unreachable"];
    let tolerated = taints.map(|taint| {
        json!({
            "key": format!("node.kubernetes.io/{taint}"),
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": TOLERATED_SECONDS,
        })
    });
    Value::from(tolerated.to_vec())
}

/// The selector of the operator's pods, for ever. The instance keeps two releases of the chart apart.
fn selector() -> Value {
    json!({ LABEL_NAME: OPERATOR, LABEL_INSTANCE: OPERATOR })
}

fn metadata(namespaced: bool) -> Value {
    let labels = labels();
    if namespaced {
        json!({ "name": OPERATOR, "namespace": OPERATOR_NAMESPACE, "labels": labels })
    } else {
        json!({ "name": OPERATOR, "labels": labels })
    }
}

fn binding(kind: &str, role: &str, metadata: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": OPERATOR },
        "subjects": [{ "kind": "ServiceAccount", "name": OPERATOR, "namespace": OPERATOR_NAMESPACE }],
    })
}

/// Rules of a role.
fn rules<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Value> {
    rules
        .into_iter()
        .map(|rule| json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs }))
        .collect()
}

/// The operator's rights in one scope.
pub(super) fn granted(scope: Scope) -> Vec<Value> {
    rules(
        RIGHTS
            .iter()
            .filter(|right| right.scope == scope)
            .map(|right| &right.rule),
    )
}

/// The operator's rights in one scope on the objects of this name alone.
fn only(name: &str, scope: Scope) -> Vec<Value> {
    let mut rules = granted(scope);
    for rule in &mut rules {
        rule["resourceNames"] = json!([name]);
    }
    rules
}

/// A role that Kubernetes adds to its own: bound to no subject, so that a cluster administrator makes it once for all.
fn aggregated(name: &str, into: &[&str], granted: &[Rule]) -> Value {
    let mut labels = labels();
    for theirs in into {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{theirs}");
        labels.insert(label, "true".into());
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": format!("{OPERATOR}-{name}"), "labels": labels },
        "rules": rules(granted),
    })
}

/// The labels of every object.
fn labels() -> Map<String, Value> {
    [
        (LABEL_NAME, OPERATOR),
        (LABEL_INSTANCE, OPERATOR),
        (LABEL_MANAGED_BY, "install"),
        (LABEL_VERSION, VERSION),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into_iter()
    .collect()
}

fn deployment() -> Value {
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "admin" } });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(true),
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": selector() },
            "template": {
                "metadata": { "labels": { LABEL_NAME: OPERATOR, LABEL_INSTANCE: OPERATOR, LABEL_VERSION: VERSION } },
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": USER_ID,
                        "runAsGroup": USER_ID,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    // On a single Kubernetes node both run there.
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": selector() },
                    }],
                    // The other operator leads long before; this one can soon be made anew elsewhere, as it keeps nothing.
                    "tolerations": tolerations(),
                    "containers": [{
                        "name": "operator",
                        "image": format!("{OPERATOR}:{VERSION}"),
                        "imagePullPolicy": "IfNotPresent",
                        "args": [
                            "run",
                            format!("--node-image=opensecureconf-node:{VERSION}"),
                            format!("--lease-name={OPERATOR}"),
                            format!("--max-concurrent-rollouts={AT_ONCE}"),
                            format!("--answer-timeout={}", duration::write(ANSWER_TIMEOUT)),
                        ],
                        "env": [
                            { "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                            { "name": "POD_NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
                        ],
                        "ports": [{ "name": "admin", "containerPort": 8080 }],
                        "livenessProbe": probe("/healthz"),
                        "readinessProbe": probe("/readyz"),
                        "resources": { "requests": { "cpu": "50m", "memory": "32Mi" }, "limits": { "memory": "128Mi" } },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                },
            },
        },
    })
}
