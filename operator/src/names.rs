//! Every name, label, annotation, port and path that objects of a cluster carry. Selectors, claim names and mount
//! paths can never change later: volumes and running pods hang on them.

use std::{collections::BTreeMap, fmt};

/// The API group of our resources.
pub const GROUP: &str = "opensecureconf.io";
/// The manager that applies children.
pub const FIELD_MANAGER: &str = "opensecureconf.io/operator";
/// The manager that applies status.
pub const STATUS_FIELD_MANAGER: &str = "opensecureconf.io/operator-status";

/// Label: the product.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Label: which cluster.
pub const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: which part.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";
/// Label: the manager of an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: the operator's release.
pub const LABEL_VERSION: &str = "app.kubernetes.io/version";
/// Label of the one Service whose endpoints Prometheus scrapes, so that each pod is scraped once.
pub const LABEL_SCRAPE: &str = "opensecureconf.io/scrape";
/// Label of the ServiceMonitor: which authorities it names, as the beginning of their SHA-256 in hexadecimal.
pub const LABEL_AUTHORITIES: &str = "opensecureconf.io/authorities";
/// Annotation of the salt Secret: the incarnation that was instructed to bootstrap the cluster; empty while none is.
pub const ANNOTATION_BOOTSTRAP: &str = "opensecureconf.io/bootstrap-incarnation";
/// Annotations of objects that outlive their resource: Argo CD deletes them neither in a sync (`Prune=false`) nor together with
/// an application (`Delete=false`), and does not count their presence as a difference.
pub const RETAINED: [(&str, &str); 2] = [
    (
        "argocd.argoproj.io/sync-options",
        "Prune=false,Delete=false",
    ),
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
];
/// Annotation of the salt Secret and of the StatefulSet: which names, paths and annotations they were made with.
pub const ANNOTATION_LAYOUT: &str = "opensecureconf.io/layout";
/// Annotation of the same objects: which operator runs the cluster, as `NAMESPACE/LEASE`.
pub const ANNOTATION_OPERATOR: &str = "opensecureconf.io/operator";
/// Annotation of the StatefulSet while its nodes sleep, and until all of them are back: their number.
pub const ANNOTATION_HIBERNATED: &str = "opensecureconf.io/hibernated-replicas";
/// Annotation of the StatefulSet: which nodes that have left are let in again just now, as `NAME/INCARNATION`.
pub const ANNOTATION_LET_IN: &str = "opensecureconf.io/let-in";
/// Annotation of volume claims: which incarnation of its node lives on the volume.
pub const ANNOTATION_INCARNATION: &str = "opensecureconf.io/incarnation";
/// The annotation of a claim with the size that the operator last requested for it: only that size is ever taken back.
pub const ANNOTATION_ASKED_SIZE: &str = "opensecureconf.io/asked-size";
/// Annotation of the pod template: `spec.restartedAt`.
pub const ANNOTATION_RESTARTED_AT: &str = "opensecureconf.io/restarted-at";
/// The same as `kubectl rollout restart` writes it.
pub const RESTARTED_BY_KUBECTL: &str = "kubectl.kubernetes.io/restartedAt";
/// Annotation of the resource: which changes that wait are let in, as `status.pendingRollout.accept` names them.
pub const ANNOTATION_ACCEPT: &str = "opensecureconf.io/accept-template";
/// The whole object as `kubectl apply` sent it last.
pub const ANNOTATION_LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation of the StatefulSet while its pods are replaced for a change that no field of the resource asks for: the change.
pub const ANNOTATION_ROLLING_OUT: &str = "opensecureconf.io/rolling-out";
/// Annotation of ConfigMap `NAME-template`: which serving pod was the last to be deleted for another pod template, as
/// `POD/UID/RESOURCE_VERSION`.
pub const ANNOTATION_REPLACING: &str = "opensecureconf.io/replacing";
/// Label of pods: which pod template they were made from, as Kubernetes numbers them.
pub const LABEL_REVISION: &str = "controller-revision-hash";
/// The layout of this release. A renamed annotation, label, path or claim raises it.
pub const LAYOUT: &str = "2";

