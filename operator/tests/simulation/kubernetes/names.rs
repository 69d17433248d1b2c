//! The paths of the objects of a world's one cluster.

pub(crate) const NAMESPACE: &str = "team";
pub(crate) const CLUSTER: &str = "demo";

const CORE: &str = "/api/v1/namespaces/team";

pub(crate) const PODS: &str = "/api/v1/namespaces/team/pods";
pub(crate) const CLAIMS: &str = "/api/v1/namespaces/team/persistentvolumeclaims";
pub(crate) const SALT: &str = "/api/v1/namespaces/team/secrets/demo-salt";
pub(crate) const API_KEY: &str = "/api/v1/namespaces/team/secrets/demo-api-key";
pub(crate) const CLUSTER_KEY: &str = "/api/v1/namespaces/team/secrets/demo-cluster-key";
pub(crate) const AUTHORITY: &str = "/api/v1/namespaces/team/secrets/demo-node-ca";
pub(crate) const NODE_TLS: &str = "/api/v1/namespaces/team/secrets/demo-node-tls";
pub(crate) const CLIENTS_AUTHORITIES: &str = "/api/v1/namespaces/team/configmaps/demo-ca";
pub(crate) const CLIENT_SERVICE: &str = "/api/v1/namespaces/team/services/demo";
pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/team/leases/osc";
pub(crate) const PEERS: &str = "/api/v1/namespaces/team/configmaps/demo-nodes";
pub(crate) const BUDGET: &str = "/apis/policy/v1/namespaces/team/poddisruptionbudgets/demo";
pub(crate) const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/team/statefulsets/demo";
pub(crate) const RESOURCE: &str =
    "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/demo";
pub(crate) const STORAGE_CLASS: &str = "/apis/storage.k8s.io/v1/storageclasses/fast";

pub(crate) fn pod(ordinal: usize) -> String {
    format!("{PODS}/{CLUSTER}-{ordinal}")
}

pub(crate) fn claim(ordinal: usize) -> String {
    format!("{CLAIMS}/data-{CLUSTER}-{ordinal}")
}

/// Whether a path is that of a Secret of the cluster.
pub(crate) fn is_secret(path: &str) -> bool {
    path.strip_prefix(CORE)
        .is_some_and(|rest| rest.starts_with("/secrets/"))
}

/// The number at the end of a name or path.
pub(crate) fn ordinal(name: &str) -> Option<usize> {
    name.rsplit('-').next()?.parse().ok()
}
