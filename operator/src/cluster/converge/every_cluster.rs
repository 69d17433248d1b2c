//! The objects of every cluster, with either workload: its Secrets first, and the certificates with which others verify its
//! nodes.

use kube::Client;

use crate::{
    cluster::{
        apply::{self, Done},
        build::Roots,
        dereference::DereferencedObjects,
        reconcile::Error,
        resource::TlsMode,
        secrets::{self, ManagedSecret, SecretPlan},
        settled::{Mandate, RefusedKind},
        stalled::Stalled,
        validate::ValidatedCluster,
    },
    names::AUTHORITIES_ENTRY,
    node::AccessKey,
    pki::{Certificate, StoredPki, bundle},
};

/// The result, where a user must mend a failure.
///
/// # Errors
/// Errors that are worth another try.
pub(in crate::cluster) fn outcome<T>(
    written: Result<Result<T, Stalled>, apply::Error>,
) -> Result<Result<T, Stalled>, Error> {
    match written {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.is_ending() => Err(error.into()),
        Err(error) => match (error.refusal(), Stalled::rejected(&error)) {
            (Some(words), _) => Ok(Err(Stalled::refused(words))),
            (None, Some(stalled)) => Ok(Err(stalled)),
            (None, None) => Err(error.into()),
        },
    }
}

/// The kinds that could not be written, of all that was done.
pub(in crate::cluster) fn refused(done: Vec<Done>) -> Vec<RefusedKind> {
    let refused = done.into_iter().filter_map(|step| match step {
        Done::Refused { kind, words } => Some((kind, words)),
        _ => None,
    });
    refused.collect()
}

/// Only names matter where children are built with these, so every child that may be wanted is.
pub(in crate::cluster) fn any_roots() -> Roots {
    Roots {
        nodes: "any".to_owned(),
        clients: None,
    }
}

/// The allowed writes, by the state of the Secrets.
pub(in crate::cluster) enum Allowed {
    All,
    /// Certificates alone: the rest waits for a user.
    Certificates(Stalled),
    /// None, for this reason; without a reason everything waits while the resource is paused.
    Nothing(Option<Stalled>),
}

/// Makes the missing Secrets, where nothing stands in the way of the cluster as a whole.
pub(in crate::cluster) async fn make_secrets(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    secrets: &Result<SecretPlan, Stalled>,
    (name_taken, mandate, client): (impl FnOnce() -> Option<Stalled>, Mandate<'_>, &Client),
    waits: &mut Vec<String>,
    done: &mut Vec<Done>,
) -> Result<Allowed, apply::Error> {
    let has_certificates = has_certificates(found);
    let (plan, stalled) = match secrets {
        Ok(plan) => (Some(plan), name_taken()),
        Err(stalled) => (None, Some(stalled.clone())),
    };
    if let Some(stalled) = stalled {
        return Ok(if has_certificates {
            Allowed::Certificates(stalled)
        } else {
            Allowed::Nothing(Some(stalled))
        });
    }
    let Some(plan) = plan.filter(|plan| !plan.create.is_empty()) else {
        return Ok(Allowed::All);
    };
    if !cluster.spec.paused {
        mandate.may_act()?;
        secrets::create(client, cluster, plan, done).await?;
        return Ok(Allowed::All);
    }
    let (what, allowed) = if has_certificates {
        ("Secrets are made", Allowed::All)
    } else {
        ("all of it is made", Allowed::Nothing(None))
    };
    waits.push(what.to_owned());
    Ok(allowed)
}

/// The key of the accepted template's seal; a Secret that was just made has to be read.
pub(in crate::cluster) async fn cluster_key(
    client: &Client,
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    mandate: Mandate<'_>,
) -> Result<Option<AccessKey>, apply::Error> {
    match (found.cluster_key(), mandate) {
        (None, Mandate::Act) if !cluster.spec.paused => {
            secrets::read_key(client, cluster, ManagedSecret::ClusterKey).await
        }
        (key, _) => Ok(key),
    }
}

/// Whether nodes have certificates of the operator. If one of the two objects is lost, the nodes still have theirs.
pub(in crate::cluster) fn has_certificates(found: &DereferencedObjects) -> bool {
    let certificates = [ManagedSecret::NodeTls, ManagedSecret::NodeAuthority];
    let mut there = certificates
        .iter()
        .filter_map(|which| found.secrets.get(which));
    there.clone().next().is_some() && there.all(|secret| secret.ours)
}

/// The certificates with which others verify the nodes.
pub(in crate::cluster) fn roots(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    pki: &StoredPki,
) -> Roots {
    let nodes = bundle(&pki.bundle);
    let of_user = || {
        let secret = found.client_tls.as_ref()?;
        // Certificates alone: every client may read the ConfigMap, and a key may stand beside them by mistake.
        let authorities = Certificate::read_all(secret.entries.get(AUTHORITIES_ENTRY)?);
        (!authorities.is_empty()).then(|| bundle(&authorities))
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
