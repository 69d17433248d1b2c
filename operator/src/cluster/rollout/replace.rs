//! Deletes the pod that the plan replaces. Its StatefulSet makes a new pod on the same volume.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Preconditions},
};

use super::{
    plan::{RolloutPlan, Why},
    record,
};
use crate::{
    cluster::{
        apply, context::Context, dereference::DereferencedObjects, events, observe,
        resource::OpenSecureConfCluster, rules::Rule, settled::Mandate, validate::ValidatedCluster,
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
    let there: Vec<_> = pods.iter().map(|(pod, _)| pod).collect();
    let is_planned = |pod: &&Pod| observe::ordinal(pod) == Some(*ordinal);
    let Some(planned) = there.iter().copied().find(is_planned) else {
        return Ok(false);
    };
    mandate.may_act()?;
    let rules = valid.installation.rules;
    let is_recorded = *why == Why::Outdated && rules.hold(Rule::ReplacementsAreRecorded);
    let pod = if is_recorded {
        match record::record(valid, found, &there, planned, context).await? {
            Some(pod) => pod,
            // It is judged once more.
            None => return Ok(true),
        }
    } else {
        planned
    };
    let name = pod.name_any();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &valid.namespace);
    // Only the very pod that was judged, in the state of that moment.
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: pod.uid(),
            resource_version: pod.resource_version(),
        })
        .filter(|_| rules.hold(Rule::NothingElseIsDeleted)),
        ..DeleteParams::default()
    };
    match api.delete(&name, &parameters).await {
        Ok(_) => {
            let why = match why {
                _ if name != planned.name_any() => "its replacement had begun",
                Why::Outdated => "it was made from another pod template",
                Why::NotReady => "it was made from another pod template, and does not serve",
            };
            events::announce_replaced(cluster, pod, why, &context.recorder).await;
        }
        // The pod is another one by now, or gone.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
        Err(source) => return Err(apply::failed::<Pod>("delete", &name, source)),
    }
    Ok(true)
}
