//! The verdicts while pods are replaced.

use kube::ResourceExt;

use super::leaving::{is_lowered, stays};
use crate::{
    cluster::{
        rebuild,
        rollout::{RolloutPlan, Waiting},
        status::{self, Observation, Running},
        volumes,
    },
    duration,
};

/// The reason while pods are replaced as planned.
pub(in crate::cluster) const ROLLING_OUT: &str = "RollingOut";
/// The reason where a pod does not come back.
pub(in crate::cluster) const ROLLOUT_BLOCKED: &str = "RolloutBlocked";

/// The progress of a rollout, and the reason to wait; `None` where none is under way.
pub(super) fn rollout(seen: &Observation<'_>, wanted: usize) -> Option<String> {
    let Running::StatefulSet(Some(stateful_set)) = seen.running else {
        return None;
    };
    let status = stateful_set.status.as_ref()?;
    if status.observed_generation < stateful_set.metadata.generation && !is_lowered(stateful_set) {
        return Some("waiting for Kubernetes to take up the new StatefulSet".to_owned());
    }
    let updated = usize::try_from(status.updated_replicas.unwrap_or_default()).unwrap_or_default();
    if updated >= wanted && !seen.rollout.is_under_way() {
        return None;
    }
    let updated = updated.min(wanted);
    let so_far = format!("{updated} of {wanted} nodes run the current pod template");
    Some(match seen.rollout {
        RolloutPlan::Wait(Waiting::Sync(node)) => {
            format!("{so_far}; waiting until {node} has what the others have")
        }
        RolloutPlan::Wait(Waiting::Salt(node)) => {
            format!("{so_far}; waiting because {node} has another salt than the others")
        }
        RolloutPlan::Wait(Waiting::Answer(node)) => {
            let timeout = duration::write(seen.cluster.installation.answer_timeout);
            format!(
                "{so_far}; waiting until {node} answers the operator, or has not for {timeout}: whether it reaches the others is not known"
            )
        }
        RolloutPlan::Wait(Waiting::Budget { pod, words }) => {
            format!(
                "{so_far}; waiting until the disruption budget lets pod {pod} go: {}{}",
                words.trim_end_matches('.'),
                step_beside_budget(seen, wanted, pod)
            )
        }
        _ => so_far,
    })
}

/// What a user can do where a budget lets no pod go although none is away: it allows no disruption at all.
fn step_beside_budget(seen: &Observation<'_>, wanted: usize, pod: &str) -> String {
    let serving = seen
        .pods
        .iter()
        .filter(|(there, _)| stays(&there.name_any(), wanted) && status::is_ready(there));
    if serving.count() < wanted {
        return String::new();
    }
    let namespace = &seen.cluster.namespace;
    format!(
        "; all nodes serve, so if this stays, a budget allows no disruption: `kubectl get pdb -n {namespace}` shows which, so raise its maxUnavailable \
         or lower its minAvailable, or replace the pod beside it: `kubectl delete pod {pod} -n {namespace} --wait=false`"
    )
}

/// The step that a user has to take where a pod does not come back.
pub(super) fn blocked(seen: &Observation<'_>, wanted: usize) -> Option<String> {
    let RolloutPlan::Blocked { ordinal, is_last } = seen.rollout else {
        return None;
    };
    let name = &seen.cluster.name;
    let pod = format!("{name}-{ordinal}");
    let details = seen.pods.iter().find(|(there, _)| there.name_any() == pod);
    let details = details.and_then(|(_, details)| details.as_ref());
    let rebuild = match status::incarnation(&pod, details, seen.claims) {
        Some(incarnation) => rebuild::command(seen.cluster, &pod, &incarnation),
        None => volumes::renewal(seen.cluster, &[*ordinal]),
    };
    let fewer = if *is_last && wanted > 1 {
        format!("; or set spec.replicas to {ordinal}, so that the cluster goes on without it")
    } else {
        String::new()
    };
    Some(format!(
        "pod {pod} has not come back for 10 minutes, and no other pod is replaced while it is down. Correct what its events and logs \
         name: another image or pod template replaces it at once. If its disk is lost, rebuild it from the other nodes: `{rebuild}`{fewer}"
    ))
}
