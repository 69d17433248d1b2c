//! How nodes are observed: the ServiceMonitor.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// Another operator's type.
fn objects(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}
