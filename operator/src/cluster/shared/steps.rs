//! The steps in their order, from the first read to the status.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::{
    address::Addresses,
    converge::{Known, Written, converge},
    objects::{self, SharedObjects},
    salt,
};
use crate::{
    cluster::{
        apply,
        context::Context,
        hibernation::Rest,
        layout, mode_change,
        observe::{self, Connection, UnverifiedPods},
        ownership,
        packed::Packed,
        pause::Pause,
        planned,
        rebuild::RebuildPlan,
        reconcile::{self, Error},
        resource::{ClusterStatus, DatabaseSpec},
        rollout::{Accepted, RolloutPlan},
        salt::SaltReports,
        secrets::{self, SecretPlan},
        settled::{Conclusion, Mandate, Settled},
        stalled::Stalled,
        status::{self, Course, Observation, Running, Upgrade},
        steps::{CertificatesSeen, Judged, connect, last_reports, monitoring, salt_fingerprint},
    },
    node::NodeDetails,
};

/// The steps up to the status; `None` where the cluster is another operator's. Where nothing has changed since the last whole
/// read, they use its objects, as long as there is nothing to do.
pub(in crate::cluster) async fn steps(
    judged: &Judged<'_>,
    database: &DatabaseSpec,
    context: &Context,
) -> Result<Option<ClusterStatus>, Error> {
    let valid = judged.valid;
    let (namespace, name) = (valid.namespace.as_str(), valid.name.as_str());
    let watched = context.watched(namespace);
    if let Some(watched) = &watched {
        // A Secret that the resource names brings it back here when it comes or changes.
        watched.note_named(valid);
    }
    // Before the first read: a change meanwhile makes another number then.
    let fingerprint = watched
        .as_ref()
        .and_then(|watched| watched.fingerprint(valid));
    let settled = context.remember(namespace, name, |memory| memory.settled_shared.take());
    let settled = settled.filter(|settled| settled.stands(fingerprint, valid.generation));
    if let (Some(settled), Some(watched)) = (settled, &watched)
        && let Some(pods) = watched.pods(valid)
    {
        let kept = (watched.deployment(valid), settled.accepted());
        let shared = settled.found.with_kept(kept);
        let read = (&shared, pods);
        let look = Mandate::Look(&settled.conclusion);
        let passed = Box::pin(pass(judged, database, read, look, context)).await;
        if !matches!(passed, Err(Error::Apply(apply::Error::OnlyLooked))) {
            let status = passed?.status;
            context.remember(namespace, name, |memory| {
                memory.settled_shared = Some(settled);
            });
            return Ok(status);
        }
    }
    let shared = Box::pin(objects::read(&context.client, valid, database)).await;
    let shared = shared.map_err(Error::reading)?;
    let pods = observe::pods(&context.client, valid).await;
    let pods = pods.map_err(Error::reading)?;
    let is_rolling_out = |accepted: &Accepted| accepted.is_rolling_out();
    if !shared.found.accepted.as_ref().is_some_and(is_rolling_out) {
        let place = (namespace.to_owned(), name.to_owned());
        context.turns.release(&place);
    }
    let read = (&shared, pods);
    let passed = Box::pin(pass(judged, database, read, Mandate::Act, context)).await?;
    if let Some(fingerprint) = fingerprint
        && passed.was_idle
        && shared.is_ours()
    {
        let settled = Settled {
            fingerprint,
            generation: valid.generation,
            accepted: shared.found.accepted.as_ref().map(Packed::new),
            found: shared.without_what_is_kept_elsewhere(),
            conclusion: passed.conclusion,
        };
        context.remember(namespace, name, |memory| {
            memory.settled_shared = Some(Arc::new(settled));
        });
    }
    Ok(passed.status)
}

/// The result of the steps after reading.
#[derive(Default)]
struct Passed {
    /// `None` where the cluster is another operator's.
    status: Option<ClusterStatus>,
    /// Whether nothing was written, nor tried in vain.
    was_idle: bool,
    conclusion: Conclusion,
}

