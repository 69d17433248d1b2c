//! Writes the wanted state: Secrets, certificates, and all other children, in this order. Certificates are renewed even where
//! the rest stands still: nodes outlive a mistake in the resource. Where it breaks a rule: `steps/standing.rs`.

mod every_cluster;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Client, ResourceExt};

use super::{
    api_key::{self, AcceptedKeys, KeyRotation, Rotation},
    apply::{self, Done},
    build::{self, ClusterResources},
    certificates::{self, Renewed},
    context::Context,
    dereference::DereferencedObjects,
    events::announce,
    hibernation::Rest,
    pause, prune_protection,
    reconcile::Error,
    resource::OpenSecureConfCluster,
    rollout::{self, LetIn, Situation, Upcoming, Upgrade},
    rules::Rule,
    secrets::SecretPlan,
    settled::{self, Mandate, RefusedKind},
    stalled::Stalled,
    validate::ValidatedCluster,
    volumes::{self, Growth, Kept, Template, is_kept},
};
use crate::pki::{Trust, Waiting};
pub(super) use every_cluster::{
    Allowed, any_roots, cluster_key, has_certificates, make_secrets, outcome, refused, roots,
};

/// The result of the writes.
#[derive(Debug)]
pub(super) struct Converged {
    /// The StatefulSet as it is now, where there is one, or the reason to wait for a user.
    pub(super) outcome: Result<Option<StatefulSet>, Stalled>,
    /// The nodes for which a renewal of the authority waits.
    pub(super) waiting: Option<Waiting>,
    /// Kinds that the operator can do without and may not write.
    pub(super) refused: Vec<RefusedKind>,
    /// A number for the wanted state of the children; `None` where the cluster stands still.
    pub(super) wanted: Option<u64>,
    /// Whether anything was written, or tried in vain.
    pub(super) acted: bool,
    /// The changes that wait while the resource is paused.
    pub(super) waits: Vec<String>,
    /// The changes of the pod template that wait.
    pub(super) upcoming: Upcoming,
    /// That volumes cannot grow because the operator may not have them do so.
    pub(super) forbidden_growth: Option<Stalled>,
    /// How far a change of the clients' key has come.
    pub(super) key_rotation: Option<KeyRotation>,
}

/// The decisions about the cluster as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plans<'a> {
    /// The proofs of running nodes about their certificates.
    pub(super) running: &'a [Trust],
    /// Their proofs about the API keys that they accept.
    pub(super) api_keys: &'a [AcceptedKeys],
    /// Whether its nodes are to run or to sleep.
    pub(super) rest: Rest,
    /// The plan for the sizes of its volumes.
    pub(super) growth: &'a Growth,
    /// Whether its StatefulSet may be made anew: no node comes, leaves or sleeps.
    pub(super) may_remake: bool,
    /// When a user asked for a restart of all pods.
    pub(super) restarted_at: Option<&'a str>,
    /// Whether all pods are of the template that the StatefulSet has.
    pub(super) is_rolled_out: bool,
    /// Whether its namespace is being deleted.
    pub(super) is_ending: bool,
}

impl Converged {
    /// Nothing is touched: the objects are of another layout.
    pub(super) fn not_touched(stalled: Stalled) -> Self {
        Self {
            outcome: Err(stalled),
            waiting: None,
            refused: Vec::new(),
            wanted: None,
            acted: false,
            waits: Vec::new(),
            upcoming: Upcoming::Unknown,
            forbidden_growth: None,
            key_rotation: None,
        }
    }
}

impl Plans<'_> {
    /// Whether claims or the StatefulSet need a write, by the objects that were read.
    fn are_due(&self, found: &DereferencedObjects) -> bool {
        let there = found.stateful_set.as_deref();
        match self.growth {
            Growth::Growing { asks, .. } => !asks.is_empty(),
            Growth::Following { .. } => {
                self.may_remake
                    && there.is_some_and(|set| is_kept(Kept::WhenDeleted, set, &found.volumes))
            }
            Growth::Settled | Growth::Stalled { .. } => false,
        }
    }
}

/// The progress so far, even where it ends in a failure.
#[derive(Debug, Default)]
struct Progress {
    done: Vec<Done>,
    waiting: Option<Waiting>,
    wanted: Option<u64>,
    waits: Vec<String>,
    upcoming: Upcoming,
    forbidden_growth: Option<Stalled>,
    key_rotation: Option<KeyRotation>,
    /// Whether any write was tried, whatever its outcome.
    tried: bool,
}

