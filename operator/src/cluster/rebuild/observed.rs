//! From pods and claims, as Kubernetes shows them, to the input of a rebuild's plan.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::ResourceExt;

use super::plan::{NodeSeen, RebuildPlan, Situation, VolumeSeen, plan};
use crate::{
    cluster::{
        hibernation::Rest, resource::RebuildMember, rules::Rule, status,
        validate::ValidatedCluster, volumes::VolumeClaim,
    },
    node::NodeDetails,
};

/// Decides which node is given up now, or the reason to wait.
pub(in crate::cluster) fn plan_rebuild(
    cluster: &ValidatedCluster,
    there: Option<&StatefulSet>,
    pods: &[(Pod, Option<NodeDetails>)],
    claims: &[VolumeClaim],
    rest: Rest,
) -> RebuildPlan {
    let current = there.and_then(|set| set.spec.as_ref()?.replicas);
    // A node that wakes may be the one for which all others wait.
    let wanted = rest.nodes().unwrap_or(cluster.spec.replicas);
    let held = match rest {
        _ if cluster.spec.paused => Some("spec.paused is true; set it to false"),
        Rest::Awake | Rest::Waking { .. } if current != Some(wanted) => {
            Some("nodes come or leave; it goes on once there are as many as spec.replicas says")
        }
        Rest::Awake | Rest::Waking { .. } => None,
        Rest::Holding { .. } | Rest::Asleep { .. } => Some("nodes sleep; set hibernate to false"),
    };
    let nodes: Vec<_> = (0..wanted)
        .map(|ordinal| seen(cluster, ordinal, pods, claims))
        .collect();
    let entries = cluster.spec.rebuild_members.iter();
    let entries: Vec<_> = entries
        .map(|entry| in_force(cluster, entry, &nodes))
        .collect();
    plan(&Situation {
        entries: &entries,
        nodes: &nodes,
        held,
        only_node_stays: cluster.installation.rules.hold(Rule::TheOnlyNodeStays),
    })
}

/// The requested entries, as far as the rules enforce them.
fn in_force(
    cluster: &ValidatedCluster,
    entry: &RebuildMember,
    nodes: &[NodeSeen<'_>],
) -> RebuildMember {
    let rules = cluster.installation.rules;
    let mut entry = entry.clone();
    let node = nodes.iter().find(|node| node.name == entry.name);
    if !rules.hold(Rule::VolumesGoWithTheirLives)
        && let Some(lives) = node.and_then(|node| node.details)
    {
        entry.incarnation.clone_from(&lives.incarnation);
    }
    entry.force |= !rules.hold(Rule::VolumesAreHandedOver);
    entry
}

fn seen<'a>(
    cluster: &ValidatedCluster,
    ordinal: i32,
    pods: &'a [(Pod, Option<NodeDetails>)],
    claims: &'a [VolumeClaim],
) -> NodeSeen<'a> {
    let name = cluster.name.pod(ordinal);
    let pod = pods.iter().find(|(pod, _)| pod.name_any() == name);
    let claim = claims.iter().find(|claim| claim.of_node(ordinal));
    NodeSeen {
        is_ready: pod.is_some_and(|(pod, _)| status::is_ready(pod)),
        has_pod: pod.is_some_and(|(pod, _)| pod.metadata.deletion_timestamp.is_none()),
        details: pod.and_then(|(_, details)| details.as_ref()),
        volume: claim.map(|claim| VolumeSeen {
            incarnation: claim.incarnation.as_deref(),
            is_ending: claim.is_ending,
        }),
        name,
    }
}
