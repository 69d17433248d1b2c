//! The steps of a reconcile in their order, from what is read to the status.

use std::sync::Arc;

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use tokio::time::Instant;

use super::{
    api_key, apply, certificates,
    context::Context,
    converge::{self, Converged},
    dereference::{self, DereferencedObjects, OptionalKind, SaltSecret},
    layout, membership,
    observe::{self, Connection},
    ownership,
    pause::Pause,
    planned,
    pod_creation::{self, RefusedPod},
    rebuild::{self, RebuildPlan},
    reconcile::{Error, now},
    recovery::{self, ALL_NODES_FENCED},
    resource::{ClusterStatus, OpenSecureConfCluster},
    rollout::{self, Accepted, RolloutPlan},
    salt::SaltReports,
    secrets::{self, SecretPlan},
    settled::{Mandate, RefusedKind, Settled},
    stalled::Stalled,
    status::{self, Monitoring, Observation, Tls, Upgrade},
    validate::{self, ValidatedCluster},
};
use crate::node::{NodeClient, NodeDetails};

/// The steps up to the status; nothing where the cluster is another operator's. Where nothing has changed since everything was read, they
/// are taken with what was read then, as far as nothing is to be done.
pub(super) async fn steps(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    context: &Context,
) -> Result<Option<ClusterStatus>, Error> {
    let (valid, refused) = match judge(cluster, context) {
        Ok(judged) => judged,
        Err(error) => {
            let generation = cluster.metadata.generation;
            let unseen = status::unseen(&error.into(), generation, before, &now());
            return Ok(Some(unseen));
        }
    };
    let (namespace, name) = (valid.namespace.as_str(), valid.name.as_str());
    let watched = context.watched(namespace);
    // Before anything is read: what changes meanwhile is another number then.
    let fingerprint = watched
        .as_ref()
        .and_then(|watched| watched.fingerprint(&valid));
    let settled = context.remember(namespace, name, |memory| memory.settled.take());
    let settled = settled.filter(|settled| {
        Some(settled.fingerprint) == fingerprint && settled.generation == valid.generation
    });
    let judged = Judged {
        cluster,
        valid: &valid,
        refused,
        before,
    };
    if let (Some(settled), Some(watched)) = (settled, &watched) {
        let found = DereferencedObjects {
            stateful_set: watched.stateful_set(&valid),
            ..settled.found.clone()
        };
        let read = Read {
            found: &found,
            pods: watched.pods(&valid),
        };
        let passed = Box::pin(pass(&judged, read, Mandate::Look(&settled), context)).await;
        if !matches!(passed, Err(Error::Apply(apply::Error::OnlyLooked))) {
            let status = passed?.status;
            context.remember(namespace, name, |memory| memory.settled = Some(settled));
            return Ok(status);
        }
    }
    let found = Box::pin(dereference::dereference(&context.client, &valid))
        .await
        .map_err(Error::reading)?;
    let pods = observe::pods(&context.client, &valid)
        .await
        .map_err(Error::reading)?;
    // A turn that came to nothing is another cluster's.
    let has_turn = found
        .accepted
        .as_ref()
        .is_some_and(Accepted::is_rolling_out);
    if !has_turn {
        context
            .turns
            .release(&(namespace.to_owned(), name.to_owned()));
    }
    let read = Read {
        found: &found,
        pods,
    };
    let passed = Box::pin(pass(&judged, read, Mandate::Act, context)).await?;
    if let (Some(watched), Some(fingerprint)) = (watched, fingerprint)
        && passed.was_idle
        && found.children.iter().all(|child| child.ours)
    {
        watched.note_named(&valid);
        let settled = Settled {
            fingerprint,
            generation: valid.generation,
            found: found.without_what_is_watched(),
            wanted: passed.wanted,
            refused: passed.refused,
            waits: passed.waits,
        };
        context.remember(namespace, name, |memory| {
            memory.settled = Some(Arc::new(settled));
        });
    }
    Ok(passed.status)
}

/// A resource, and what can be said of it alone.
struct Judged<'a> {
    cluster: &'a OpenSecureConfCluster,
    valid: &'a ValidatedCluster,
    refused: Option<validate::Error>,
    before: &'a ClusterStatus,
}

/// What there is on Kubernetes.
struct Read<'a> {
    found: &'a DereferencedObjects,
    pods: Vec<Pod>,
}

