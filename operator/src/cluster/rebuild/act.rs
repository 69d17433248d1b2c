//! Makes a node leave, and gives its volume up. Only the very claim and the very pod that were judged go.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, ResourceExt, api::Preconditions};

use super::plan::RebuildPlan;
use crate::{
    cluster::{
        apply,
        context::Context,
        dereference::DereferencedObjects,
        events, judged_deletion,
        observe::{self, Connection},
        resource::OpenSecureConfCluster,
        rollout::{self, Force, Next, Replaced},
        settled::Mandate,
        status,
        validate::ValidatedCluster,
        volumes::VolumeClaim,
    },
    node::{AdminCommand, NodeDetails},
};

/// Carries the plan out.
///
/// # Errors
/// Where this reconcile may only look, or the API server refuses. The claim is deleted first: if the operator ends then, the
/// entry still stands, and the next reconcile goes on.
pub(in crate::cluster) async fn carry_out(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    (found, pods): (&DereferencedObjects, &[(Pod, Option<NodeDetails>)]),
    plan: &RebuildPlan,
    (nodes, mandate): (Option<&Connection>, Mandate<'_>),
    context: &Context,
) -> Result<Replaced, apply::Error> {
    if !plan.is_due() {
        return Ok(Replaced::NotTried);
    }
    mandate.may_act()?;
    let of = |ordinal: usize| {
        let mut pods = pods.iter().map(|(pod, _)| pod);
        pods.find(|pod| observe::ordinal(pod) == Some(ordinal))
    };
    match plan {
        RebuildPlan::Leave { ordinal } => {
            if let (Some(pod), Some(nodes)) = (of(*ordinal), nodes)
                && context.may_order()
            {
                leave(cluster, valid, pod, nodes, context).await;
            }
            Ok(Replaced::Tried)
        }
        RebuildPlan::GiveUp {
            ordinal,
            incarnation,
        } => {
            let pod = of(*ordinal).filter(|pod| pod.metadata.deletion_timestamp.is_none());
            let mut next = None;
            if let Some(planned) = pod {
                let planned_so = (
                    planned,
                    status::is_ready(planned),
                    force(valid, incarnation),
                );
                let there = (found, pods);
                match rollout::next_to_delete(valid, there, planned_so, context).await? {
                    Ok(this) if this.pod == planned => next = Some(this),
                    Ok(other) => {
                        let why = rollout::REPLACEMENT_HAD_BEGUN;
                        let other = (&other, Force::No, pods);
                        return rollout::take_away(cluster, valid, other, why, context).await;
                    }
                    Err(stays) => return Ok(stays),
                }
            }
            let mut claims = found.volumes.iter();
            let claim = claims.find(|claim| claim.ordinal == *ordinal);
            let given_up = (claim, next.as_ref());
            give_up(cluster, valid, given_up, pods, incarnation, context).await
        }
        RebuildPlan::Finished
        | RebuildPlan::Leaving { .. }
        | RebuildPlan::Joining { .. }
        | RebuildPlan::Blocked(_) => Ok(Replaced::NotTried),
    }
}

async fn leave(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    pod: &Pod,
    nodes: &Connection,
    context: &Context,
) {
    let address = observe::address(valid, pod);
    match nodes.client.command(&address, &AdminCommand::Leave).await {
        Ok(()) => {
            let node = pod.name_any();
            let told = events::Told::Leave { node };
            events::announce_order(cluster, &told, &context.recorder).await;
        }
        Err(error) => tracing::warn!(error = %error, "admin_command_failed"),
    }
}

async fn give_up(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    (claim, next): (Option<&VolumeClaim>, Option<&Next<'_>>),
    pods: &[(Pod, Option<NodeDetails>)],
    incarnation: &str,
    context: &Context,
) -> Result<Replaced, apply::Error> {
    let (client, namespace) = (&context.client, valid.namespace.as_str());
    if let Some(claim) = claim.filter(|claim| !claim.is_ending) {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let judged = Preconditions {
            uid: claim.uid.clone(),
            resource_version: claim.resource_version.clone(),
        };
        if !judged_deletion::delete(valid, &api, &claim.name, judged).await? {
            return Ok(Replaced::Tried);
        }
        events::announce_given_up(cluster, &claim.name, incarnation, &context.recorder).await;
    }
    let Some(next) = next else {
        return Ok(Replaced::Tried);
    };
    // A pod that changed meanwhile, or that is held, is judged once more: its claim stays for as long as the pod exists.
    let why = "it is rebuilt with a new volume";
    let next = (next, force(valid, incarnation), pods);
    rollout::take_away(cluster, valid, next, why, context).await
}

/// A user who rebuilds a node by force does so although another one may be away.
fn force(valid: &ValidatedCluster, incarnation: &str) -> Force {
    let mut entries = valid.spec.rebuild_members.iter();
    if entries.any(|entry| entry.incarnation == incarnation && entry.force) {
        Force::Yes
    } else {
        Force::No
    }
}
