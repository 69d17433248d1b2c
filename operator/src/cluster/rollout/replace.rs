//! Takes away the pod that a plan replaces. Its StatefulSet makes a new pod.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::Preconditions};

use super::{
    plan::{RolloutPlan, Why},
    record,
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
    let serves = *why == Why::Outdated;
    let next = next_to_delete(valid, (found, pods), (planned, serves), context).await?;
    let Some(pod) = next else {
        // It is judged once more.
        return Ok(Replaced::Tried);
    };
    let why = match why {
        _ if pod != planned => REPLACEMENT_HAD_BEGUN,
        Why::Outdated => "it was made from another pod template",
        Why::NotReady => "it was made from another pod template, and does not serve",
    };
    take_away(cluster, valid, (pod, Force::No, pods), why, context).await
}

/// Why a pod goes that an earlier record names.
pub(in crate::cluster) const REPLACEMENT_HAD_BEGUN: &str = "its replacement had begun";

/// The pod to delete now: the planned one, or one whose deletion may still arrive. If the planned one serves, a record names the
/// pod first; `None` where that has to be judged once more.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn next_to_delete<'a>(
    valid: &ValidatedCluster,
    (found, pods): (&DereferencedObjects, &'a [(Pod, Option<NodeDetails>)]),
    (planned, serves): (&'a Pod, bool),
    context: &Context,
) -> Result<Option<&'a Pod>, apply::Error> {
    if !serves || !valid.installation.rules.hold(Rule::ReplacementsAreRecorded) {
        return Ok(Some(planned));
    }
    let there: Vec<_> = pods.iter().map(|(pod, _)| pod).collect();
    record::record(valid, found, &there, planned, context).await
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
    (pod, force, pods): (&Pod, Force, &[(Pod, Option<NodeDetails>)]),
    why: &str,
    context: &Context,
) -> Result<Replaced, apply::Error> {
    let api = |client: &Client| Api::<Pod>::namespaced(client.clone(), &valid.namespace);
    let judged = Preconditions {
        uid: pod.uid(),
        resource_version: pod.resource_version(),
    };
    let name = pod.name_any();
    let rules = valid.installation.rules;
    let is_counted = status::is_ready(pod) && force == Force::No;
    let goes = if is_counted && rules.hold(Rule::BudgetsAreRespected) {
        match judged_deletion::evict(valid, &api(&context.evictions), &name, judged.clone()).await?
        {
            Answer::Held(words) if !only_leaving_are_away(valid, pods) => {
                return Ok(Replaced::Held { pod: name, words });
            }
            // Several budgets, or one that counts what does not come back: the API server never lets it go. The operator's own
            // judgement counts, as that of Kubernetes' controllers does in a rollout.
            Answer::Held(_) | Answer::NotJudged => {
                judged_deletion::delete(valid, &api(&context.client), &name, judged).await?
            }
            answer => answer == Answer::Goes,
        }
    } else {
        judged_deletion::delete(valid, &api(&context.client), &name, judged).await?
    };
    if goes {
        events::announce_replaced(cluster, pod, why, &context.recorder).await;
    }
    Ok(Replaced::Tried)
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
