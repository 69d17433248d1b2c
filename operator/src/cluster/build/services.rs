//! The two Services: a name for each pod, and the address of clients.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata;
use crate::{
    cluster::{resource::ServiceType, validate::ValidatedCluster},
    names::{LABEL_SCRAPE, NODE_PORT, NODE_PORT_NAME},
};

/// Names the pods, ready or not, so that nodes find each other before they serve; and is what Prometheus scrapes.
pub(super) fn build_headless(cluster: &ValidatedCluster) -> Service {
    let mut metadata = metadata::owned(cluster, cluster.name.nodes());
    metadata
        .labels
        .get_or_insert_default()
        .insert(LABEL_SCRAPE.to_owned(), "true".to_owned());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(cluster.name.selector()),
            ports: Some(vec![port()]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Where clients connect.
pub(super) fn build_client(cluster: &ValidatedCluster) -> Service {
    let wanted = &cluster.spec.service;
    let mut metadata = metadata::owned(cluster, cluster.name.as_str().to_owned());
    let labels = metadata.labels.get_or_insert_default();
    for (name, value) in &wanted.labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    metadata.annotations =
        Some(wanted.annotations.clone()).filter(|annotations| !annotations.is_empty());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(service_type(wanted.type_).to_owned()),
            selector: Some(cluster.name.selector()),
            ports: Some(vec![port()]),
            ip_family_policy: wanted
                .ip_family_policy
                .map(|policy| policy.text().to_owned()),
            external_traffic_policy: wanted
                .external_traffic_policy
                .map(|policy| policy.text().to_owned()),
            load_balancer_source_ranges: Some(wanted.load_balancer_source_ranges.clone())
                .filter(|ranges| !ranges.is_empty()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn service_type(wanted: ServiceType) -> &'static str {
    match wanted {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

fn port() -> ServicePort {
    ServicePort {
        name: Some(NODE_PORT_NAME.to_owned()),
        port: NODE_PORT,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(NODE_PORT_NAME.to_owned())),
        ..ServicePort::default()
    }
}