/// Writes.
///
/// # Errors
/// Errors that are worth another try.
pub(super) async fn converge(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    plans: Plans<'_>,
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Converged, Error> {
    let mut progress = Progress::default();
    let written = Box::pin(write_with_key(
        valid,
        found,
        secrets,
        plans,
        mandate,
        context,
        &mut progress,
    ))
    .await;
    let Progress {
        done,
        waiting,
        wanted,
        waits,
        upcoming,
        forbidden_growth,
        key_rotation,
        tried,
    } = progress;
    // Steps before a failure are reported too.
    for step in &done {
        announce(cluster, step, &context.recorder).await;
    }
    let mut acted = done
        .iter()
        .any(|step| !matches!(step, Done::Refused { .. }));
    acted |= tried || written.is_err();
    let outcome = outcome(written)?;
    let refused = match mandate {
        Mandate::Look(settled) => settled.refused.clone(),
        Mandate::Act => refused(done),
    };
    Ok(Converged {
        outcome,
        waiting,
        refused,
        wanted,
        acted,
        waits,
        upcoming,
        forbidden_growth,
        key_rotation,
    })
}

/// Writes the children, and then takes the next step of a change of the clients' key, where nothing stands still.
async fn write_with_key(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    plans: Plans<'_>,
    mandate: Mandate<'_>,
    context: &Context,
    progress: &mut Progress,
) -> Result<Result<Option<StatefulSet>, Stalled>, apply::Error> {
    let are_proved = cluster.installation.rules.hold(Rule::NodesProveKeys);
    let rotation = Rotation {
        cluster,
        found,
        running: if are_proved { plans.api_keys } else { &[] },
        now: context.now(),
    };
    // Reported also where the rest fails.
    progress.key_rotation = api_key::look(rotation);
    let outcome = Box::pin(write(
        cluster, found, secrets, plans, mandate, context, progress,
    ))
    .await?;
    if outcome.is_ok() {
        let done = &mut progress.done;
        progress.key_rotation = api_key::rotate(&context.client, rotation, mandate, done).await?;
    }
    let waits = "the API key is changed";
    if progress.key_rotation == Some(KeyRotation::Paused)
        && !progress.waits.iter().any(|wait| wait == waits)
    {
        progress.waits.push(waits.to_owned());
    }
    Ok(outcome)
}

async fn write(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    plans: Plans<'_>,
    mandate: Mandate<'_>,
    context: &Context,
    progress: &mut Progress,
) -> Result<Result<Option<StatefulSet>, Stalled>, apply::Error> {
    let client = &context.client;
    let Progress {
        done,
        waiting,
        wanted,
        waits,
        upcoming,
        forbidden_growth,
        tried,
        key_rotation: _,
    } = progress;
    let is_paused = cluster.spec.paused;
    let name_taken = || {
        let resources = build::build(cluster, &any_roots());
        Stalled::name_taken(found, &resources)
    };
    let with = (name_taken, mandate, client);
    let stalled = match make_secrets(cluster, found, secrets, with, waits, done).await? {
        Allowed::All => None,
        Allowed::Certificates(stalled) => Some(stalled),
        Allowed::Nothing(None) => return Ok(Ok(found.stateful_set.as_deref().cloned())),
        Allowed::Nothing(Some(stalled)) => return Ok(Err(stalled)),
    };
    let now = context.now();
    let Renewed { pki, waiting: told } =
        certificates::renew(client, cluster, found, plans.running, now, mandate, done).await?;
    *waiting = told;
    let roots = roots(cluster, found, &pki);
    if let Some(stalled) = stalled {
        // The nodes' certificates are renewed, so clients and scrapers need the new authorities.
        if matches!(mandate, Mandate::Act) {
            apply::apply_authorities(context, cluster, &roots, found, done).await?;
        }
        return Ok(Err(stalled));
    }
    let mut resources = build::build(cluster, &roots);
    let there = found.stateful_set.as_deref();
    let let_in;
    (*upcoming, let_in) =
        take_template(cluster, found, plans, mandate, context, &mut resources).await?;
    // Without it a set keeps its policy while it is made anew: only simulations ask for this.
    let are_kept = cluster
        .installation
        .rules
        .hold(Rule::VolumesAreKeptInGrowth);
    let template = Template {
        there,
        growth: if are_kept {
            plans.growth
        } else {
            &Growth::Settled
        },
        restarted_at: plans.restarted_at,
    };
    template.keep(&mut resources.workload);
    let plain = resources.workload.clone();
    plans.rest.shape(&mut resources.workload);
    let are_kept = cluster.installation.rules.hold(Rule::VolumesAreKeptInSleep);
    if !are_kept {
        forget_volumes(&mut resources.workload, &plain);
    }
    let number = settled::number_of(&resources);
    *wanted = Some(number);
    if let Mandate::Look(settled) = mandate {
        let is_same = settled.wanted == Some(number);
        let is_due = there.is_none() || plans.are_due(found);
        if !is_same || is_due && !is_paused {
            return Err(apply::Error::OnlyLooked);
        }
        waits.clone_from(&settled.waits);
        return Ok(Ok(there.cloned()));
    }
    if is_paused {
        waits.extend(pause::waiting(&resources, found));
        waits.extend(plans.growth.waits());
        apply::apply_authorities(context, cluster, &roots, found, done).await?;
        return Ok(Ok(there.cloned()));
    }
    let running = there.filter(|set| runs(set) && are_kept);
    if let (Rest::Asleep { nodes }, Some(set)) = (plans.rest, running) {
        let may_sleep = bind_to_proof(client, cluster, set, &mut resources.workload).await?;
        if !may_sleep {
            *tried = true;
            resources.workload = plain;
            Rest::Holding { nodes }.shape(&mut resources.workload);
        }
    }
    done.extend(let_in.map(Done::LetIn));
    let stateful_set = apply::apply(context, cluster, &resources, found, done).await?;
    prune_protection::complete(client, cluster, found, done).await;
    if plans.may_remake || !matches!(plans.growth, Growth::Following { .. }) {
        let (acted, forbidden) = volumes::act(client, cluster, plans.growth, there, done).await?;
        (*tried, *forbidden_growth) = (*tried || acted, forbidden);
        if forbidden_growth.is_some() {
            context.rights.ask_again(&cluster.namespace);
        }
    }
    Ok(Ok(Some(stateful_set)))
}

/// Lets nodes sleep only over a StatefulSet that provably deletes no volume. Returns whether it is one.
async fn bind_to_proof(
    client: &Client,
    cluster: &ValidatedCluster,
    there: &StatefulSet,
    wanted: &mut StatefulSet,
) -> Result<bool, apply::Error> {
    let proved = volumes::is_proved(client, cluster, Kept::WhenScaled, there).await?;
    let Some(proved) = proved else {
        return Ok(false);
    };
    // The version makes sure that no writer changes it between this proof and the end of its pods.
    wanted.metadata.resource_version = proved.resource_version();
    Ok(true)
}

/// Puts the accepted pod template into the object to apply. Returns the changes that wait, and those that were accepted.
async fn take_template(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    plans: Plans<'_>,
    mandate: Mandate<'_>,
    context: &Context,
    resources: &mut ClusterResources,
) -> Result<(Upcoming, Option<LetIn>), apply::Error> {
    let situation = Situation {
        accepted: found.accepted.as_ref(),
        metadata: found.stateful_set.as_deref().map(|set| &set.metadata),
        is_rolled_out: plans.is_rolled_out,
        may_begin: matches!(mandate, Mandate::Act),
        is_ending: plans.is_ending,
        now: context.now(),
    };
    let rendered = build::pod_template(cluster);
    let upgrade = rollout::upgrade(cluster, &rendered, situation, context);
    let set = &mut resources.workload;
    let template = set.spec.as_mut().map(|spec| &mut spec.template);
    upgrade.shape(&mut set.metadata, template);
    let key = cluster_key(&context.client, cluster, found, mandate).await?;
    resources.template_config_map = key.map(|key| upgrade.config_map(cluster, &key));
    let Upgrade {
        upcoming, let_in, ..
    } = upgrade;
    Ok((upcoming, let_in))
}

/// Keeps the claim retention policy of running nodes in sleep too: only simulations ask for this.
fn forget_volumes(set: &mut StatefulSet, awake: &StatefulSet) {
    if let (Some(spec), Some(awake)) = (set.spec.as_mut(), awake.spec.as_ref()) {
        let policy = &awake.persistent_volume_claim_retention_policy;
        spec.persistent_volume_claim_retention_policy
            .clone_from(policy);
    }
}

/// Whether pods are wanted of a set.
fn runs(set: &StatefulSet) -> bool {
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
    replicas != Some(0)
}
