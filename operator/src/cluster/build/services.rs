//! The two Services: a name for each pod, and the address of clients.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata;
use crate::{
    cluster::{resource::ServiceType, validate::ValidatedCluster},
    names::{
        HTTP_PORT, HTTP_PORT_NAME, HTTPS_PORT, HTTPS_PORT_NAME, LABEL_SCRAPE, METRICS_PORT,
        METRICS_PORT_NAME, PEERS_PORT, PEERS_PORT_NAME,
    },
};

/// Names the pods, ready or not, so that nodes find each other before they serve; Prometheus scrapes it too.
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
            ports: Some(vec![
                port(PEERS_PORT_NAME, PEERS_PORT, "https"),
                port(METRICS_PORT_NAME, METRICS_PORT, "https"),
            ]),
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
            ports: Some(client_ports(cluster)),
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

/// The ports of clients: an unencrypted one is open to the outside only where the resource asks for that.
fn client_ports(cluster: &ValidatedCluster) -> Vec<ServicePort> {
    let (tls, service) = (&cluster.spec.tls, &cluster.spec.service);
    let inside = service.type_ == ServiceType::ClusterIP;
    let https = tls
        .serves_https()
        .then(|| port(HTTPS_PORT_NAME, HTTPS_PORT, "https"));
    let http = (tls.serves_http() && (inside || service.expose_plain_http))
        .then(|| port(HTTP_PORT_NAME, HTTP_PORT, "http"));
    https.into_iter().chain(http).collect()
}

fn port(name: &str, number: u16, protocol: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number.into(),
        protocol: Some("TCP".to_owned()),
        app_protocol: Some(protocol.to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
