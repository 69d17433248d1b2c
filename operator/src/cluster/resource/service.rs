//! The Service for clients.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

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

/// Bounded, so that a rule about each of them has a bounded cost.
fn networks(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 128,
        "items": { "type": "string", "maxLength": 64 },
    })
}
