//! The sources that may reach the nodes. Egress is free, also to a shared database.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::{
    cluster::{Workload, resource::ServiceType, validate::ValidatedCluster},
    names::{HTTP_PORT, HTTPS_PORT, LABEL_NAME, METRICS_PORT, OPERATOR, PEERS_PORT},
};

/// The label that every namespace has: its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The labels of scrapers, set by their own operators.
const SCRAPERS: [&str; 2] = ["prometheus", "vmagent"];

pub(super) fn build(cluster: &ValidatedCluster) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata::owned(cluster, cluster.name.as_str().to_owned()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::pod_selector(cluster)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            // Port 9003 has no rule: the kubelet of the pod's own machine always gets through.
            ingress: Some(vec![
                rule(&[HTTP_PORT, HTTPS_PORT], clients(cluster)),
                rule(&[PEERS_PORT], Some(peers(cluster))),
                rule(&[METRICS_PORT], Some(scrapers(cluster))),
            ]),
            egress: None,
        }),
    }
}

/// By number: a named port matches only while a container has it.
fn rule(ports: &[u16], from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let port = |port: &u16| NetworkPolicyPort {
        port: Some(IntOrString::Int((*port).into())),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule {
        ports: Some(ports.iter().map(port).collect()),
        from,
    }
}

/// `None` is everything that can reach the port at all.
fn clients(cluster: &ValidatedCluster) -> Option<Vec<NetworkPolicyPeer>> {
    let clients = &cluster.spec.network_policy.clients;
    if !clients.is_empty() {
        return Some(clients.clone());
    }
    // A client outside the cluster is no pod.
    let inside = cluster.spec.service.type_ == ServiceType::ClusterIP;
    inside.then(|| {
        vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }]
    })
}

fn peers(cluster: &ValidatedCluster) -> Vec<NetworkPolicyPeer> {
    let namespace = &cluster.installation.namespace;
    let nodes = NetworkPolicyPeer {
        pod_selector: Some(metadata::pod_selector(cluster)),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(labelled(NAMESPACE_NAME, namespace)),
        pod_selector: Some(labelled(LABEL_NAME, OPERATOR)),
        ip_block: None,
    };
    match cluster.workload() {
        Workload::StatefulSet => vec![nodes, operator],
        // They do not know each other.
        Workload::Deployment(_) => vec![operator],
    }
}

fn scrapers(cluster: &ValidatedCluster) -> Vec<NetworkPolicyPeer> {
    let metrics = &cluster.spec.network_policy.metrics;
    if !metrics.is_empty() {
        return metrics.clone();
    }
    SCRAPERS
        .map(|name| NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            pod_selector: Some(labelled(LABEL_NAME, name)),
            ip_block: None,
        })
        .to_vec()
}

fn labelled(name: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some([(name.to_owned(), value.to_owned())].into()),
        match_expressions: None,
    }
}
