//! The ConfigMap that keeps the accepted pod template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata;
use crate::cluster::validate::ValidatedCluster;

/// The ConfigMap with these entries.
pub fn template_config_map(
    cluster: &ValidatedCluster,
    entries: BTreeMap<String, String>,
) -> ConfigMap {
    ConfigMap {
        metadata: metadata::owned(cluster, cluster.name.template()),
        data: Some(entries),
        ..ConfigMap::default()
    }
}
