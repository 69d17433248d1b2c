//! Orders about nodes and pods: which leave, which are rebuilt, which are replaced.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};

use super::Judged;
use crate::{
    cluster::{
        context::Context,
        dereference::DereferencedObjects,
        downgrade::{self, DATABASE_NEWER},
        membership,
        observe::Connection,
        planned,
        pod_creation::RefusedPod,
        rebuild::{self, RebuildPlan},
        reconcile::Error,
        recovery::{self, ALL_NODES_FENCED},
        rollout::{self, Replaced, RolloutPlan, Waiting},
        settled::Mandate,
        stalled::Stalled,
        validate::ValidatedCluster,
    },
    node::NodeDetails,
};

/// Gives nodes the planned orders, and returns the reason to wait for a user.
pub(super) async fn order(
    judged: &Judged<'_>,
    found: &DereferencedObjects,
    pods: &[(Pod, Option<NodeDetails>)],
    planned: &planned::Planned,
    (nodes, mandate): (Option<&Connection>, Mandate<'_>),
    context: &Context,
) -> Result<Option<Stalled>, Error> {
    let Judged { cluster, valid, .. } = judged;
    if valid.spec.paused {
        return Ok(None);
    }
    let plan = &planned.membership;
    if plan.has_orders() {
        mandate.may_act()?;
    }
    let stalled = membership::act(cluster, valid, found, pods, plan, nodes, context).await;
    let stalled = stalled
        .or_else(|| recovery::all_fenced(valid, pods))
        .or_else(|| downgrade::refused(valid, pods, judged.before));
    Ok(stalled.or_else(|| planned.stalled()))
}

/// The result for nodes that a user wants to rebuild.
pub(super) struct Rebuild {
    /// The plan for the status.
    pub(super) plan: RebuildPlan,
    /// Whether anything was written, ordered or deleted, or tried in vain.
    pub(super) tried: bool,
}

impl Rebuild {
    fn not_tried(planned: &planned::Planned) -> Self {
        Self {
            plan: planned.rebuild.clone(),
            tried: false,
        }
    }
}

/// Gives up volumes as planned, and records the incarnations on the other claims; does nothing for a cluster that is held.
pub(super) async fn rebuild(
    is_free: bool,
    judged: &Judged<'_>,
    found: &DereferencedObjects,
    pods: &[(Pod, Option<NodeDetails>)],
    planned: &planned::Planned,
    (nodes, mandate): (Option<&Connection>, Mandate<'_>),
    context: &Context,
) -> Result<Rebuild, Error> {
    let Judged { cluster, valid, .. } = judged;
    if !is_free {
        return Ok(Rebuild::not_tried(planned));
    }
    let (claims, plan) = (&found.volumes, &planned.rebuild);
    let ways = (nodes, mandate);
    let there = (found, pods);
    let carried_out = rebuild::carry_out(cluster, valid, there, plan, ways, context).await;
    let rebuild = match carried_out {
        Ok(Replaced::NotTried) => Rebuild::not_tried(planned),
        Ok(Replaced::Tried) => Rebuild {
            tried: true,
            ..Rebuild::not_tried(planned)
        },
        Ok(Replaced::Held { pod, words }) => Rebuild {
            plan: plan
                .held(valid, (&pod, &words))
                .unwrap_or_else(|| plan.clone()),
            tried: true,
        },
        Err(error) => match error.refusal().and_then(|words| plan.refused(valid, words)) {
            Some(plan) => Rebuild { plan, tried: false },
            None => return Err(error.into()),
        },
    };
    let may_record = matches!(mandate, Mandate::Act);
    let recorded = may_record && rebuild::record(&context.client, valid, claims, pods).await;
    Ok(Rebuild {
        tried: rebuild.tried || recorded,
        ..rebuild
    })
}

/// The plan for pods of another template, and whether it was tried; without a mandate it is only reported.
pub(super) async fn roll_out(
    judged: &Judged<'_>,
    set: Option<&StatefulSet>,
    found: &DereferencedObjects,
    (pods, refused): (&[(Pod, Option<NodeDetails>)], &[RefusedPod]),
    mandate: Option<Mandate<'_>>,
    context: &Context,
) -> Result<(RolloutPlan, bool), Error> {
    let Judged {
        cluster,
        valid,
        before,
        ..
    } = judged;
    let plan = set.map_or(RolloutPlan::Finished, |set| {
        let now = context.now();
        context.remember(&valid.namespace, valid.name.as_str(), |memory| {
            let course = (&mut memory.silence, now);
            rollout::plan_rollout(valid, set, (pods, refused), before, course)
        })
    });
    let Some(mandate) = mandate else {
        return Ok((plan, false));
    };
    let there = (found, pods);
    let replaced = rollout::carry_out(cluster, valid, there, &plan, mandate, context).await?;
    Ok(match replaced {
        Replaced::NotTried => (plan, false),
        Replaced::Tried => (plan, true),
        Replaced::Held { pod, words } => (RolloutPlan::Wait(Waiting::Budget { pod, words }), true),
    })
}

/// Whether no pod may be replaced now. Volumes that cannot grow keep none from its template, nor do nodes of which none serves, or
/// one that another image brings back.
pub(super) fn is_held(
    valid: &ValidatedCluster,
    stalled: Option<&Stalled>,
    planned: &planned::Planned,
) -> bool {
    let holds = |stalled: &Stalled| {
        ![ALL_NODES_FENCED, DATABASE_NEWER].contains(&stalled.reason)
            && Some(stalled) != planned.stalled().as_ref()
    };
    valid.spec.paused || stalled.is_some_and(holds)
}
