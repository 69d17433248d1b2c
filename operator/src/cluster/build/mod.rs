//! From a valid cluster to its objects. Pure: no clock, no randomness, no client.

mod ca_config_map;
mod certificate;
mod config_map;
mod database;
mod deployment;
mod disruption_budget;
mod folders;
pub(in crate::cluster) mod metadata;
mod network_policy;
mod pods;
mod service_account;
mod service_monitor;
mod services;
mod settings;
mod stateful_set;
mod template_config_map;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};

pub use pods::pod_template;
use settings::cluster_id;
pub use settings::{build_node_settings, build_peer_list};
pub use template_config_map::template_config_map;

use super::validate::ValidatedCluster;
use crate::{certificate::Certificate, service_monitor::ServiceMonitor};

/// Every object of one cluster, except the Secrets, which are made once and never built again. `W` is the workload that runs
/// the nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterResources<W = StatefulSet> {
    /// The account of the pods.
    pub service_account: ServiceAccount,
    /// The peer list.
    pub config_map: ConfigMap,
    /// The certificates with which clients and scrapers verify nodes.
    pub ca_config_map: ConfigMap,
    /// One name for each pod.
    pub headless_service: Service,
    /// Where clients connect.
    pub client_service: Service,
    /// The policy on who may connect.
    pub network_policy: Option<NetworkPolicy>,
    /// How many nodes may be drained at once.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// The object that makes Prometheus scrape.
    pub service_monitor: Option<ServiceMonitor>,
    /// The request to cert-manager.
    pub certificate: Option<Certificate>,
    /// The pod template that is accepted; `None` until that is decided.
    pub template_config_map: Option<ConfigMap>,
    /// The nodes.
    pub workload: W,
}

/// Certificates that others verify nodes with, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The certificates for ports 9001 and 9002. A renewal leaves an authority whatever it finds.
    pub nodes: String,
    /// Of port 9443; `None` where that has none, or the user's Secret names none.
    pub clients: Option<String>,
}

/// Builds only the certificates with which clients and scrapers verify nodes.
pub fn ca_config_map(cluster: &ValidatedCluster, roots: &Roots) -> ConfigMap {
    ca_config_map::build(cluster, roots)
}

/// The value of the label by which a ServiceMonitor follows the authorities.
pub fn authorities_label(roots: &Roots) -> String {
    service_monitor::authorities_label(&roots.nodes)
}

/// Builds all objects of nodes that have volumes.
pub fn build(cluster: &ValidatedCluster, roots: &Roots) -> ClusterResources {
    around(cluster, roots, stateful_set::build(cluster))
}

/// Builds all objects of nodes that share a database.
pub fn build_shared(cluster: &ValidatedCluster, roots: &Roots) -> ClusterResources<Deployment> {
    around(cluster, roots, deployment::build(cluster))
}

fn around<W>(cluster: &ValidatedCluster, roots: &Roots, workload: W) -> ClusterResources<W> {
    ClusterResources {
        service_account: service_account::build(cluster),
        config_map: config_map::build(cluster),
        ca_config_map: ca_config_map::build(cluster, roots),
        headless_service: services::build_headless(cluster),
        client_service: services::build_client(cluster),
        network_policy: cluster
            .spec
            .network_policy
            .enabled
            .then(|| network_policy::build(cluster)),
        disruption_budget: cluster
            .spec
            .pod_disruption_budget
            .enabled
            .then(|| disruption_budget::build(cluster)),
        service_monitor: cluster
            .spec
            .monitoring
            .service_monitor
            .enabled
            // With an empty authority the Prometheus Operator refuses the whole object.
            .then(|| service_monitor::build(cluster, &roots.nodes))
            .filter(|_| !roots.nodes.is_empty()),
        certificate: certificate::build(cluster),
        template_config_map: None,
        workload,
    }
}
