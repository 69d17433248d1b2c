//! Who may reach the nodes. Egress is free.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::{
    cluster::{resource::ServiceType, validate::ValidatedCluster},
    names::{LABEL_NAME, NODE_PORT_NAME, OPERATOR, OPERATOR_NAMESPACE},
};

/// What every namespace carries as a label: its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

pub(super) fn build(cluster: &ValidatedCluster) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata::owned(cluster, cluster.name.as_str().to_owned()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::pod_selector(cluster)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::String(NODE_PORT_NAME.to_owned())),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
                from: callers(cluster),
            }]),
            egress: None,
        }),
    }
}

/// `None` is everything that can reach the port at all.
fn callers(cluster: &ValidatedCluster) -> Option<Vec<NetworkPolicyPeer>> {
    let clients = &cluster.spec.network_policy.clients;
    if clients.is_empty() {
        // Whoever comes from outside the cluster is no pod.
        let inside = cluster.spec.service.type_ == ServiceType::ClusterIP;
        return inside.then(|| {
            vec![NetworkPolicyPeer {
                namespace_selector: Some(LabelSelector::default()),
                ..NetworkPolicyPeer::default()
            }]
        });
    }
    let peers = NetworkPolicyPeer {
        pod_selector: Some(metadata::pod_selector(cluster)),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(labelled(NAMESPACE_NAME, OPERATOR_NAMESPACE)),
        pod_selector: Some(labelled(LABEL_NAME, OPERATOR)),
        ip_block: None,
    };
    let prometheus = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(labelled(LABEL_NAME, "prometheus")),
        ip_block: None,
    };
    let listed = clients.iter().cloned();
    Some(listed.chain([peers, operator, prometheus]).collect())
}

fn labelled(name: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some([(name.to_owned(), value.to_owned())].into()),
        match_expressions: None,
    }
}
