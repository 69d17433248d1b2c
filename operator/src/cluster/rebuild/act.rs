//! Makes a node leave, and gives its volume up. Only the very claim and the very pod that were judged are deleted.

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
        rollout,
        settled::Mandate,
        status,
        validate::ValidatedCluster,
        volumes::VolumeClaim,
    },
    node::{AdminCommand, NodeDetails},
};

/// Carries the plan out, and returns whether anything was tried.
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
) -> Result<bool, apply::Error> {
    if !plan.is_due() {
        return Ok(false);
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
            Ok(true)
        }
        RebuildPlan::GiveUp {
            ordinal,
            incarnation,
        } => {
            let pod = of(*ordinal).filter(|pod| pod.metadata.deletion_timestamp.is_none());
            if let Some(planned) = pod {
                let planned = (planned, status::is_ready(planned));
                let next = rollout::next_to_delete(valid, (found, pods), planned, context).await?;
                match next {
                    Some(next) if next == planned.0 => {}
                    Some(other) => {
                        let why = rollout::REPLACEMENT_HAD_BEGUN;
                        rollout::delete(cluster, valid, other, why, context).await?;
                        return Ok(true);
                    }
                    // It is judged once more.
                    None => return Ok(true),
                }
            }
            let mut claims = found.volumes.iter();
            let claim = claims.find(|claim| claim.ordinal == *ordinal);
            give_up(cluster, valid, (claim, pod), incarnation, context).await?;
            Ok(true)
        }
        RebuildPlan::Finished
        | RebuildPlan::Leaving { .. }
        | RebuildPlan::Joining { .. }
        | RebuildPlan::Blocked(_) => Ok(false),
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
    (claim, pod): (Option<&VolumeClaim>, Option<&Pod>),
    incarnation: &str,
    context: &Context,
) -> Result<(), apply::Error> {
    let (client, namespace) = (&context.client, valid.namespace.as_str());
    if let Some(claim) = claim.filter(|claim| !claim.is_ending) {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let judged = Preconditions {
            uid: claim.uid.clone(),
            resource_version: claim.resource_version.clone(),
        };
        if !judged_deletion::delete(valid, &api, &claim.name, judged).await? {
            return Ok(());
        }
        events::announce_given_up(cluster, &claim.name, incarnation, &context.recorder).await;
    }
    if let Some(pod) = pod {
        // A pod that changed meanwhile is judged once more: its claim stays for as long as the pod exists.
        let why = "it is rebuilt with a new volume";
        rollout::delete(cluster, valid, pod, why, context).await?;
    }
    Ok(())
}
