//! What a user adds to the pods.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