/// What came of the steps.
#[derive(Default)]
struct Passed {
    /// Nothing where the cluster is another operator's.
    status: Option<ClusterStatus>,
    /// Whether nothing was written or ordered, nor tried in vain.
    was_idle: bool,
    wanted: Option<u64>,
    refused: Vec<RefusedKind>,
    /// What waits while the resource is paused.
    waits: Vec<String>,
}

/// All steps after reading.
async fn pass(
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
    let pods = observe::nodes(pods, nodes.as_ref(), valid).await;
    let refused_pods =
        pod_creation::refused(&context.client, valid, found.stateful_set.as_ref(), &pods).await;
    let planned = planned::plan(&context.client, valid, found, &pods).await;
    let mut planned = planned.map_err(Error::reading)?;
    let secrets = plan_secrets(judged, found, layout.as_ref(), nodes.as_ref(), &pods).await;
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
        Err(stalled) => (found.stateful_set.clone(), Some(stalled)),
    };
    let is_free = !is_held(valid, stalled.as_ref(), &planned);
    let rebuilt = rebuild(is_free, judged, found, &pods, &planned, ways, context).await?;
    let set = stateful_set
        .as_ref()
        .filter(|_| is_free && !planned.rebuild.is_under_way());
    let mandate = (!plan.has_orders()).then_some(mandate);
    let (rollout, replaced) =
        roll_out(judged, set, (&pods, &refused_pods), mandate, context).await?;
    let pause = valid.spec.paused.then_some(Pause { waits });
    let told = planned::told(valid, pause.as_ref(), before, stateful_set.as_ref());
    let stalled = stalled.or_else(|| pause.as_ref()?.stalled(told.generation, valid.generation));
    let salt_fingerprint = salt_fingerprint(found);
    let certificates = certificates_kind(found, &refused);
    let unnamed = certificates::unnamed(valid, found);
    let not_valid = certificates::not_valid(found, jiff::Timestamp::now());
    let goes_on = (pause.as_ref(), key_rotation.as_ref());
    let seen = Observation {
        cluster: &told,
        stateful_set: stateful_set.as_ref(),
        pods: &pods,
        // One that was made a moment ago counts from the next reconcile on: its creation brings us back here.
        salt_fingerprint: salt_fingerprint.as_deref(),
        monitoring: monitoring(valid, found, stalled.as_ref(), &refused),
        stalled: stalled.as_ref(),
        tls: Tls {
            waiting: waiting.as_ref(),
            client_secret_found: found.client_tls.is_some(),
            certificates: Some(&certificates),
            unnamed: &unnamed,
            not_valid: not_valid.as_deref(),
        },
        blocked: plan.blocked(),
        pending_claims: &found.pending_claims,
        claims: &found.volumes,
        rebuild: &rebuilt.plan,
        refused_pods: &refused_pods,
        course: planned.course(found.stateful_set.as_ref(), goes_on),
        rollout: &rollout,
        upgrade: Upgrade::of(valid, &upcoming, &pods, before),
    };
    Ok(Passed {
        status: Some(tell(&seen, judged, context)),
        was_idle: !(acted || replaced || rebuilt.tried)
            && (valid.spec.paused || !plan.has_orders()),
        wanted,
        refused,
        waits: pause.map(|pause| pause.waits).unwrap_or_default(),
    })
}

/// The status of what was seen, and for how long each node has lacked something.
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

/// Writes what is wanted, unless the objects are of another layout.
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
    let now = jiff::Timestamp::now();
    let set = found.stateful_set.as_ref();
    let is_rolled_out = set.is_some_and(|set| rollout::is_rolled_out(valid, set, pods, now));
    let plans = planned.plans((&running, &accepted), is_rolled_out);
    Box::pin(converge::converge(
        cluster, &wanted, found, secrets, plans, mandate, context,
    ))
    .await
}

/// Orders nodes what was decided, and tells what waits for somebody.
async fn order(
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
    let stalled = stalled.or_else(|| recovery::all_fenced(valid, pods));
    Ok(stalled.or_else(|| planned.stalled()))
}

/// What was done about nodes that somebody wants anew.
struct Rebuild {
    /// What is told of it.
    plan: RebuildPlan,
    /// Whether anything was written, ordered or deleted, or tried in vain.
    tried: bool,
}

