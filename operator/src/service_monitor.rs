//! The Prometheus Operator's ServiceMonitor, as far as we set it. Not our type: its definition comes with that operator.

use k8s_openapi::{
    api::core::v1::ConfigMapKeySelector, apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is scraped, and how.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "ServiceMonitor",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitorSpec {
    /// Which Services.
    pub selector: LabelSelector,
    /// In which namespaces.
    pub namespace_selector: NamespaceSelector,
    /// Which of their ports.
    pub endpoints: Vec<Endpoint>,
}

/// Namespaces by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// The names.
    pub match_names: Vec<String>,
}

/// One port that is scraped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Name of the Service's port.
    pub port: String,
    /// Where the metrics are.
    pub path: String,
    /// `https`.
    pub scheme: String,
    /// How the nodes are verified.
    pub tls_config: TlsConfig,
    /// How often.
    pub interval: String,
    /// How long one scrape may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<String>,
    /// Changes of the labels of targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relabelings: Vec<Value>,
    /// Changes of the labels of samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_relabelings: Vec<Value>,
}

/// How a node is verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsConfig {
    /// The name that its certificate must be for.
    pub server_name: String,
    /// Who must have signed it.
    pub ca: Authorities,
}

/// Certificates of authorities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorities {
    /// The entry of a ConfigMap that holds them.
    pub config_map: ConfigMapKeySelector,
}
