//! From pods, as Kubernetes shows them, to the input of a rollout's plan.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use tokio::time::Instant;

use super::{
    plan::{PodSeen, PodState, RolloutPlan, Situation, Why, plan},
    silence::Silence,
};
use crate::{
    cluster::{
        downgrade::DATABASE_NEWER,
        observe,
        pod_creation::RefusedPod,
        resource::ClusterStatus,
        rules::Rule,
        status::{self, ROLLING_OUT, ROLLOUT_BLOCKED},
        validate::ValidatedCluster,
    },
    names::LABEL_REVISION,
    node::NodeDetails,
};

/// Decides which pod is replaced now, or the reason to wait.
pub(in crate::cluster) fn plan_rollout(
    cluster: &ValidatedCluster,
    set: &StatefulSet,
    pods: (&[(Pod, Option<NodeDetails>)], &[RefusedPod]),
    before: &ClusterStatus,
    (silence, now): (&mut Silence, Timestamp),
) -> RolloutPlan {
    let (_, wanted) = counts(cluster, set);
    let unjudged_for = silence.note(pods.0, wanted, Instant::now());
    let course = (was_rolling(before), unjudged_for);
    plan_from(cluster, set, pods, course, now)
}

/// Whether all pods have the set's template, and have served since. A rollout has not ended while one pod has not served,
/// whatever the status reported meanwhile.
pub(in crate::cluster) fn is_rolled_out(
    cluster: &ValidatedCluster,
    set: &StatefulSet,
    pods: &[(Pod, Option<NodeDetails>)],
    now: Timestamp,
) -> bool {
    let course = (true, Duration::ZERO);
    plan_from(cluster, set, (pods, &[]), course, now) == RolloutPlan::Finished
}

fn plan_from(
    cluster: &ValidatedCluster,
    set: &StatefulSet,
    (pods, refused): (&[(Pod, Option<NodeDetails>)], &[RefusedPod]),
    (was_rolling, unjudged_for): (bool, Duration),
    now: Timestamp,
) -> RolloutPlan {
    let (there, wanted) = counts(cluster, set);
    let rules = cluster.installation.rules;
    let is_judged = rules.hold(Rule::ReplacedNodesAreInSync);
    let seen: Vec<_> = pods
        .iter()
        .filter_map(|(pod, node)| pod_seen(pod, node.as_ref().filter(|_| is_judged)))
        .collect();
    if !rules.hold(Rule::PodsGoOneAtATime)
        && let Some(revision) = revision(set)
    {
        return next_of_all(&seen, revision);
    }
    let refused: Vec<_> = refused
        .iter()
        .filter_map(|pod| Some((observe::ordinal_of(&pod.name)?, pod.since?)))
        .collect();
    plan(&Situation {
        name: cluster.name.as_str(),
        revision: revision(set),
        wanted,
        there,
        pods: &seen,
        refused: &refused,
        was_rolling,
        unjudged_for: if is_judged {
            unjudged_for
        } else {
            Duration::MAX
        },
        answer_timeout: cluster.installation.answer_timeout,
        now,
    })
}

/// How many pods there are, and how many of them stay: a pod that is yet to come or is to leave is neither replaced nor waited
/// for.
fn counts(cluster: &ValidatedCluster, set: &StatefulSet) -> (usize, usize) {
    let there = set.spec.as_ref().and_then(|spec| spec.replicas);
    let there = there.unwrap_or(cluster.spec.replicas);
    let wanted = there.min(cluster.spec.replicas);
    let count = |number| usize::try_from(number).unwrap_or_default();
    (count(there), count(wanted))
}

/// Without regard to the acts of others: only simulations ask for this.
fn next_of_all(pods: &[PodSeen<'_>], revision: &str) -> RolloutPlan {
    let outdated = pods
        .iter()
        .filter(|pod| pod.revision != Some(revision) && pod.state != PodState::Ending);
    match outdated.map(|pod| pod.ordinal).max() {
        Some(ordinal) => RolloutPlan::Replace {
            ordinal,
            why: Why::Outdated,
        },
        None => RolloutPlan::Finished,
    }
}

/// The wanted revision, once Kubernetes has observed the present StatefulSet.
fn revision(set: &StatefulSet) -> Option<&str> {
    let status = set.status.as_ref()?;
    let is_taken_up = status.observed_generation >= set.metadata.generation;
    status.update_revision.as_deref().filter(|_| is_taken_up)
}

/// `status.currentRevision` does not show it: where not Kubernetes but others replace pods, it stays the first revision for
/// ever, up to Kubernetes 1.36.
fn was_rolling(before: &ClusterStatus) -> bool {
    before.conditions.iter().any(|told| {
        let reasons = [ROLLING_OUT, ROLLOUT_BLOCKED, DATABASE_NEWER];
        told.type_ == "Ready" && reasons.contains(&told.reason.as_str())
    })
}

fn pod_seen<'a>(pod: &'a Pod, node: Option<&'a NodeDetails>) -> Option<PodSeen<'a>> {
    let labels = pod.metadata.labels.as_ref();
    let ending = pod.metadata.deletion_timestamp.as_ref();
    let (state, since) = match ending {
        Some(ending) => (PodState::Ending, Some(ending.0)),
        None if status::is_ready(pod) => (PodState::Ready, None),
        None => (PodState::NotReady, not_ready_since(pod)),
    };
    Some(PodSeen {
        ordinal: observe::ordinal(pod)?,
        revision: labels
            .and_then(|labels| labels.get(LABEL_REVISION))
            .map(String::as_str),
        state,
        since,
        node,
    })
}

fn not_ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let told = conditions
        .filter(|condition| condition.type_ == "Ready")
        .find_map(|condition| condition.last_transition_time.as_ref());
    told.or(pod.metadata.creation_timestamp.as_ref())
        .map(|time| time.0)
}
