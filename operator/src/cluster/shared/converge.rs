//! Writes the wanted state: Secrets, certificates, and all other children, in this order.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, PodTemplateSpec},
};

use super::{
    address::Addresses,
    address_secret,
    objects::SharedObjects,
    rollout::{Progress, progress},
};
use crate::{
    cluster::{
        api_key::{self, KeyRotation, Rotation},
        apply::{self, Done},
        build,
        certificates::{self, Renewed},
        context::Context,
        converge::{Allowed, any_roots, cluster_key, make_secrets, outcome, refused, roots},
        events::announce,
        pause,
        reconcile::Error,
        resource::OpenSecureConfCluster,
        rollout::{self, Situation, Upcoming, Upgrade},
        secrets::SecretPlan,
        settled::{self, Mandate, RefusedKind},
        stalled::Stalled,
        validate::ValidatedCluster,
    },
    names::ANNOTATION_DATABASE,
    node::NodeDetails,
    pki::Waiting,
};

/// The result of the writes.
pub(super) struct Written {
    /// The Deployment as it is now, where there is one, or the reason to wait for a user.
    pub(super) outcome: Result<Option<Deployment>, Stalled>,
    /// The nodes for which a renewal of the authority waits.
    pub(super) waiting: Option<Waiting>,
    /// Kinds that the operator can do without and may not write.
    pub(super) refused: Vec<RefusedKind>,
    /// The changes that wait while the resource is paused.
    pub(super) waits: Vec<String>,
    /// The changes of the pod template that wait.
    pub(super) upcoming: Upcoming,
    /// How far a change of the clients' key has come.
    pub(super) key_rotation: Option<KeyRotation>,
    /// A number for the wanted state of the children; `None` where the cluster stands still.
    pub(super) wanted: Option<u64>,
    /// Whether anything was written, or tried in vain.
    pub(super) acted: bool,
}

impl Written {
    /// Nothing was read or written.
    pub(super) fn untouched(stalled: Stalled) -> Self {
        Self {
            outcome: Err(stalled),
            waiting: None,
            refused: Vec::new(),
            waits: Vec::new(),
            upcoming: Upcoming::Unknown,
            key_rotation: None,
            wanted: None,
            acted: false,
        }
    }
}

/// The knowledge of a cluster.
pub(super) struct Known<'a> {
    pub(super) valid: &'a ValidatedCluster,
    pub(super) shared: &'a SharedObjects,
    pub(super) pods: &'a [(Pod, Option<NodeDetails>)],
    pub(super) secrets: &'a Result<SecretPlan, Stalled>,
    pub(super) addresses: &'a Result<Addresses, Stalled>,
}

/// The steps so far, even where they end in a failure.
#[derive(Default)]
struct Steps {
    done: Vec<Done>,
    waiting: Option<Waiting>,
    waits: Vec<String>,
    upcoming: Upcoming,
    wanted: Option<u64>,
}

