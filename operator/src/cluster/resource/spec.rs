//! What a user may ask for. Every field has a default: `spec: {}` is a cluster of three nodes.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{
        Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
    networking::v1::NetworkPolicyPeer,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClusterStatus, DatabaseSpec, LoggingSpec, MonitoringSpec, PodTemplateSpec, ServiceSpec,
    StorageSpec, TlsSpec, UpgradeSpec,
};

/// An encrypted configuration store that runs in this cluster.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(
    clippy::duplicated_attributes,
    reason = "columns of one type repeat it"
)]
#[kube(
    group = "opensecureconf.io",
    version = "v1alpha1",
    kind = "OpenSecureConfCluster",
    plural = "opensecureconfclusters",
    shortname = "osc",
    category = "opensecureconf",
    namespaced,
    status = "ClusterStatus",
    derive = "PartialEq",
    doc = "An encrypted configuration store that runs in this cluster",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.nodesReady"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".status.entries"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterSpec {
    /// Number of nodes, 1 to 15; with mode `Shared` to 50.
    pub replicas: i32,
    /// How the nodes share entries. Cannot be changed.
    pub mode: Mode,
    /// With mode `Shared`: the database that has the entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSpec>,
    /// Node image; without it the one that the operator was installed with. `status.image` shows the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the node image is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets for pulling the node image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The volume of each node.
    pub storage: StorageSpec,
    /// The key that clients show.
    pub api_key: ApiKeySpec,
    /// Shortest user key that nodes accept, in characters. Lower it to adopt an old database.
    #[schemars(range(min = 1, max = 1024))]
    pub min_user_key_length: i32,
    /// How often each node asks every other one for its changes, in seconds, whether they are pushed or not.
    #[schemars(range(min = 1, max = 3600))]
    pub sync_interval_seconds: i32,
    /// Which nodes must hold a write before it is answered, unless the request says it (`X-OSC-Ack`).
    pub write_ack: WriteAck,
    /// What nodes log, and how.
    pub logging: LoggingSpec,
    /// How nodes are observed.
    pub monitoring: MonitoringSpec,
    /// How clients are served, and the certificates of nodes.
    pub tls: TlsSpec,
    /// The Service for clients.
    pub service: ServiceSpec,
    /// Requests and limits of each node.
    pub resources: ResourceRequirements,
    /// Labels of the Kubernetes nodes that pods may run on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How pods are spread; without it over hosts and zones, where that is possible.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Priority of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Protection against draining several nodes at once.
    pub pod_disruption_budget: DisruptionBudgetSpec,
    /// Who may reach the nodes.
    pub network_policy: NetworkPolicySpec,
    /// Which user the containers run as.
    pub pod_security: PodSecurity,
    /// Additions to the pods.
    pub pod_template: PodTemplateSpec,
    /// Whether changes of the spec wait. Certificates are renewed all the same, also for other `tls.altNames`, and the status goes on.
    pub paused: bool,
    /// Whether no node runs. Volumes, salt, keys and the list of nodes are kept, and false brings all nodes back.
    pub hibernate: bool,
    /// When pods are replaced for a change that no field here asks for, such as the node image of a new operator.
    pub upgrade: UpgradeSpec,
    /// When the pods were last asked to restart, such as 2026-01-31T12:00:00Z: another text replaces them one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub restarted_at: Option<String>,
    /// Nodes whose volume is given up, so that they take what they had from the others, one after the other. An entry that stays does nothing
    /// more once its incarnation is gone; condition `RebuildBlocked` says what keeps one from being rebuilt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 15),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub rebuild_members: Vec<RebuildMember>,
}

/// A node whose volume is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebuildMember {
    /// Its name, such as `config-2`.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Which life of it is given up, as `status.members` and `osc-node members` tell it. Another one that lives on the volume is left alone.
    #[schemars(length(max = 16))]
    pub incarnation: String,
    /// Whether it is given up also where no node can say that others hold what it holds, or another node is down.
    #[serde(default)]
    pub force: bool,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            replicas: 3,
            mode: Mode::Replica,
            database: None,
            image: None,
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            storage: StorageSpec::default(),
            api_key: ApiKeySpec::default(),
            min_user_key_length: 12,
            sync_interval_seconds: 30,
            write_ack: WriteAck::default(),
            logging: LoggingSpec::default(),
            monitoring: MonitoringSpec::default(),
            tls: TlsSpec::default(),
            service: ServiceSpec::default(),
            resources: ResourceRequirements {
                // Measured need is a fraction of this; CPU has no limit because key derivation comes in bursts.
                requests: Some([("cpu", "100m"), ("memory", "64Mi")].map(quantity).into()),
                limits: Some([("memory", "256Mi")].map(quantity).into()),
                claims: None,
            },
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            topology_spread_constraints: Vec::new(),
            priority_class_name: None,
            pod_disruption_budget: DisruptionBudgetSpec::default(),
            network_policy: NetworkPolicySpec::default(),
            pod_security: PodSecurity::default(),
            pod_template: PodTemplateSpec::default(),
            paused: false,
            hibernate: false,
            upgrade: UpgradeSpec::default(),
            restarted_at: None,
            rebuild_members: Vec::new(),
        }
    }
}

fn quantity(
    (name, amount): (&str, &str),
) -> (
    String,
    k8s_openapi::apimachinery::pkg::api::resource::Quantity,
) {
    (
        name.to_owned(),
        k8s_openapi::apimachinery::pkg::api::resource::Quantity(amount.to_owned()),
    )
}

/// How the nodes of a cluster share entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Every node has every entry.
    #[default]
    Replica,
    /// Each entry's value lives on the node that received it; every node knows where, and asks there.
    Federated,
    /// No node has any: they are in a PostgreSQL database that all of them use.
    Shared,
}

/// Which nodes must hold a write before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum WriteAck {
    /// The one that was asked.
    Local,
    /// Every healthy one, for a quarter of a second at most.
    #[default]
    Healthy,
    /// Every one, for two seconds at most; the answer is 202 where some do not hold it.
    All,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the Kubernetes node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// The key that clients show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiKeySpec {
    /// Whether clients must show an API key.
    pub required: bool,
    /// A Secret of your own with the key; without it the operator makes `<name>-api-key` once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
    /// Any text; another one than before asks for another key in the Secret that the operator made. Nodes accept both until you end the one
    /// before; condition `ApiKeyRotated` says how.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub rotate: Option<String>,
}

impl Default for ApiKeySpec {
    fn default() -> Self {
        Self {
            required: true,
            secret_ref: None,
            rotate: None,
        }
    }
}

/// One entry of a Secret in the same namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret.
    pub name: String,
    /// Which of its entries.
    #[serde(default = "default_api_key_entry")]
    pub key: String,
}

fn default_api_key_entry() -> String {
    crate::names::API_KEY_ENTRY.to_owned()
}

/// Which user containers run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PodSecurity {
    /// User, group and group of the volumes are 65532.
    #[default]
    Fixed,
    /// The platform assigns them, as `OpenShift` does. Files of Secrets are then readable by every user in the pod.
    Platform,
}

/// Protection against draining several nodes at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DisruptionBudgetSpec {
    /// Whether a PodDisruptionBudget is made.
    pub enabled: bool,
}

impl Default for DisruptionBudgetSpec {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Who may reach the nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether a NetworkPolicy is made.
    pub enabled: bool,
    /// Who may reach the ports of clients; empty is every pod of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<NetworkPolicyPeer>,
    /// Who may reach the metrics; empty is every pod labelled as Prometheus or vmagent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self {
            enabled: true,
            clients: Vec::new(),
            metrics: Vec::new(),
        }
    }
}
