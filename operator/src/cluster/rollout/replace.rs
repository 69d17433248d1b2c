//! Takes away the pod that a plan replaces. Its StatefulSet makes a new pod.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::Preconditions};

use super::{
    plan::{RolloutPlan, Why},
    record::{self, Recorded},
};
use crate::{
    cluster::{
        apply,
        context::Context,
        dereference::DereferencedObjects,
        events,
        judged_deletion::{self, Answer},
        observe,
        resource::OpenSecureConfCluster,
        rules::Rule,
        settled::Mandate,
        status,
        validate::ValidatedCluster,
    },
    node::NodeDetails,
};

/// What became of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) enum Replaced {
    /// There was nothing to do.
    NotTried,
    /// It was tried: the next reconcile sees whether the pod goes.
    Tried,
    /// The disruption budget keeps the pod for now.
    Held {
        /// The pod.
        pod: String,
        /// The words of the API server.
        words: String,
    },
}

/// Carries the plan out.
///
/// # Errors
/// Where this reconcile may only look, or the API server refuses. The next reconcile sees whether a pod is gone whose deletion
/// got no answer.
pub(in crate::cluster) async fn carry_out(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    (found, pods): (&DereferencedObjects, &[(Pod, Option<NodeDetails>)]),
    plan: &RolloutPlan,
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Replaced, apply::Error> {
    let RolloutPlan::Replace { ordinal, why } = plan else {
        return Ok(Replaced::NotTried);
    };
    let is_planned = |pod: &&Pod| observe::ordinal(pod) == Some(*ordinal);
    let Some(planned) = pods.iter().map(|(pod, _)| pod).find(is_planned) else {
        return Ok(Replaced::NotTried);
    };
    mandate.may_act()?;
    let planned_so = (planned, *why == Why::Outdated, Force::No);
    let next = match next_to_delete(valid, (found, pods), planned_so, context).await? {
        Ok(next) => next,
        Err(stays) => return Ok(stays),
    };
    let why = match why {
        _ if next.pod != planned => REPLACEMENT_HAD_BEGUN,
        Why::Outdated => "it was made from another pod template",
        Why::NotReady => "it was made from another pod template, and does not serve",
    };
    take_away(cluster, valid, (&next, Force::No, pods), why, context).await
}

/// Why a pod goes that an earlier record names.
pub(in crate::cluster) const REPLACEMENT_HAD_BEGUN: &str = "its replacement had begun";

/// A pod that may go.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct Next<'a> {
    /// It.
    pub(in crate::cluster) pod: &'a Pod,
    /// The version of the ConfigMap whose record names it, where this reconcile wrote that record.
    recorded: Option<String>,
}

/// The pod to delete now: the planned one, or one whose deletion may still arrive. If the planned one serves, the API server is
/// asked first, and then a record names the pod. The inner error is that none goes now.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn next_to_delete<'a>(
    valid: &ValidatedCluster,
    (found, pods): (&DereferencedObjects, &'a [(Pod, Option<NodeDetails>)]),
    (planned, serves, force): (&'a Pod, bool, Force),
    context: &Context,
) -> Result<Result<Next<'a>, Replaced>, apply::Error> {
    if !serves || !valid.installation.rules.hold(Rule::ReplacementsAreRecorded) {
        return Ok(Ok(Next {
            pod: planned,
            recorded: None,
        }));
    }
    let there: Vec<_> = pods.iter().map(|(pod, _)| pod).collect();
    let pod = record::next_of(valid, found, &there, planned);
    let force = if pod == planned { force } else { Force::No };
    if let Some(stays) = why_it_stays(valid, (pod, force, pods), context).await? {
        return Ok(Err(stays));
    }
    Ok(match record::record(valid, found, pod, context).await? {
        // It is judged once more.
        Recorded::Not => Err(Replaced::Tried),
        Recorded::Before => Ok(Next {
            pod,
            recorded: None,
        }),
        Recorded::Now(recorded) => Ok(Next { pod, recorded }),
    })
}

