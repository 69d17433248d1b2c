//! All steps after reading: plans, writes, orders, and the report.

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{
    CertificatesSeen, Judged, Passed, Read,
    orders::{is_held, order, rebuild, roll_out},
};
use crate::{
    cluster::{
        api_key, certificates,
        context::Context,
        converge::{self, Converged},
        dereference::{DereferencedObjects, OptionalKind, SaltSecret},
        layout, mode_change,
        observe::{self, Connection},
        ownership,
        pause::Pause,
        planned, pod_creation,
        reconcile::{Error, now},
        resource::ClusterStatus,
        rollout,
        salt::SaltReports,
        secrets::{self, SecretPlan},
        settled::{Conclusion, Mandate},
        stalled::Stalled,
        status::{self, Monitoring, Observation, Running, Upgrade},
        validate::ValidatedCluster,
    },
    node::{NodeClient, NodeDetails},
};

/// All steps after reading.
pub(super) async fn pass(
    judged: &Judged<'_>,
    read: Read<'_>,
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Passed, Error> {
    let Judged {
        cluster,
        valid,
        before,
        ..
    } = judged;
    let Read { found, pods } = read;
    let layout = layout::unsupported(valid, found);
    if !ownership::is_ours(cluster, valid, found, layout.is_none(), context).await? {
        return Ok(Passed::default());
    }
    let nodes = connect(valid, found, context);
    let (pods, unverified) = observe::nodes(pods, nodes.as_ref(), valid).await;
    let refused_pods =
        pod_creation::refused(&context.client, valid, found.stateful_set.as_deref(), &pods).await;
    let planned = planned::plan(&context.client, valid, found, &pods).await;
    let mut planned = planned.map_err(Error::reading)?;
    let other_mode = mode_change::from_shared(&context.client, valid, found, mandate).await;
    let stands = layout.clone().or(other_mode.map_err(Error::reading)?);
    let secrets = plan_secrets(judged, found, stands, nodes.as_ref(), &pods).await;
    let Converged {
        outcome,
        waiting,
        refused,
        wanted,
        acted,
        waits,
        upcoming,
        forbidden_growth,
        key_rotation,
    } = converge(
        judged,
        (found, &pods),
        layout,
        &secrets,
        &planned,
        mandate,
        context,
    )
    .await?;
    planned.note(forbidden_growth);
    let plan = &planned.membership;
    let ways = (nodes.as_ref(), mandate);
    let (stateful_set, stalled) = match outcome {
        // No node is instructed to bootstrap, to leave or to go before its mark can be read.
        Ok(applied) if found.is_salt_lost() => {
            let missing = secrets.ok().and_then(SecretPlan::missing_salt);
            (applied, missing.map(Stalled::from))
        }
        Ok(applied) => {
            let stalled = order(judged, found, &pods, &planned, ways, context).await?;
            (applied, stalled)
        }
        Err(stalled) => (found.stateful_set.as_deref().cloned(), Some(stalled)),
    };
    let is_free = !is_held(valid, stalled.as_ref(), &planned);
    let rebuilt = rebuild(is_free, judged, found, &pods, &planned, ways, context).await?;
    let set = stateful_set
        .as_ref()
        .filter(|_| is_free && !planned.rebuild.is_under_way());
    let mandate = (!plan.has_orders()).then_some(mandate);
    let (rollout, replaced) =
        roll_out(judged, set, found, (&pods, &refused_pods), mandate, context).await?;
    let pause = valid.spec.paused.then_some(Pause { waits });
    let told = planned::told(valid, pause.as_ref(), before, stateful_set.as_ref());
    let stalled = stalled.or_else(|| pause.as_ref()?.stalled(told.generation, valid.generation));
    let salt_fingerprint = salt_fingerprint(found);
    let judged_by = (refused.as_slice(), unverified);
    let certificates = CertificatesSeen::look(valid, found, judged_by, context.now());
    let last_reports = last_reports(judged, &pods, context);
    let goes_on = (pause.as_ref(), key_rotation.as_ref());
    let seen = Observation {
        cluster: &told,
        running: Running::StatefulSet(stateful_set.as_ref()),
        pods: &pods,
        last_reports: &last_reports,
        // A Secret that was just made counts from the next reconcile on, which its creation triggers.
        salt_fingerprint: salt_fingerprint.as_deref(),
        monitoring: monitoring(valid, found, stalled.as_ref(), &refused),
        stalled: stalled.as_ref(),
        tls: certificates.tls(waiting.as_ref()),
        blocked: plan.blocked(),
        pending_claims: &found.pending_claims,
        claims: &found.volumes,
        rebuild: &rebuilt.plan,
        refused_pods: &refused_pods,
        course: planned.course(found.stateful_set.as_deref(), goes_on),
        rollout: &rollout,
        upgrade: Upgrade::of(valid, &upcoming, &pods, before),
    };
    Ok(Passed {
        status: Some(tell(&seen, judged, context)),
        was_idle: !(acted || replaced || rebuilt.tried)
            && (valid.spec.paused || !plan.has_orders()),
        conclusion: Conclusion::of(wanted, refused, pause),
    })
}

/// The nodes whose last report stands.
pub(in crate::cluster) fn last_reports(
    judged: &Judged<'_>,
    pods: &[(Pod, Option<NodeDetails>)],
    context: &Context,
) -> Vec<String> {
    let Judged { valid, before, .. } = judged;
    context.remember(&valid.namespace, valid.name.as_str(), |memory| {
        memory.last_reports.note(pods, before, Instant::now())
    })
}

/// The status by what was observed, and how long each node has lacked changes.
fn tell(seen: &Observation<'_>, judged: &Judged<'_>, context: &Context) -> ClusterStatus {
    let Judged { valid, before, .. } = judged;
    let mut status = status::observed(seen, before, &now());
    context.remember(&valid.namespace, valid.name.as_str(), |memory| {
        let (members, earlier) = (&mut status.members, &before.members);
        memory
            .last_whole
            .tell(members, earlier, seen.pods, Instant::now());
    });
    status
}

/// Writes the wanted state, unless the objects are of another layout.
async fn converge(
    judged: &Judged<'_>,
    (found, pods): (&DereferencedObjects, &[(Pod, Option<NodeDetails>)]),
    layout: Option<Stalled>,
    secrets: &Result<SecretPlan, Stalled>,
    planned: &planned::Planned,
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Converged, Error> {
    let Judged { cluster, valid, .. } = judged;
    if let Some(stalled) = layout {
        let stalled = secrets.clone().err().unwrap_or(stalled);
        return Ok(Converged::not_touched(stalled));
    }
    let wanted = valid.with_replicas(planned.membership.replicas());
    let (running, accepted) = (certificates::running(pods), api_key::accepted(pods));
    let now = context.now();
    let set = found.stateful_set.as_deref();
    let is_rolled_out = set.is_some_and(|set| rollout::is_rolled_out(valid, set, pods, now));
    let plans = planned.plans((&running, &accepted), is_rolled_out);
    Box::pin(converge::converge(
        cluster, &wanted, found, secrets, plans, mandate, context,
    ))
    .await
}

/// The Secrets to make, or why none is made.
async fn plan_secrets(
    judged: &Judged<'_>,
    found: &DereferencedObjects,
    stands: Option<Stalled>,
    nodes: Option<&Connection>,
    pods: &[(Pod, Option<NodeDetails>)],
) -> Result<SecretPlan, Stalled> {
    if let Some(error) = judged
        .refused
        .as_ref()
        .or(found.foreign_references.as_ref())
    {
        return Err(error.clone().into());
    }
    if let Some(stalled) = stands {
        return Err(stalled);
    }
    let valid = judged.valid;
    let salt_reports = if found.is_salt_lost() {
        observe::salt_reports(nodes, valid, found.stateful_set.as_deref(), pods).await
    } else {
        SaltReports::default()
    };
    let had = judged.before.salt_fingerprint.as_deref();
    secrets::plan(valid, found, &salt_reports, had).map_err(Stalled::from)
}

pub(in crate::cluster) fn salt_fingerprint(found: &DereferencedObjects) -> Option<String> {
    match found.salt() {
        SaltSecret::Present { fingerprint } => Some(fingerprint),
        SaltSecret::Missing | SaltSecret::Malformed => None,
    }
}

/// How this cluster's nodes are reached; `None` while they have no certificates.
pub(in crate::cluster) fn connect(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    context: &Context,
) -> Option<Connection> {
    let place = (cluster.namespace.as_str(), cluster.name.as_str());
    let pki = certificates::stored(&found.secrets);
    match context.nodes.get(place, &pki, context.now()) {
        Ok(client) => client.map(|(client, addresses)| {
            let client = NodeClient::over_tls(client, found.api_key.clone(), found.cluster_key());
            #[cfg(feature = "simulated-nodes")]
            let client = client.answered_by(context.simulated.clone(), &pki, context.now());
            Connection { client, addresses }
        }),
        Err(error) => {
            tracing::warn!(error = %error, "nodes_not_connected");
            None
        }
    }
}

pub(in crate::cluster) fn monitoring(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    stalled: Option<&Stalled>,
    refused: &[(String, String)],
) -> Monitoring {
    let refused = refused.iter().find(|(kind, _)| kind == "ServiceMonitor");
    let is_applied = stalled.is_none() && !cluster.spec.paused;
    if !cluster.spec.monitoring.service_monitor.enabled {
        Monitoring::Off
    } else if let OptionalKind::Forbidden(words) = &found.service_monitors {
        Monitoring::Forbidden(words.clone())
    } else if let Some((_, words)) = refused {
        Monitoring::Forbidden(words.clone())
    } else if found.service_monitors == OptionalKind::Unknown {
        Monitoring::Unknown
    } else if is_applied {
        Monitoring::Applied
    } else if !found.has("ServiceMonitor", cluster.name.as_str()) {
        Monitoring::Missing
    } else if found.has("ConfigMap", &cluster.name.ca()) {
        Monitoring::Applied
    } else {
        Monitoring::WithoutAuthorities
    }
}
