//! Writes the children. Server-side apply of exactly the fields that the operator sets; Secrets are created, never applied.

mod children;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::{Resource, ResourceExt};
use rand::rngs::SysError;

use super::{
    api_key::KeyPhase,
    build::{ClusterResources, Roots, authorities_label, ca_config_map},
    context::Context,
    dereference::DereferencedObjects,
    namespace_end::is_ending,
    readmission,
    rollout::{self, LetIn},
    validate::ValidatedCluster,
};
use crate::{
    pki::{IssueError, Unusable},
    rights,
};
pub(super) use children::ChildKind;
use children::Children;

/// The beginning of the API server's error where an object's own keyed lists repeat a key, which it will never accept.
const NO_TYPED_PATCH: &str = "failed to create typed patch object";

/// Why a child could not be written. Trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no random bytes.
    #[error("failed to get random bytes from the system")]
    Random(#[source] SysError),
    /// No certificate can be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// This reconcile may only look, but finds something to do.
    #[error("something is to be done, and this reconcile only looks")]
    OnlyLooked,
    /// The API server refuses.
    #[error("failed to {verb} {kind} {name}")]
    Write {
        /// The verb that was tried.
        verb: &'static str,
        /// The child's kind.
        kind: String,
        /// The child's name.
        name: String,
        /// The API server's error.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// The API server's message, where the operator lacks a right.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Write { source, .. } => rights::refusal(source),
            Self::Random(_) | Self::Issue(_) | Self::OnlyLooked => None,
        }
    }

    /// Whether one of these verbs was tried.
    pub(super) fn is_attempt_to(&self, verbs: &[&str]) -> bool {
        matches!(self, Self::Write { verb, .. } if verbs.contains(verb))
    }

    /// Whether the API server refuses the write because the namespace is being deleted.
    pub fn is_ending(&self) -> bool {
        matches!(self, Self::Write { source, .. } if is_ending(source))
    }

    /// The API server's message, where it will repeat it until a user changes the resource.
    pub fn rejection(&self) -> Option<String> {
        let Self::Write {
            verb,
            kind,
            name,
            source,
        } = self
        else {
            return None;
        };
        match source.as_ref() {
            kube::Error::Api(status)
                if [400, 403, 422].contains(&status.code)
                    || status.code == 500 && status.message.starts_with(NO_TYPED_PATCH) =>
            {
                Some(format!(
                    "the API server refused to {verb} {kind} {name}: {}",
                    status.message
                ))
            }
            _ => None,
        }
    }
}

/// A completed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A child that was not there is there now.
    Created {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A lost salt is back.
    Restored {
        /// The Secret's name.
        secret: String,
        /// The node that had it.
        node: String,
    },
    /// A cluster of an operator that is gone belongs to this one now.
    TakenOver {
        /// The Secret that records it.
        secret: String,
        /// That operator.
        from: String,
    },
    /// A certificate was replaced.
    Renewed {
        /// The Secret's name.
        secret: String,
    },
    /// An authority that a user had provided is of no use: another one was made.
    AuthorityRefused {
        /// The Secret's name.
        secret: String,
        /// Why it is of no use.
        why: Unusable,
    },
    /// A change of the clients' key has come so far.
    KeyChanged {
        /// The Secret's name.
        secret: String,
        /// How far.
        phase: KeyPhase,
    },
    /// An object that is kept for good got the annotations that keep Argo CD from deleting it.
    Protected {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A child that the operator can do without could not be written for want of a right.
    Refused {
        /// Its kind.
        kind: String,
        /// The API server's words.
        words: String,
    },
    /// A child was updated.
    Updated,
    /// A change of another writer to a child was reverted.
    Corrected {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The fields, such as `spec.replicas`.
        fields: Vec<String>,
        /// The writer of these fields, as the API server names its clients.
        manager: Option<String>,
    },
    /// Changes of the pod template that no field asks for were accepted.
    LetIn(LetIn),
    /// A volume claim requests another size.
    Resized {
        /// The claim.
        claim: String,
        /// The size.
        size: String,
    },
    /// The StatefulSet is gone without its pods, and is made anew.
    Remade {
        /// Its name.
        name: String,
    },
    /// A field of a child keeps another value whatever we write: it stays.
    Accepted {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The fields.
        fields: Vec<String>,
    },
    /// A child that is not wanted any more is gone.
    Deleted {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// Writes all other children as far as they differ: the objects that pods need come before the pods, so that these start at the
/// first try. `done` gets the completed steps, even before a failure.
pub async fn apply(
    context: &Context,
    cluster: &ValidatedCluster,
    resources: &ClusterResources,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<StatefulSet, Error> {
    // The guard uses the set as it was read, whatever was prepared.
    let stateful_set = &readmission::guarded(&resources.workload, found.stateful_set.as_deref());
    let prepared = rollout::prepare(context, cluster, stateful_set, found, done).await?;
    let found = prepared.as_ref().unwrap_or(found);
    let mut children = Children::of(context, cluster, found, done);
    children.before_pods(resources).await?;
    let stateful_set = match (children.apply(stateful_set).await?, &found.stateful_set) {
        (Some(applied), _) => applied,
        (None, Some(there)) => there.as_ref().clone(),
        (None, None) => stateful_set.clone(),
    };
    children.beside_pods(resources).await?;
    Ok(stateful_set)
}

/// The same where the nodes share a database.
pub async fn apply_shared(
    context: &Context,
    cluster: &ValidatedCluster,
    resources: &ClusterResources<Deployment>,
    (found, there): (&DereferencedObjects, Option<&Deployment>),
    done: &mut Vec<Done>,
) -> Result<Deployment, Error> {
    let wanted = &resources.workload;
    let restored = rollout::restore_template(context, cluster, wanted, found, done).await?;
    let found = restored.as_ref().unwrap_or(found);
    let mut children = Children::of(context, cluster, found, done);
    children.before_pods(resources).await?;
    let applied = children.apply(wanted).await?;
    let deployment = applied.or_else(|| there.cloned());
    children.beside_pods(resources).await?;
    Ok(deployment.unwrap_or_else(|| wanted.clone()))
}

/// Writes only the certificates with which clients and scrapers verify nodes, and what has scrapers read them: they are renewed
/// even where the rest waits.
pub async fn apply_authorities(
    context: &Context,
    cluster: &ValidatedCluster,
    roots: &Roots,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<(), Error> {
    let mut children = Children::of(context, cluster, found, done);
    let map = ca_config_map(cluster, roots);
    if found.is_taken("ConfigMap", &map.name_any()) {
        return Ok(());
    }
    children.apply(&map).await?;
    children.follow_authorities(&authorities_label(roots)).await
}

pub(super) fn failed<K: Resource<DynamicType = ()>>(
    verb: &'static str,
    name: &str,
    source: kube::Error,
) -> Error {
    Error::Write {
        verb,
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    }
}
