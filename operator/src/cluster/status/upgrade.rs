//! The part of the status on changes of the pod template that wait.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    cluster::{
        observe,
        resource::{ClusterStatus, PendingRollout},
        rollout::Upcoming,
        validate::ValidatedCluster,
    },
    node::NodeDetails,
};

/// The changes of the pod template that wait.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Upgrade {
    /// The changes in the form of the status.
    pub pending: Option<PendingRollout>,
    /// The nodes' image, where it is not the one that this operator would use.
    pub image: Option<String>,
}

impl Upgrade {
    /// The waiting changes, and the pods they concern; where the operator has not looked, the last report.
    pub(in crate::cluster) fn of(
        cluster: &ValidatedCluster,
        upcoming: &Upcoming,
        pods: &[(Pod, Option<NodeDetails>)],
        before: &ClusterStatus,
    ) -> Self {
        match upcoming {
            Upcoming::Nothing => Self::default(),
            Upcoming::Waits(pending) => Self {
                pending: Some(pending.told(cluster, in_order(pods))),
                image: pending.image.clone(),
            },
            Upcoming::Unknown => Self {
                pending: before.pending_rollout.clone(),
                image: Some(before.image.clone()).filter(|_| before.pending_rollout.is_some()),
            },
        }
    }
}

/// The pods in the order in which they are replaced.
fn in_order(pods: &[(Pod, Option<NodeDetails>)]) -> Vec<String> {
    let mut ordinals: Vec<_> = pods
        .iter()
        .map(|(pod, _)| (observe::ordinal(pod), pod.name_any()))
        .collect();
    ordinals.sort_unstable_by(|one, other| other.cmp(one));
    ordinals.into_iter().map(|(_, name)| name).collect()
}