impl Rebuild {
    fn not_tried(planned: &planned::Planned) -> Self {
        Self {
            plan: planned.rebuild.clone(),
            tried: false,
        }
    }
}

/// Gives up volumes as far as that is decided, and notes on claims who lives on the others; nothing of a cluster that is held.
async fn rebuild(
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
    let carried_out = rebuild::carry_out(cluster, valid, claims, pods, plan, ways, context).await;
    let rebuild = match carried_out {
        Ok(tried) => Rebuild {
            tried,
            ..Rebuild::not_tried(planned)
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

/// What is to be done about pods of another template, and whether it was tried; without a mandate it is only told.
async fn roll_out(
    judged: &Judged<'_>,
    set: Option<&StatefulSet>,
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
        rollout::plan_rollout(valid, set, (pods, refused), before, jiff::Timestamp::now())
    });
    let replaced = match mandate {
        Some(mandate) => rollout::carry_out(cluster, valid, pods, &plan, mandate, context).await?,
        None => false,
    };
    Ok((plan, replaced))
}

/// Whether no pod may be replaced now. Volumes that cannot grow keep none from its template, nor do nodes of which none serves.
fn is_held(
    valid: &ValidatedCluster,
    stalled: Option<&Stalled>,
    planned: &planned::Planned,
) -> bool {
    let holds = |stalled: &Stalled| {
        stalled.reason != ALL_NODES_FENCED && Some(stalled) != planned.stalled().as_ref()
    };
    valid.spec.paused || stalled.is_some_and(holds)
}

/// Which Secrets are to be made, or why nothing is.
async fn plan_secrets(
    judged: &Judged<'_>,
    found: &DereferencedObjects,
    layout: Option<&Stalled>,
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
    if let Some(stalled) = layout {
        return Err(stalled.clone());
    }
    let valid = judged.valid;
    let salt_reports = if found.is_salt_lost() {
        observe::salt_reports(nodes, valid, found.stateful_set.as_ref(), pods).await
    } else {
        SaltReports::default()
    };
    let had = judged.before.salt_fingerprint.as_deref();
    secrets::plan(valid, found, &salt_reports, had).map_err(Stalled::from)
}

/// What can be built, or at least looked at, and what is wrong with it.
fn judge(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Result<(ValidatedCluster, Option<validate::Error>), validate::Error> {
    let image = &context.node_image;
    let (valid, refused) = match validate::validate(cluster, image) {
        Ok(valid) => (valid, None),
        // Its nodes can still be found and looked at, unless even that takes what is broken.
        Err(error) => match validate::without_additions(cluster, image) {
            Ok(valid) => (valid, Some(error)),
            Err(_) => return Err(error),
        },
    };
    let valid = ValidatedCluster {
        installation: context.installation.clone(),
        ..valid
    };
    Ok((valid, refused))
}

fn salt_fingerprint(found: &DereferencedObjects) -> Option<String> {
    match found.salt() {
        SaltSecret::Present { fingerprint } => Some(fingerprint),
        SaltSecret::Missing | SaltSecret::Malformed => None,
    }
}

fn certificates_kind(found: &DereferencedObjects, refused: &[(String, String)]) -> OptionalKind {
    match refused.iter().find(|(kind, _)| kind == "Certificate") {
        Some((_, words)) => OptionalKind::Forbidden(words.clone()),
        None => found.certificates.clone(),
    }
}

/// How this cluster's nodes are reached; `None` while they have no certificates.
fn connect(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    context: &Context,
) -> Option<Connection> {
    let place = (cluster.namespace.as_str(), cluster.name.as_str());
    let pki = certificates::stored(&found.secrets);
    match context.nodes.get(place, &pki, jiff::Timestamp::now()) {
        Ok(client) => client.map(|(client, addresses)| {
            let client = NodeClient::over_tls(client, found.api_key.clone(), found.cluster_key());
            #[cfg(feature = "simulated-nodes")]
            let client = client.answered_by(context.simulated.clone());
            Connection { client, addresses }
        }),
        Err(error) => {
            tracing::warn!(error = %error, "nodes_not_connected");
            None
        }
    }
}

fn monitoring(
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
    } else if is_applied || found.has("ServiceMonitor", cluster.name.as_str()) {
        Monitoring::Applied
    } else {
        Monitoring::Missing
    }
}
