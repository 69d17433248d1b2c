//! The certificates with which clients and scrapers verify nodes. They are no secret.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Roots, metadata};
use crate::{
    cluster::validate::ValidatedCluster,
    names::{AUTHORITIES_ENTRY, NODE_AUTHORITIES_ENTRY},
};

pub(super) fn build(cluster: &ValidatedCluster, roots: &Roots) -> ConfigMap {
    let Roots { nodes, clients } = roots;
    let entries = [
        (NODE_AUTHORITIES_ENTRY, Some(nodes)),
        (AUTHORITIES_ENTRY, clients.as_ref()),
    ];
    ConfigMap {
        metadata: metadata::owned(cluster, cluster.name.ca()),
        data: Some(
            entries
                .into_iter()
                .filter_map(|(name, text)| Some((name.to_owned(), text?.clone())))
                .collect(),
        ),
        ..ConfigMap::default()
    }
}
