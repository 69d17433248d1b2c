//! Nodes that share a database: they store nothing, so Kubernetes itself replaces their pods.

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{metadata, pods::pod_template};
use crate::cluster::validate::ValidatedCluster;

/// How many pods come before others go, during a rollout.
const SURGE: &str = "25%";

pub(super) fn build(cluster: &ValidatedCluster) -> Deployment {
    Deployment {
        metadata: metadata::of_workload(cluster),
        spec: Some(DeploymentSpec {
            // Asleep there is none; how many there are to be, the resource itself remembers.
            replicas: Some(if cluster.spec.hibernate {
                0
            } else {
                cluster.spec.replicas
            }),
            selector: metadata::pod_selector(cluster),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String(SURGE.to_owned())),
                    // A node goes only once another one serves in its place.
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: pod_template(cluster),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