/// All steps after reading.
async fn pass(
    judged: &Judged<'_>,
    database: &DatabaseSpec,
    (shared, pods): (&SharedObjects, Vec<Pod>),
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Passed, Error> {
    let Judged { cluster, valid, .. } = judged;
    let found = &shared.found;
    let layout = layout::unsupported(valid, found);
    if !ownership::is_ours(cluster, valid, found, layout.is_none(), context).await? {
        return Ok(Passed::default());
    }
    let nodes = connect(valid, found, context);
    let (pods, unverified) = observe::nodes(pods, nodes.as_ref(), valid).await;
    let secrets = plan_secrets(judged, shared, layout.clone(), nodes.as_ref(), &pods).await;
    let addresses = Addresses::read(database, shared.named());
    let known = Known {
        valid,
        shared,
        pods: &pods,
        secrets: &secrets,
        addresses: &addresses,
    };
    let written = match layout {
        Some(stalled) => Written::untouched(stalled),
        None => Box::pin(converge(cluster, &known, mandate, context)).await?,
    };
    let was_idle = !written.acted;
    let conclusion = Conclusion {
        wanted: written.wanted,
        refused: written.refused.clone(),
        waits: written.waits.clone(),
    };
    Ok(Passed {
        status: Some(tell(judged, shared, (&pods, unverified, context), written)),
        was_idle,
        conclusion,
    })
}

/// The Secrets to make, or why none is made.
async fn plan_secrets(
    judged: &Judged<'_>,
    shared: &SharedObjects,
    layout: Option<Stalled>,
    nodes: Option<&Connection>,
    pods: &[(Pod, Option<NodeDetails>)],
) -> Result<SecretPlan, Stalled> {
    let (valid, found) = (judged.valid, &shared.found);
    let foreign = found.foreign_references.as_ref();
    if let Some(error) = judged.refused.as_ref().or(foreign) {
        return Err(error.clone().into());
    }
    if let Some(stalled) = layout.or_else(|| mode_change::to_shared(valid, found)) {
        return Err(stalled);
    }
    let had = judged.before.salt_fingerprint.as_deref();
    let plan = secrets::plan(valid, found, &SaltReports::default(), had)?;
    if !salt::is_lost(shared, had) {
        return Ok(plan);
    }
    let reports = salt::reports(nodes, valid, pods).await;
    salt::restore(valid, plan, &reports, had)
}

/// The status by what was observed and done.
fn tell(
    judged: &Judged<'_>,
    shared: &SharedObjects,
    (pods, unverified, context): (&[(Pod, Option<NodeDetails>)], UnverifiedPods, &Context),
    written: Written,
) -> ClusterStatus {
    let Judged { valid, before, .. } = judged;
    let found = &shared.found;
    let Written {
        outcome,
        waiting,
        refused,
        waits,
        upcoming,
        key_rotation,
        wanted: _,
        acted: _,
    } = written;
    let (deployment, stalled) = match outcome {
        Ok(deployment) => (deployment, None),
        Err(stalled) => (shared.deployment.clone(), Some(stalled)),
    };
    let pause = valid.spec.paused.then_some(Pause { waits });
    let told = planned::told(valid, pause.as_ref(), before, None);
    let stalled = stalled.or_else(|| pause.as_ref()?.stalled(told.generation, valid.generation));
    let salt_fingerprint = salt_fingerprint(found);
    let judged_by = (refused.as_slice(), unverified);
    let certificates = CertificatesSeen::look(valid, found, judged_by, context.now());
    let last_reports = last_reports(judged, pods, context);
    let replicas = deployment
        .as_ref()
        .and_then(|there| there.spec.as_ref()?.replicas);
    let rest = match replicas {
        Some(0) => Rest::Asleep {
            nodes: valid.spec.replicas,
        },
        _ => Rest::Awake,
    };
    let seen = Observation {
        cluster: &told,
        running: Running::Deployment(deployment.as_ref()),
        pods,
        last_reports: &last_reports,
        salt_fingerprint: salt_fingerprint.as_deref(),
        monitoring: monitoring(valid, found, stalled.as_ref(), &refused),
        stalled: stalled.as_ref(),
        tls: certificates.tls(waiting.as_ref()),
        blocked: None,
        pending_claims: &[],
        claims: &[],
        rebuild: &RebuildPlan::Finished,
        refused_pods: &[],
        course: Course {
            rest,
            growth: None,
            pause: pause.as_ref(),
            api_key: key_rotation.as_ref(),
        },
        rollout: &RolloutPlan::Finished,
        upgrade: Upgrade::of(valid, &upcoming, pods, before),
    };
    status::observed(&seen, before, &reconcile::now())
}
