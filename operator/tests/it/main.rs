//! The operator's parts together: the objects it builds from a resource, its requests to an API server, and whether nodes
//! understand the result.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod api_key;
mod api_server;
mod authority_exchange;
mod certificates;
mod changed_meanwhile;
mod chart_values;
mod clients_authorities;
mod cluster_domain;
mod commands;
mod corrections;
mod endless_node;
mod exchange_rules;
#[path = "../../../node/tests/structure/files.rs"]
mod files;
mod golden;
mod hibernation;
mod impostors;
mod invalid_spec;
mod leader;
mod local_cluster;
mod local_database;
mod local_tls;
mod looking;
mod memory;
#[path = "../../../node/tests/structure/mentions.rs"]
mod mentions;
mod namespace_end;
mod node_contract;
mod own_authority;
mod pages;
mod pause;
mod ports;
mod pruning;
mod readmission;
mod reasons;
mod rebuild;
mod reconcile;
mod remedies;
mod rights;
mod rollout;
mod serving;
mod shared;
mod standstill;
mod turns;
mod two_operators;
mod unmade_pods;
mod upgrades;
mod volumes;
mod wait;
mod warnings;

use opensecureconf_operator::cluster::{
    resource::OpenSecureConfCluster,
    validate::{ValidatedCluster, validate},
};

pub(crate) const ONE_NODE: &str = include_str!("../../../manifests/samples/one-node.yaml");
pub(crate) const THREE_NODES: &str = include_str!("../../../manifests/samples/three-nodes.yaml");

/// A resource as the API server would hand it over.
pub(crate) fn resource(yaml: &str) -> OpenSecureConfCluster {
    let mut cluster: OpenSecureConfCluster = serde_saphyr::from_str(yaml).unwrap();
    cluster.metadata.namespace = Some("team".to_owned());
    cluster.metadata.uid = Some("0f4e9b1c-0000-4000-8000-000000000001".to_owned());
    cluster.metadata.generation = Some(1);
    cluster
}

pub(crate) fn valid(yaml: &str) -> ValidatedCluster {
    validate(&resource(yaml), "opensecureconf-node:tested").unwrap()
}
