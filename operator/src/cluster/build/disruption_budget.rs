//! One node at a time; a node that is not ready anyway never blocks a drain.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata;
use crate::cluster::{Workload, validate::ValidatedCluster};

pub(super) fn build(cluster: &ValidatedCluster) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata::owned(cluster, cluster.name.as_str().to_owned()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(max_unavailable(cluster)),
            selector: Some(metadata::pod_selector(cluster)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

/// Nodes that share a database do not wait for each other.
fn max_unavailable(cluster: &ValidatedCluster) -> IntOrString {
    match cluster.workload() {
        Workload::StatefulSet => IntOrString::Int(1),
        Workload::Deployment(_) => IntOrString::String("25%".to_owned()),
    }
}