/// Value of [`LABEL_NAME`].
pub const PRODUCT: &str = "opensecureconf";
/// Value of [`LABEL_COMPONENT`] on everything that belongs to nodes.
pub const NODE_COMPONENT: &str = "node";
/// Value of [`LABEL_MANAGED_BY`].
pub const OPERATOR: &str = "opensecureconf-operator";
/// The operator's own namespace.
pub const OPERATOR_NAMESPACE: &str = "opensecureconf-system";
/// The container of a node.
pub const NODE_CONTAINER: &str = "node";
/// Where clients find a node over plain HTTP.
pub const HTTP_PORT: u16 = 9000;
/// Where clients find it over HTTPS.
pub const HTTPS_PORT: u16 = 9443;
/// Where nodes find each other, and the operator finds them: mutual TLS only.
pub const PEERS_PORT: u16 = 9001;
/// Where metrics are, over HTTPS.
pub const METRICS_PORT: u16 = 9002;
/// Names of these ports.
pub const HTTP_PORT_NAME: &str = "http";
/// See [`HTTPS_PORT`].
pub const HTTPS_PORT_NAME: &str = "https";
/// See [`PEERS_PORT`].
pub const PEERS_PORT_NAME: &str = "peers";
/// See [`METRICS_PORT`].
pub const METRICS_PORT_NAME: &str = "metrics";
/// Where a node answers probes only.
pub const HEALTH_PORT: u16 = 9003;
/// Its name. No Service and no NetworkPolicy has it: the kubelet of the pod's own machine is the only caller.
pub const HEALTH_PORT_NAME: &str = "health";
/// Name and number of every port of a node: no other container of its pod may use one of them.
pub const OWN_PORTS: [(&str, u16); 5] = [
    (HTTP_PORT_NAME, HTTP_PORT),
    (HTTPS_PORT_NAME, HTTPS_PORT),
    (PEERS_PORT_NAME, PEERS_PORT),
    (METRICS_PORT_NAME, METRICS_PORT),
    (HEALTH_PORT_NAME, HEALTH_PORT),
];
/// Names of a pod's own volumes.
pub const OWN_VOLUMES: [&str; 11] = [
    "data",
    "tmp",
    "api-key",
    "cluster-key",
    "peers",
    "salt",
    "tls",
    "client-tls",
    DATABASE_VOLUME,
    MIGRATION_VOLUME,
    DATABASE_AUTHORITIES_VOLUME,
];
/// The volume with the address of a shared database.
pub const DATABASE_VOLUME: &str = "database";
/// The volume with the address under which its tables are made; only the step before the node mounts it.
pub const MIGRATION_VOLUME: &str = "database-migration";
/// The volume with the authorities of its certificate.
pub const DATABASE_AUTHORITIES_VOLUME: &str = "database-ca";
/// The entry with the address of a shared database, and the file that nodes read it from.
pub const DATABASE_URL_ENTRY: &str = "url";
/// The same of the role that makes the tables.
pub const MIGRATION_URL_ENTRY: &str = "migration-url";
/// The container that makes the tables of a shared database, before the node.
pub const MIGRATION_CONTAINER: &str = "database-migrate";
/// Annotation of the pod template of nodes that share a database: it changes with the address.
pub const ANNOTATION_DATABASE: &str = "opensecureconf.io/database";
/// User and group of every container.
pub const USER_ID: i64 = 65532;

/// The claim of each node.
pub const DATA_CLAIM: &str = "data";
/// Where the claim is mounted.
pub const DATA_PATH: &str = "/var/lib/opensecureconf";
/// Where Secrets and the peer list are mounted, each in a folder of its own.
pub const CONFIG_PATH: &str = "/etc/opensecureconf";

