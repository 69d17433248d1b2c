//! The settings of nodes: the same for a pod and for a local process.

use crate::{
    cluster::validate::ValidatedCluster,
    node::settings::{NodeFiles, NodeSettings},
};

/// The settings of every node of a cluster.
pub fn build_node_settings(
    cluster: &ValidatedCluster,
    host: &str,
    port: u16,
    files: NodeFiles,
    drain_seconds: u32,
) -> NodeSettings {
    NodeSettings {
        host: host.to_owned(),
        port,
        ports: None,
        files: NodeFiles {
            api_key: files.api_key.filter(|_| cluster.spec.api_key.required),
            ..files
        },
        api_key_required: cluster.spec.api_key.required,
        cluster_id: format!("{}/{}", cluster.namespace, cluster.name),
        mode: cluster.spec.mode,
        min_user_key_length: cluster.spec.min_user_key_length,
        sync_interval_seconds: cluster.spec.sync_interval_seconds,
        write_ack: cluster.spec.write_ack,
        log_level: cluster.spec.logging.level,
        log_format: cluster.spec.logging.format,
        drain_seconds,
    }
}

/// The peer list: one `host:port` per line. `address` says where the node with a given ordinal is.
pub fn build_peer_list(cluster: &ValidatedCluster, address: impl Fn(i32) -> String) -> String {
    (0..cluster.spec.replicas)
        .map(|ordinal| address(ordinal) + "\n")
        .collect()
}
