//! Deletes the pod that a plan replaces. Its StatefulSet makes a new pod.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::Preconditions};

use super::{
    plan::{RolloutPlan, Why},
    record,
};
use crate::{
    cluster::{
        apply, context::Context, dereference::DereferencedObjects, events, judged_deletion,
        observe, resource::OpenSecureConfCluster, rules::Rule, settled::Mandate,
        validate::ValidatedCluster,
    },
    node::NodeDetails,
};

/// Carries the plan out, and returns whether anything was tried.
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
) -> Result<bool, apply::Error> {
    let RolloutPlan::Replace { ordinal, why } = plan else {
        return Ok(false);
    };
    let is_planned = |pod: &&Pod| observe::ordinal(pod) == Some(*ordinal);
    let Some(planned) = pods.iter().map(|(pod, _)| pod).find(is_planned) else {
        return Ok(false);
    };
    mandate.may_act()?;
    let serves = *why == Why::Outdated;
    let next = next_to_delete(valid, (found, pods), (planned, serves), context).await?;
    let Some(pod) = next else {
        // It is judged once more.
        return Ok(true);
    };
    let why = match why {
        _ if pod != planned => REPLACEMENT_HAD_BEGUN,
        Why::Outdated => "it was made from another pod template",
        Why::NotReady => "it was made from another pod template, and does not serve",
    };
    delete(cluster, valid, pod, why, context).await?;
    Ok(true)
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

/// Deletes the very pod that was judged, in the state of that moment. Returns whether it was that one.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn delete(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    pod: &Pod,
    why: &str,
    context: &Context,
) -> Result<bool, apply::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &valid.namespace);
    let judged = Preconditions {
        uid: pod.uid(),
        resource_version: pod.resource_version(),
    };
    let was_it = judged_deletion::delete(valid, &api, &pod.name_any(), judged).await?;
    if was_it {
        events::announce_replaced(cluster, pod, why, &context.recorder).await;
    }
    Ok(was_it)
}