/// Why a pod that is to be evicted stays for now. It is asked before anything is written: a record without a deletion would
/// name that pod for ever, and another one would wait for it.
async fn why_it_stays(
    valid: &ValidatedCluster,
    (pod, force, pods): (&Pod, Force, &[(Pod, Option<NodeDetails>)]),
    context: &Context,
) -> Result<Option<Replaced>, apply::Error> {
    if !is_evicted(valid, pod, force) {
        return Ok(None);
    }
    let (api, name) = (api(&context.evictions, valid), pod.name_any());
    Ok(
        match judged_deletion::may_go(valid, &api, &name, as_judged(pod)).await? {
            Answer::Held(words) if !only_leaving_are_away(valid, pods) => {
                Some(Replaced::Held { pod: name, words })
            }
            Answer::IsAnother => Some(Replaced::Tried),
            Answer::Held(_) | Answer::NotJudged | Answer::Goes => None,
        },
    )
}

fn api(client: &Client, valid: &ValidatedCluster) -> Api<Pod> {
    Api::namespaced(client.clone(), &valid.namespace)
}

/// The very pod that was judged, in the state of that moment.
fn as_judged(pod: &Pod) -> Preconditions {
    Preconditions {
        uid: pod.uid(),
        resource_version: pod.resource_version(),
    }
}

/// Whether the API server judges by the budgets that a pod goes.
fn is_evicted(valid: &ValidatedCluster, pod: &Pod, force: Force) -> bool {
    let rules = valid.installation.rules;
    status::is_ready(pod) && force == Force::No && rules.hold(Rule::BudgetsAreRespected)
}

/// Whether a user wants a pod to go whatever else is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum Force {
    /// Only as far as the disruption budget allows it.
    No,
    /// In any case.
    Yes,
}

/// Takes away the very pod that was judged, in the state of that moment. A pod that serves is evicted: an administrator may be
/// draining the machine of another one, and only the API server sees both. One that does not serve is deleted, because it is
/// away already; so is one that the API server would never let go, as before there were evictions.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn take_away(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    (next, force, pods): (&Next<'_>, Force, &[(Pod, Option<NodeDetails>)]),
    why: &str,
    context: &Context,
) -> Result<Replaced, apply::Error> {
    let Next { pod, recorded } = next;
    let goes = if is_evicted(valid, pod, force) {
        let (api, name) = (api(&context.evictions, valid), pod.name_any());
        match judged_deletion::evict(valid, &api, &name, as_judged(pod)).await? {
            Answer::Held(words) if !only_leaving_are_away(valid, pods) => {
                // Since it was asked, another pod went.
                if let Some(version) = recorded {
                    record::withdraw(valid, version, context).await;
                }
                return Ok(Replaced::Held { pod: name, words });
            }
            // Several budgets, or one that counts what does not come back: the API server never lets it go. The operator's own
            // judgement counts, as that of Kubernetes' controllers does in a rollout.
            Answer::Held(_) | Answer::NotJudged => delete(valid, pod, context).await?,
            answer => answer == Answer::Goes,
        }
    } else {
        delete(valid, pod, context).await?
    };
    if goes {
        events::announce_replaced(cluster, pod, why, &context.recorder).await;
    }
    Ok(Replaced::Tried)
}

async fn delete(
    valid: &ValidatedCluster,
    pod: &Pod,
    context: &Context,
) -> Result<bool, apply::Error> {
    let api = api(&context.client, valid);
    judged_deletion::delete(valid, &api, &pod.name_any(), as_judged(pod)).await
}

/// Whether pods are away, and only such as the cluster is to go on without.
fn only_leaving_are_away(valid: &ValidatedCluster, pods: &[(Pod, Option<NodeDetails>)]) -> bool {
    let wanted = usize::try_from(valid.spec.replicas).unwrap_or_default();
    let mut away = pods
        .iter()
        .map(|(pod, _)| pod)
        .filter(|pod| !status::is_ready(pod))
        .peekable();
    away.peek().is_some()
        && away.all(|pod| observe::ordinal(pod).is_some_and(|ordinal| ordinal >= wanted))
}

#[cfg(test)]
mod tests;
