//! The volumes of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