/// Writes.
///
/// # Errors
/// Errors that are worth another try.
pub(super) async fn converge(
    cluster: &OpenSecureConfCluster,
    known: &Known<'_>,
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Written, Error> {
    let mut steps = Steps::default();
    let accepted = api_key::accepted(known.pods);
    let rotation = Rotation {
        cluster: known.valid,
        found: &known.shared.found,
        running: &accepted,
        now: context.now(),
    };
    // Reported also where the rest fails.
    let mut key_rotation = api_key::look(rotation);
    let mut written = Box::pin(write(known, mandate, context, &mut steps)).await;
    if matches!(written, Ok(Ok(_))) {
        let rotated = api_key::rotate(&context.client, rotation, mandate, &mut steps.done).await;
        match rotated {
            Ok(rotated) => key_rotation = rotated,
            Err(error) => written = Err(error),
        }
    }
    let Steps {
        done,
        waiting,
        mut waits,
        upcoming,
        wanted,
    } = steps;
    let waits_too = "the API key is changed";
    if key_rotation == Some(KeyRotation::Paused) && !waits.iter().any(|wait| wait == waits_too) {
        waits.push(waits_too.to_owned());
    }
    for step in &done {
        announce(cluster, step, &context.recorder).await;
    }
    let is_written = |step: &Done| !matches!(step, Done::Refused { .. });
    let acted = written.is_err() || done.iter().any(is_written);
    Ok(Written {
        outcome: outcome(written)?,
        waiting,
        refused: match mandate {
            Mandate::Look(before) => before.refused.clone(),
            Mandate::Act => refused(done),
        },
        waits,
        upcoming,
        key_rotation,
        wanted,
        acted,
    })
}

async fn write(
    known: &Known<'_>,
    mandate: Mandate<'_>,
    context: &Context,
    steps: &mut Steps,
) -> Result<Result<Option<Deployment>, Stalled>, apply::Error> {
    let Known {
        valid,
        shared,
        pods,
        secrets,
        addresses,
    } = known;
    let (found, client) = (&shared.found, &context.client);
    let Steps {
        done,
        waiting,
        waits,
        upcoming,
        wanted,
    } = steps;
    let there = shared.deployment.clone();
    let name_taken = || {
        let resources = build::build_shared(valid, &any_roots());
        address_taken(valid, shared).or_else(|| Stalled::name_taken(found, &resources))
    };
    let with = (name_taken, mandate, client);
    let stalled = match make_secrets(valid, found, secrets, with, waits, done).await? {
        Allowed::All => None,
        Allowed::Certificates(stalled) => Some(stalled),
        Allowed::Nothing(None) => return Ok(Ok(there)),
        Allowed::Nothing(Some(stalled)) => return Ok(Err(stalled)),
    };
    let (running, now) = (certificates::running(pods), context.now());
    let Renewed { pki, waiting: told } =
        certificates::renew(client, valid, found, &running, now, mandate, done).await?;
    *waiting = told;
    let roots = roots(valid, found, &pki);
    let stalled = stalled.or_else(|| Result::as_ref(addresses).err().cloned());
    let addresses = match (stalled, addresses) {
        (None, Ok(addresses)) => addresses,
        (stalled, _) => {
            // The nodes' certificates are renewed, so clients and scrapers need the new authorities.
            if matches!(mandate, Mandate::Act) {
                apply::apply_authorities(context, valid, &roots, found, done).await?;
            }
            return Ok(stalled.map_or(Ok(there), Err));
        }
    };
    let key = cluster_key(client, valid, found, mandate).await?;
    let mut resources = build::build_shared(valid, &roots);
    let situation = Situation {
        accepted: found.accepted.as_ref(),
        metadata: there.as_ref().map(|there| &there.metadata),
        is_rolled_out: progress(there.as_ref()) == Progress::Finished,
        may_begin: matches!(mandate, Mandate::Act),
        is_ending: false,
        now,
    };
    let upgrade = rollout::upgrade(valid, &build::pod_template(valid), situation, context);
    let deployment = &mut resources.workload;
    let mut template = deployment.spec.as_mut().map(|spec| &mut spec.template);
    upgrade.shape(&mut deployment.metadata, template.as_deref_mut());
    let fingerprint = key.as_ref().and_then(|key| addresses.fingerprint(key));
    if let (Some(fingerprint), Some(template)) = (fingerprint, template) {
        annotate(template, fingerprint);
    }
    resources.template_config_map = key.map(|key| upgrade.config_map(valid, &key));
    let Upgrade {
        upcoming: told,
        let_in,
        ..
    } = upgrade;
    *upcoming = told;
    let number = settled::number_of(&resources);
    *wanted = Some(number);
    if let Mandate::Look(before) = mandate {
        let is_due = there.is_none() && !valid.spec.paused;
        if before.wanted != Some(number) || is_due {
            return Err(apply::Error::OnlyLooked);
        }
        waits.clone_from(&before.waits);
        return Ok(Ok(there));
    }
    if valid.spec.paused {
        waits.extend(pause::waiting(&resources, found));
        apply::apply_authorities(context, valid, &roots, found, done).await?;
        return Ok(Ok(there));
    }
    done.extend(let_in.map(Done::LetIn));
    let before = shared.addresses.as_ref();
    address_secret::keep(client, valid, addresses, before, done).await?;
    let read = (found, there.as_ref());
    let deployment = apply::apply_shared(context, valid, &resources, read, done).await?;
    Ok(Ok(Some(deployment)))
}

/// Another address makes another template: new pods have it at once, and running ones only after a minute or so, when the
/// kubelet brings it.
fn annotate(template: &mut PodTemplateSpec, fingerprint: String) {
    let metadata = template.metadata.get_or_insert_default();
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION_DATABASE.to_owned(), fingerprint);
}

/// That another owner has the Secret that pods are to mount.
fn address_taken(cluster: &ValidatedCluster, shared: &SharedObjects) -> Option<Stalled> {
    let is_taken = shared.addresses.as_ref().is_some_and(|there| !there.ours);
    is_taken.then(|| taken(cluster))
}

pub(super) fn taken(cluster: &ValidatedCluster) -> Stalled {
    Stalled {
        reason: "NameTaken",
        message: format!(
            "Secret {} exists and belongs to another owner; it is left alone. Copy what its owner needs of it to another name and delete it, or create this cluster under another name",
            cluster.name.database()
        ),
    }
}
