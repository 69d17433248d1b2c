//! The operator itself as Kubernetes objects.

use serde_json::{Value, json};

use crate::{
    cluster::resource::crd,
    names::{
        GROUP, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, LABEL_VERSION, OPERATOR,
        OPERATOR_NAMESPACE, USER_ID,
    },
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All documents, in the order in which they can be applied.
pub(super) fn documents() -> anyhow::Result<Vec<Value>> {
    Ok(vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": OPERATOR_NAMESPACE, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
        } } }),
        serde_json::to_value(crd()?)?,
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(true) }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata(false), "rules": rules() }),
        binding("ClusterRoleBinding", "ClusterRole", &metadata(false)),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(true), "rules": [
            rule("coordination.k8s.io", &["leases"], &["get", "create", "update"]),
        ] }),
        binding("RoleBinding", "Role", &metadata(true)),
        deployment(),
        json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(true), "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": selector() },
        } }),
        // What the operator calls is free.
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(true), "spec": {
            "podSelector": { "matchLabels": selector() },
            "policyTypes": ["Ingress"],
            "ingress": [{ "ports": [{ "port": "admin", "protocol": "TCP" }] }],
        } }),
    ])
}

/// What the operator's pods are selected by, for ever. The instance keeps two releases of the chart apart.
fn selector() -> Value {
    json!({ LABEL_NAME: OPERATOR, LABEL_INSTANCE: OPERATOR })
}

fn metadata(namespaced: bool) -> Value {
    let labels = json!({
        LABEL_NAME: OPERATOR, LABEL_INSTANCE: OPERATOR, LABEL_MANAGED_BY: "install", LABEL_VERSION: VERSION,
    });
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

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

/// What reconciling needs, and nothing else. Secrets are never deleted, of volume claims only annotations are touched.
fn rules() -> Vec<Value> {
    const CHILD: &[&str] = &["get", "list", "watch", "create", "patch"];
    const OPTIONAL_CHILD: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
    vec![
        rule(
            GROUP,
            &["opensecureconfclusters"],
            &["get", "list", "watch"],
        ),
        rule(GROUP, &["opensecureconfclusters/status"], &["get", "patch"]),
        // Some clusters demand this of whoever sets owner references that block deletion.
        rule(GROUP, &["opensecureconfclusters/finalizers"], &["update"]),
        rule("apps", &["statefulsets"], CHILD),
        rule("", &["services", "configmaps", "serviceaccounts"], CHILD),
        // Secrets are created once; patched are the salt's mark, and certificates that are renewed.
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "create", "patch"],
        ),
        rule("", &["pods"], &["get", "list"]),
        // Patched are the annotations that keep Argo CD from pruning them.
        rule("", &["persistentvolumeclaims"], &["get", "list", "patch"]),
        rule("networking.k8s.io", &["networkpolicies"], OPTIONAL_CHILD),
        rule("policy", &["poddisruptionbudgets"], OPTIONAL_CHILD),
        rule(
            "monitoring.coreos.com",
            &["servicemonitors"],
            OPTIONAL_CHILD,
        ),
        rule("cert-manager.io", &["certificates"], OPTIONAL_CHILD),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
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
                    // Where there is one Kubernetes node only, both run there.
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": selector() },
                    }],
                    "containers": [{
                        "name": "operator",
                        "image": format!("{OPERATOR}:{VERSION}"),
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["run", format!("--node-image=opensecureconf-node:{VERSION}")],
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
