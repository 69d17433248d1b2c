//! What a user may ask for. Every field has a default: `spec: {}` is a cluster of three nodes.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{
        Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
    networking::v1::NetworkPolicyPeer,
};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ClusterStatus, TlsSpec, UpgradeSpec};

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
    /// Number of nodes, 1 to 15.
    pub replicas: i32,
    /// How the nodes share entries. Cannot be changed.
    pub mode: Mode,
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
    /// Whether it is given up also where nobody can say that others hold what it holds, or another node is down.
    #[serde(default)]
    pub force: bool,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            replicas: 3,
            mode: Mode::Replica,
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

/// The volume of each node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageSpec {
    /// Size of each volume. It may go up where the storage class lets volumes grow, and down to what they have already.
    #[schemars(length(max = 32))]
    pub size: String,
    /// Storage class; without it the cluster's default. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// What happens to volumes that are not needed any more.
    pub retention: RetentionPolicy,
}

impl Default for StorageSpec {
    fn default() -> Self {
        Self {
            size: "1Gi".to_owned(),
            storage_class_name: None,
            retention: RetentionPolicy::default(),
        }
    }
}

/// What happens to volumes that are not needed any more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RetentionPolicy {
    /// When the resource is deleted. `Retain` keeps volumes and keys, so that the same resource finds them again. Cannot be changed.
    pub when_deleted: Retention,
    /// When the number of nodes is lowered.
    pub when_scaled: Retention,
}

/// Keep or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// Keep.
    #[default]
    Retain,
    /// Delete, with everything that is stored there.
    Delete,
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
}

impl Default for ApiKeySpec {
    fn default() -> Self {
        Self {
            required: true,
            secret_ref: None,
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

/// What nodes log, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LoggingSpec {
    /// Least severe level that is logged. A change of it restarts no pod.
    pub level: LogLevel,
    /// Shape of log lines.
    pub format: LogFormat,
}

/// Severity of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Every request.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What somebody should look at.
    Warning,
    /// What failed.
    Error,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// Lines for a person.
    Console,
}

/// How nodes are observed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MonitoringSpec {
    /// The object that makes the Prometheus Operator scrape the nodes.
    pub service_monitor: ServiceMonitorSpec,
}

/// The object that makes the Prometheus Operator scrape the nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceMonitorSpec {
    /// Whether it is made; skipped while the cluster does not know ServiceMonitors.
    pub enabled: bool,
    /// How often nodes are scraped, such as `30s`.
    #[schemars(length(max = 32))]
    pub interval: String,
    /// How long one scrape may take; not longer than the interval. Without it Prometheus' own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub scrape_timeout: Option<String>,
    /// Labels that your Prometheus selects by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Changes of the labels of targets (as in a ServiceMonitor).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "objects")]
    pub relabelings: Vec<Value>,
    /// Changes of the labels of samples (as in a ServiceMonitor).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "objects")]
    pub metric_relabelings: Vec<Value>,
}

impl Default for ServiceMonitorSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: "30s".to_owned(),
            scrape_timeout: None,
            labels: BTreeMap::new(),
            relabelings: Vec::new(),
            metric_relabelings: Vec::new(),
        }
    }
}

/// The Service for clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Who can reach it.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Annotations, for example for a load balancer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// More labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// IPv4, IPv6 or both; without it what the cluster does by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Whether traffic from outside stays on the Kubernetes node where it arrived, which keeps the client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Networks such as `10.0.0.0/8` from which the load balancer takes connections; empty is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "networks")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether a Service that is reached from outside the cluster carries port 9000 too, which is not encrypted.
    pub expose_plain_http: bool,
}

/// Which IP families a Service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Both where the cluster has both.
    PreferDualStack,
    /// Both, or no Service.
    RequireDualStack,
}

impl IpFamilyPolicy {
    /// As Kubernetes spells it.
    pub fn text(self) -> &'static str {
        match self {
            Self::SingleStack => "SingleStack",
            Self::PreferDualStack => "PreferDualStack",
            Self::RequireDualStack => "RequireDualStack",
        }
    }
}

/// Where traffic from outside is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// To any pod.
    Cluster,
    /// To a pod of the Kubernetes node where it arrived.
    Local,
}

impl ExternalTrafficPolicy {
    /// As Kubernetes spells it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
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

/// Types of Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every Kubernetes node.
    NodePort,
    /// Behind a load balancer.
    LoadBalancer,
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

/// Additions to the pods, merged by name. What is ours cannot be replaced.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PodTemplateSpec {
    /// More labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// More environment variables of the node container (as in a Pod).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named_objects")]
    pub env: Vec<Value>,
    /// More volumes (as in a Pod).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named_objects")]
    pub volumes: Vec<Value>,
    /// More mounts of the node container (as in a Pod).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named_objects")]
    pub volume_mounts: Vec<Value>,
    /// More containers (as in a Pod).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named_objects")]
    pub sidecars: Vec<Value>,
    /// Containers that run before the node (as in a Pod); with `restartPolicy: Always` they go on running beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named_objects")]
    pub init_containers: Vec<Value>,
}

/// Another operator's type.
fn objects(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// Bounded, so that a rule about each of them has a bounded cost.
fn networks(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 128,
        "items": { "type": "string", "maxLength": 64 },
    })
}

/// Kubernetes' own types are not repeated in our schema: they are large, and the API server checks them in the pod.
fn named_objects(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { "name": { "type": "string" } },
            "required": ["name"],
            "x-kubernetes-preserve-unknown-fields": true,
        },
    })
}
