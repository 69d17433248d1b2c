//! Writes what is wanted: Secrets, certificates, and all other children, in this order. Certificates are renewed also where
//! the rest stands still: nodes outlive a mistake in the resource.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::{
    apply::{self, Done},
    build::{self, Roots},
    certificates::{self, Renewed},
    context::Context,
    dereference::DereferencedObjects,
    events::announce,
    prune_protection,
    reconcile::Error,
    resource::{OpenSecureConfCluster, TlsMode},
    secrets::{self, ManagedSecret, SecretPlan},
    settled::{self, Mandate, RefusedKind},
    stalled::Stalled,
    validate::ValidatedCluster,
};
use crate::{
    names::AUTHORITIES_ENTRY,
    pki::{StoredPki, Trust, Waiting, bundle},
};

/// What came of it.
#[derive(Debug)]
pub(super) struct Converged {
    /// The StatefulSet as it is now, or what waits for somebody.
    pub(super) outcome: Result<StatefulSet, Stalled>,
    /// What a renewal of the authority waits for.
    pub(super) waiting: Option<Waiting>,
    /// Kinds that the operator can do without and may not write.
    pub(super) refused: Vec<RefusedKind>,
    /// What was wanted of the children, as a number; `None` where the cluster stands still.
    pub(super) wanted: Option<u64>,
    /// Whether anything was written, or tried in vain.
    pub(super) acted: bool,
}

impl Converged {
    /// Nothing is looked at: the objects are of another layout.
    pub(super) fn not_touched(stalled: Stalled) -> Self {
        Self {
            outcome: Err(stalled),
            waiting: None,
            refused: Vec::new(),
            wanted: None,
            acted: false,
        }
    }
}

/// What was done so far, also where it ends in a failure.
#[derive(Debug, Default)]
struct Progress {
    done: Vec<Done>,
    waiting: Option<Waiting>,
    wanted: Option<u64>,
}

/// Writes.
///
/// # Errors
/// What is worth another try.
pub(super) async fn converge(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    running: &[Trust],
    mandate: Mandate<'_>,
    context: &Context,
) -> Result<Converged, Error> {
    let mut progress = Progress::default();
    let written = Box::pin(write(
        valid,
        found,
        secrets,
        running,
        mandate,
        context,
        &mut progress,
    ))
    .await;
    let Progress {
        done,
        waiting,
        wanted,
    } = progress;
    // Also what was done before a failure was done.
    for step in &done {
        announce(cluster, step, &context.recorder).await;
    }
    let mut acted = done
        .iter()
        .any(|step| !matches!(step, Done::Refused { .. }));
    acted |= written.is_err();
    let outcome = match written {
        Ok(outcome) => outcome,
        Err(error) if error.is_ending() => return Err(error.into()),
        Err(error) => match (error.refusal(), Stalled::rejected(&error)) {
            (Some(words), _) => Err(Stalled::refused(words)),
            (None, Some(stalled)) => Err(stalled),
            (None, None) => return Err(error.into()),
        },
    };
    let refused = match mandate {
        Mandate::Look(settled) => settled.refused.clone(),
        Mandate::Act => done
            .into_iter()
            .filter_map(|step| match step {
                Done::Refused { kind, words } => Some((kind, words)),
                _ => None,
            })
            .collect(),
    };
    Ok(Converged {
        outcome,
        waiting,
        refused,
        wanted,
        acted,
    })
}

async fn write(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    running: &[Trust],
    mandate: Mandate<'_>,
    context: &Context,
    progress: &mut Progress,
) -> Result<Result<StatefulSet, Stalled>, apply::Error> {
    let client = &context.client;
    let Progress {
        done,
        waiting,
        wanted,
    } = progress;
    // Only their names matter here, so every child that may be wanted is built.
    let all = Roots {
        nodes: "any".to_owned(),
        clients: None,
    };
    let resources = build::build(cluster, &all);
    // One of the two may be lost: the nodes have certificates all the same.
    let certificates = [ManagedSecret::NodeTls, ManagedSecret::NodeAuthority];
    let mut there = certificates
        .iter()
        .filter_map(|which| found.secrets.get(which));
    let has_certificates = there.clone().next().is_some() && there.all(|secret| secret.ours);
    let stalled = match secrets {
        Ok(_) => Stalled::name_taken(found, &resources),
        Err(stalled) => Some(stalled.clone()),
    };
    match (&stalled, secrets) {
        (None, Ok(plan)) if plan.create.is_empty() => {}
        (None, Ok(plan)) => {
            mandate.may_act()?;
            secrets::create(client, cluster, plan, done).await?;
        }
        (Some(stalled), _) if !has_certificates => return Ok(Err(stalled.clone())),
        _ => {}
    }
    let now = jiff::Timestamp::now();
    let Renewed { pki, waiting: told } =
        certificates::renew(client, cluster, found, running, now, mandate, done).await?;
    *waiting = told;
    if let Some(stalled) = stalled {
        return Ok(Err(stalled));
    }
    let mut resources = build::build(cluster, &roots(cluster, found, &pki));
    resources.keep_claim_metadata(found.stateful_set.as_ref());
    let number = settled::number_of(&resources);
    *wanted = Some(number);
    if let Mandate::Look(settled) = mandate {
        return match &found.stateful_set {
            Some(there) if settled.wanted == Some(number) => Ok(Ok(there.clone())),
            _ => Err(apply::Error::OnlyLooked),
        };
    }
    let stateful_set = apply::apply(context, cluster, &resources, found, done).await?;
    prune_protection::complete(client, cluster, found, done).await;
    Ok(Ok(stateful_set))
}

/// What others verify the nodes with.
fn roots(cluster: &ValidatedCluster, found: &DereferencedObjects, pki: &StoredPki) -> Roots {
    let nodes = bundle(&pki.bundle);
    let of_user = || {
        let secret = found.client_tls.as_ref()?;
        let text = secret.text(AUTHORITIES_ENTRY)?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    };
    Roots {
        clients: match cluster.spec.tls.mode {
            TlsMode::Auto => Some(nodes.clone()),
            TlsMode::Secret | TlsMode::Issuer => of_user(),
            TlsMode::Disabled => None,
        },
        nodes,
    }
}
