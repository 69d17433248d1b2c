//! Settings that change while nodes run, mounted as files: the peer list and the log level. Their changes restart no pod.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{metadata, settings::build_peer_list};
use crate::{
    cluster::{Workload, validate::ValidatedCluster},
    names::{LOG_LEVEL_ENTRY, PEERS_ENTRY, PEERS_PORT},
};

pub(super) fn build(cluster: &ValidatedCluster) -> ConfigMap {
    let (service, namespace) = (cluster.name.nodes(), &cluster.namespace);
    let address = |ordinal| {
        format!(
            "{}.{service}.{namespace}.svc:{PEERS_PORT}",
            cluster.name.pod(ordinal)
        )
    };
    let level = cluster.spec.logging.level.setting();
    let peers = match cluster.workload() {
        Workload::StatefulSet => Some((PEERS_ENTRY, build_peer_list(cluster, address))),
        Workload::Deployment(_) => None,
    };
    let level = (LOG_LEVEL_ENTRY, format!("{level}\n"));
    let entries = peers.into_iter().chain([level]);
    let entries = entries.map(|(name, text)| (name.to_owned(), text));
    ConfigMap {
        metadata: metadata::owned(cluster, cluster.name.nodes()),
        data: Some(entries.collect()),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::{
        build::{Roots, build},
        resource::prod,
        validate::validate,
    };

    #[test]
    fn another_number_of_nodes_or_level_of_the_log_changes_files_and_no_pod() {
        let built = |spec: &str| {
            let cluster = validate(&prod(spec), "node:1").unwrap();
            let roots = Roots {
                nodes: "any".to_owned(),
                clients: None,
            };
            let built = build(&cluster, &roots);
            let template = built.workload.spec.unwrap().template;
            (template, built.config_map)
        };
        let (pod, files) = built("{}");
        for spec in ["{logging: {level: DEBUG}}", "{replicas: 5}"] {
            let (same_pod, other_files) = built(spec);
            assert_eq!(pod, same_pod, "{spec}");
            assert_ne!(files, other_files, "{spec}");
        }
    }
}
