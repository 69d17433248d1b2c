//! The nodes that stay in a cluster that shrinks. Leaving nodes do not make the others unready.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

use crate::{
    cluster::{
        resource::MemberStatus,
        status::{Observation, Running},
    },
    node::MemberState,
};

/// The number of wanted nodes where none of the present ones is about to leave.
pub(super) const ALL: usize = usize::MAX;

/// Whether the node of this name is a wanted one.
pub(super) fn stays(name: &str, wanted: usize) -> bool {
    ordinal(name).is_none_or(|ordinal| ordinal < wanted)
}

/// The wanted ones of the present nodes.
pub(in crate::cluster::status) fn staying<'a>(
    seen: &Observation<'_>,
    members: &'a [MemberStatus],
) -> Vec<&'a MemberStatus> {
    let wanted = match seen.running {
        Running::StatefulSet(_) => usize::try_from(seen.cluster.spec.replicas).unwrap_or_default(),
        // Their pods have no ordinals.
        Running::Deployment(_) => ALL,
    };
    members
        .iter()
        .filter(|member| stays(&member.name, wanted))
        .collect()
}

/// Whether fewer pods are wanted than exist: such a change of the StatefulSet restarts no pod.
pub(super) fn is_lowered(stateful_set: &StatefulSet) -> bool {
    let wanted = stateful_set.spec.as_ref().and_then(|spec| spec.replicas);
    let there = stateful_set.status.as_ref().map(|status| status.replicas);
    wanted
        .zip(there)
        .is_some_and(|(wanted, there)| wanted < there)
}

/// The message while nodes leave, until the others have forgotten them.
pub(super) fn message(seen: &Observation<'_>, wanted: usize) -> Option<String> {
    let pods = seen.pods.iter().map(|(pod, _)| pod.name_any());
    let known = seen
        .pods
        .iter()
        .filter_map(|(_, details)| details.as_ref())
        .flat_map(|details| &details.members)
        .filter(|member| matches!(member.state, MemberState::Leaving | MemberState::Left))
        .map(|member| member.name.clone());
    let leaving: BTreeSet<_> = pods
        .chain(known)
        .filter(|name| !stays(name, wanted))
        .collect();
    let stay = if wanted == 1 { "stays" } else { "stay" };
    match leaving.len() {
        0 => None,
        1 => Some(format!("1 node is leaving; {wanted} {stay}")),
        leaving => Some(format!("{leaving} nodes are leaving; {wanted} {stay}")),
    }
}

pub(super) fn ordinal(name: &str) -> Option<usize> {
    name.rsplit('-').next()?.parse().ok()
}