/// Key of the API-key Secret.
pub const API_KEY_ENTRY: &str = "api-key";
/// The file with the previous key; in the Secret its entry is named after that of the key.
pub const API_KEY_PREVIOUS_FILE: &str = "api-key-previous";
/// Key of the cluster-key Secret.
pub const CLUSTER_KEY_ENTRY: &str = "cluster-key";
/// Key of the salt Secret.
pub const SALT_ENTRY: &str = "salt";
/// Entries of the Secrets with certificates: the chain, leaf first.
pub const CERTIFICATE_ENTRY: &str = "tls.crt";
/// Its private key.
pub const PRIVATE_KEY_ENTRY: &str = "tls.key";
/// The authorities: in the nodes' Secret those that nodes accept, in the ConfigMap those that verify port 9443.
pub const AUTHORITIES_ENTRY: &str = "ca.crt";
/// In the ConfigMap: the authorities that verify ports 9001 and 9002.
pub const NODE_AUTHORITIES_ENTRY: &str = "node-ca.crt";
/// In the authority's Secret: the previous certificate, while a renewal is under way.
pub const PREVIOUS_CERTIFICATE_ENTRY: &str = "previous.crt";
/// Its private key.
pub const PREVIOUS_PRIVATE_KEY_ENTRY: &str = "previous.key";
/// Annotation of the authority's Secret: the last nonce of `tls.authority.rotate` that was carried out.
pub const ANNOTATION_AUTHORITY_ROTATION: &str = "opensecureconf.io/authority-rotation";
/// Annotation of the same: the fingerprint of the operator's authority that stands in the place of one of the user's own, and why that
/// one is of no use.
pub const ANNOTATION_AUTHORITY_REFUSED: &str = "opensecureconf.io/authority-refused";
/// Annotation of the API key's Secret: the nonce of `apiKey.rotate` that was taken up last.
pub const ANNOTATION_API_KEY_ROTATION: &str = "opensecureconf.io/api-key-rotation";
/// How far that has come, while it is under way.
pub const ANNOTATION_API_KEY_PHASE: &str = "opensecureconf.io/api-key-phase";
/// Since when.
pub const ANNOTATION_API_KEY_SINCE: &str = "opensecureconf.io/api-key-phase-since";
/// Annotation of the nodes' certificate Secret: when they were first given the authority that is the newest.
pub const ANNOTATION_AUTHORITY_GIVEN: &str = "opensecureconf.io/authority-given";
/// Annotation of the same Secret while an authority is exchanged: since when clients can read the newest one.
pub const ANNOTATION_AUTHORITY_SHOWN: &str = "opensecureconf.io/authority-shown";
/// Entries of the ConfigMap with the accepted pod template: the template itself.
pub const TEMPLATE_ENTRY: &str = "template";
/// The fields of the resource that it stands for.
pub const TEMPLATE_FIELDS_ENTRY: &str = "fields";
/// The last accepted changes, while pods are replaced for them.
pub const TEMPLATE_ROLLOUT_ENTRY: &str = "rollout";
/// The proof that the operator wrote the whole template.
pub const TEMPLATE_SEAL_ENTRY: &str = "seal";
/// Key of the ConfigMap with the peer list.
pub const PEERS_ENTRY: &str = "nodes";
/// Another key of it: the level at which nodes log.
pub const LOG_LEVEL_ENTRY: &str = "log-level";

/// The name of a cluster: `^[a-z]([-a-z0-9]*[a-z0-9])?$`, at most 40 characters, not ending in `-nodes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    /// Longest name: the longest name derived from it still is a label value.
    pub const MAX_LENGTH: usize = 40;

    /// The name, or `None` when objects could not be named after it.
    pub fn new(text: &str) -> Option<Self> {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        let last = text.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let all = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        (first && last && all && text.len() <= Self::MAX_LENGTH && !text.ends_with("-nodes"))
            .then(|| Self(text.to_owned()))
    }

    /// The name as text, which is also the name of the StatefulSet, the client Service and others.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The headless Service and the ConfigMap with the peer list.
    pub fn nodes(&self) -> String {
        format!("{}-nodes", self.0)
    }

    /// The ConfigMap with the certificates that clients and scrapers verify nodes with.
    pub fn ca(&self) -> String {
        format!("{}-ca", self.0)
    }

    /// The ConfigMap with the accepted pod template.
    pub fn template(&self) -> String {
        format!("{}-template", self.0)
    }

    /// The Secret that cert-manager keeps the clients' certificate in.
    pub fn client_tls(&self) -> String {
        format!("{}-client-tls", self.0)
    }

    /// The Secret with the address of a shared database, as nodes read it.
    pub fn database(&self) -> String {
        format!("{}-database", self.0)
    }

    /// The pod with this ordinal; also the node's id.
    pub fn pod(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.0)
    }

    /// The prefix of the names of all claims of this cluster.
    pub fn claim_prefix(&self) -> String {
        format!("{DATA_CLAIM}-{}-", self.0)
    }

    /// The labels that select this cluster's pods, for ever.
    pub fn selector(&self) -> BTreeMap<String, String> {
        [
            (LABEL_NAME, PRODUCT),
            (LABEL_INSTANCE, &self.0),
            (LABEL_COMPONENT, NODE_COMPONENT),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// The labels of every pod: without the operator's release, or a new operator would restart them all.
    pub fn pod_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert(LABEL_MANAGED_BY.to_owned(), OPERATOR.to_owned());
        labels
    }

    /// The labels of every child.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.pod_labels();
        labels.insert(
            LABEL_VERSION.to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        );
        labels
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The entry with the API key before the one in `entry`: nodes accept it while callers move.
pub fn previous_entry(entry: &str) -> String {
    format!("{entry}-previous")
}

#[cfg(test)]
mod tests {
    use super::ClusterName;

    #[test]
    fn names_that_objects_cannot_be_named_after_are_refused() {
        for name in ["a", "prod", "a-1", &"a".repeat(40)] {
            assert!(ClusterName::new(name).is_some(), "{name}");
        }
        for name in [
            "",
            "1a",
            "-a",
            "a-",
            "A",
            "a.b",
            "prod-nodes",
            &"a".repeat(41),
            "ä",
        ] {
            assert!(ClusterName::new(name).is_none(), "{name}");
        }
    }
}
