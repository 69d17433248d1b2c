//! What the operator reports of a cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// The types of all conditions.
pub const CONDITIONS: [&str; 12] = [
    "Ready",
    "Available",
    "Reconciling",
    "Stalled",
    "SaltMatches",
    "Replicated",
    "TlsReady",
    "MonitoringReady",
    "Paused",
    "RebuildBlocked",
    "ApiKeyRotated",
    "DatabaseReachable",
];

/// What the operator last saw of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that exist.
    pub replicas: i32,
    /// Nodes that serve.
    pub ready_replicas: i32,
    /// Nodes that run the current pod template.
    pub updated_replicas: i32,
    /// Serving nodes of wanted ones, such as `3/3`.
    pub nodes_ready: String,
    /// Entries of the node that has most of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<i64>,
    /// Label selector of the pods, for the scale subresource.
    pub selector: String,
    /// Release that all nodes run; absent while they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Image of the nodes.
    pub image: String,
    /// Who wrote the databases as they are: no node of an earlier schema opens them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_by: Option<WrittenBy>,
    /// What may be shown of the salt: the first 8 bytes of its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt_fingerprint: Option<String>,
    /// Secret with the API key.
    pub api_key_secret_name: String,
    /// Where clients inside the cluster find the store.
    pub endpoint: String,
    /// ConfigMap with the certificates that clients (`ca.crt`) and scrapers (`node-ca.crt`) verify nodes with.
    pub ca_config_map_name: String,
    /// What would change in the pods, and why it waits; absent while nothing waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_rollout: Option<PendingRollout>,
    /// Each node.
    pub members: Vec<MemberStatus>,
    /// `Ready` sums up; each condition's message says what to do.
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// The nodes with the latest schema that was ever reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct WrittenBy {
    /// The version of their databases' schema.
    pub schema: i64,
    /// Their release.
    pub version: String,
    /// Their image.
    pub image: String,
}

/// All reasons of a [`PendingRollout`].
pub const PENDING_REASONS: [&str; 5] = ["Window", "Manual", "OtherCluster", "Starting", "Paused"];

/// A change of the pod template that no field of the resource asks for, and that waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PendingRollout {
    /// What would change.
    pub changes: Vec<TemplateChange>,
    /// The pods that would be replaced, in this order.
    pub pods: Vec<String>,
    /// Why it waits, in one word: `Window`, `Manual`, `OtherCluster`, `Starting` or `Paused`.
    pub reason: String,
    /// Why it waits, and what lets it in.
    pub message: String,
    /// With reason `Window`: when the next window opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Time>,
    /// With policy `Manual`, the value of annotation `opensecureconf.io/accept-template` that lets in these changes and no others.
    pub accept: String,
}

/// One field of the pod template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateChange {
    /// Which one, such as `spec.containers[node].image`.
    pub field: String,
    /// What it is; absent where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it would be; absent where it would go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What the operator last saw of one node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MemberStatus {
    /// Pod and node id.
    pub name: String,
    /// Kubernetes node that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether Kubernetes counts the pod as ready.
    pub ready: bool,
    /// Whether it answered the operator.
    pub reachable: bool,
    /// What it says of its membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Which life of it this is: the identity of the database on its volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of its database's schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<i64>,
    /// What may be shown of its salt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<i64>,
    /// Seconds since it was last known to have everything that the others have; 0 while it has. Absent where no node could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<i64>,
    /// Fingerprint of the certificate that it shows other nodes: SHA-256, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    /// Fingerprints of the authorities that it accepts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authority_fingerprints: Vec<String>,
    /// Fingerprints of the API keys that it accepts: a keyed hash of each, from which the key cannot be computed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_key_fingerprints: Vec<String>,
}

fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert(
        "x-kubernetes-list-map-keys".to_owned(),
        serde_json::json!(["type"]),
    );
    schema
}
