//! The settings of nodes: the same for a pod and for a local process.

use opensecureconf_contract as contract;

use super::database;
use crate::{
    cluster::{Workload, resource::Mode, validate::ValidatedCluster},
    node::settings::{Entries, NodeFiles, NodeSettings, OwnEntries},
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
        cluster_id: cluster_id(cluster),
        entries: entries(cluster),
        min_user_key_length: cluster.spec.min_user_key_length,
        log_level: cluster.spec.logging.level,
        log_format: cluster.spec.logging.format,
        drain_seconds,
    }
}

/// The cluster's id: a copy of the volumes or of the database cannot pass for them.
pub(super) fn cluster_id(cluster: &ValidatedCluster) -> String {
    format!("{}/{}", cluster.namespace, cluster.name)
}

fn entries(cluster: &ValidatedCluster) -> Entries {
    let spec = &cluster.spec;
    match cluster.workload() {
        Workload::StatefulSet => Entries::OnEachNode(OwnEntries {
            mode: match spec.mode {
                Mode::Federated => contract::Mode::Federated,
                Mode::Replica | Mode::Shared => contract::Mode::Replica,
            },
            sync_interval_seconds: spec.sync_interval_seconds,
            write_ack: spec.write_ack,
        }),
        Workload::Deployment(shared) => Entries::Shared(database::of_nodes(shared)),
    }
}

/// The peer list: one `host:port` per line. `address` gives the address of the node with an ordinal.
pub fn build_peer_list(cluster: &ValidatedCluster, address: impl Fn(i32) -> String) -> String {
    (0..cluster.spec.replicas)
        .map(|ordinal| address(ordinal) + "\n")
        .collect()
}
