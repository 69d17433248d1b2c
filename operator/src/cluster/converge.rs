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
    /// Kinds that the operator can do without and may not write, each with the API server's words.
    pub(super) refused: Vec<(String, String)>,
}

/// Writes. `may_write` is false where the objects are of another layout.
///
/// # Errors
/// What is worth another try.
pub(super) async fn converge(
    cluster: &OpenSecureConfCluster,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    may_write: bool,
    running: &[Trust],
    context: &Context,
) -> Result<Converged, Error> {
    if let Err(stalled) = secrets
        && !may_write
    {
        return Ok(Converged {
            outcome: Err(stalled.clone()),
            waiting: None,
            refused: Vec::new(),
        });
    }
    let mut done = Vec::new();
    let mut waiting = None;
    let written = Box::pin(write(
        valid,
        found,
        secrets,
        running,
        context,
        &mut done,
        &mut waiting,
    ))
    .await;
    // Also what was done before a failure was done.
    for step in &done {
        announce(cluster, step, &context.recorder).await;
    }
    let outcome = match written {
        Ok(outcome) => outcome,
        Err(error) => match (error.refusal(), Stalled::rejected(&error)) {
            (Some(words), _) => Err(Stalled::refused(words)),
            (None, Some(stalled)) => Err(stalled),
            (None, None) => return Err(error.into()),
        },
    };
    let refused = done.into_iter().filter_map(|step| match step {
        Done::Refused { kind, words } => Some((kind, words)),
        _ => None,
    });
    Ok(Converged {
        outcome,
        waiting,
        refused: refused.collect(),
    })
}

async fn write(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    running: &[Trust],
    context: &Context,
    done: &mut Vec<Done>,
    waiting: &mut Option<Waiting>,
) -> Result<Result<StatefulSet, Stalled>, apply::Error> {
    let client = &context.client;
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
        (None, Ok(plan)) => secrets::create(client, cluster, plan, done).await?,
        (Some(stalled), _) if !has_certificates => return Ok(Err(stalled.clone())),
        _ => {}
    }
    let now = jiff::Timestamp::now();
    let Renewed { pki, waiting: told } =
        certificates::renew(client, cluster, found, running, now, done).await?;
    *waiting = told;
    if let Some(stalled) = stalled {
        return Ok(Err(stalled));
    }
    let mut resources = build::build(cluster, &roots(cluster, found, &pki));
    resources.keep_claim_metadata(found.stateful_set.as_ref());
    let stateful_set = apply::apply(client, cluster, &resources, found, done).await?;
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
