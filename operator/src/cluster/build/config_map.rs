//! The peer list, mounted as a file: scaling never restarts a pod.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{metadata, settings::build_peer_list};
use crate::{
    cluster::validate::ValidatedCluster,
    names::{PEERS_ENTRY, PEERS_PORT},
};

pub(super) fn build(cluster: &ValidatedCluster) -> ConfigMap {
    let (service, namespace) = (cluster.name.nodes(), &cluster.namespace);
    let address = |ordinal| {
        format!(
            "{}.{service}.{namespace}.svc:{PEERS_PORT}",
            cluster.name.pod(ordinal)
        )
    };
    ConfigMap {
        metadata: metadata::owned(cluster, cluster.name.nodes()),
        data: Some([(PEERS_ENTRY.to_owned(), build_peer_list(cluster, address))].into()),
        ..ConfigMap::default()
    }
}
