//! One reconcile: its steps, the errors that stop them, and where they are reported.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
    core::error_boundary::InvalidObject,
    runtime::controller::Action,
};
use tokio::time::Instant;

use super::{
    apply,
    context::{Context, Memory},
    events::{announce_change, announce_untold},
    failing, figures,
    namespace_end::is_ending,
    ownership, pace,
    resource::{ClusterSpec, ClusterStatus, OpenSecureConfCluster},
    stalled::{RIGHTS_MISSING, Stalled},
    status,
    steps::{Looked, Ours, look, renew_certificates, steps},
};
use crate::rights;

/// Why a reconcile ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The resource does not parse; it has to change.
    #[error("the resource is malformed")]
    Malformed(#[source] Box<InvalidObject>),
    /// Reading failed.
    #[error("failed to read")]
    Dereference(#[source] Box<kube::Error>),
    /// Writing failed.
    #[error("failed to apply")]
    Apply(#[from] apply::Error),
    /// The status could not be written.
    #[error("failed to write the status")]
    Status(#[source] Box<kube::Error>),
}

impl Error {
    /// All phases that may fail.
    pub(super) const PHASES: [&'static str; 4] = ["parse", "dereference", "apply", "status"];

    pub(super) fn phase(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "parse",
            Self::Dereference(_) => "dereference",
            Self::Apply(_) => "apply",
            Self::Status(_) => "status",
        }
    }

    /// The API server's message, where the operator lacks a right.
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Dereference(error) | Self::Status(error) => rights::refusal(error),
            Self::Apply(error) => error.refusal(),
            Self::Malformed(_) => None,
        }
    }

    /// Whether the failure is only that the namespace is being deleted.
    fn is_ending(&self) -> bool {
        match self {
            Self::Dereference(error) | Self::Status(error) => is_ending(error),
            Self::Apply(error) => error.is_ending(),
            Self::Malformed(_) => false,
        }
    }

    pub(super) fn reading(error: kube::Error) -> Self {
        Self::Dereference(Box::new(error))
    }
}

/// Brings one cluster nearer to the wanted state, and gives the time of the next look.
///
/// # Errors
/// Errors that another try may resolve. A wait for a user's change is reported in the status, not here.
pub async fn reconcile_cluster(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Result<Action, Error> {
    let result = reconcile_living(cluster, context).await;
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    // The cluster was deleted meanwhile, and nothing of it may be remembered.
    if context.is_gone(&namespace, &name) {
        context.forget(&namespace, &name);
    }
    result
}

async fn reconcile_living(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Result<Action, Error> {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    if cluster.metadata.deletion_timestamp.is_some() {
        context.forget(&namespace, &name);
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let before = cluster.status.clone().unwrap_or_default();
    let lacks = context.rights.missing(&context.client, &namespace).await;
    if !lacks.is_empty() {
        let stalled = Stalled::rights_missing(&namespace, &lacks);
        return stand_still(cluster, &before, &stalled, context).await;
    }
    let after = match Box::pin(steps(cluster, &before, context)).await {
        Ok(Some(after)) => after,
        Ok(None) => {
            context.turns.release(&(namespace, name));
            return Ok(Action::requeue(rights::RETRY));
        }
        Err(error) if error.is_ending() => {
            context.turns.pass_over(&(namespace.clone(), name.clone()));
            tracing::debug!(namespace, name, "namespace_ends");
            return Ok(Action::requeue(rights::RETRY));
        }
        Err(error) => {
            let Some(words) = error.refusal() else {
                failing::tell(cluster, &before, &error, context).await;
                return Err(error);
            };
            context.rights.refused(&namespace);
            let stalled = Stalled::refused(words);
            return stand_still(cluster, &before, &stalled, context).await;
        }
    };
    // Other conditions name rights that the operator can do without.
    let lacks_a_right = after
        .conditions
        .iter()
        .any(|told| told.type_ == "Stalled" && told.reason == RIGHTS_MISSING);
    let next = if lacks_a_right {
        context.rights.refused(&namespace);
        rights::RETRY
    } else {
        context.remember(&namespace, &name, |memory| {
            let now = Instant::now();
            let (next, wait) = pace::next_look(&after, memory.wait.as_ref(), started, now);
            memory.wait = Some(wait);
            next
        })
    };
    context.show(&namespace, &name, &after);
    let after = context.remember(&namespace, &name, |memory| {
        figures::rate_limit_status(after, &before, memory)
    });
    let next = match write_status(cluster, &before, &after, context).await? {
        Told::Yes => next,
        Told::Forbidden => rights::RETRY,
    };
    if next != rights::RETRY {
        context.rights.suffices(&namespace);
    }
    context.remember(&namespace, &name, Memory::note_success);
    Ok(Action::requeue(next))
}

/// Reports why nothing is done, and does nothing. No other cluster waits for this one.
async fn stand_still(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    stalled: &Stalled,
    context: &Context,
) -> Result<Action, Error> {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    context.turns.pass_over(&(namespace.clone(), name.clone()));
    let me = &context.installation.operator;
    if ownership::is_foreign(&context.client, &namespace, &name, me).await {
        context.metrics.is_foreign(&namespace, &name);
        return Ok(Action::requeue(rights::RETRY));
    }
    let after = {
        let looked = Box::pin(look(cluster, context)).await;
        let glimpse = looked.as_ref().map(Looked::glimpse);
        let generation = cluster.metadata.generation;
        status::unseen(stalled, generation, before, glimpse.as_ref(), &now())
    };
    context.show(&namespace, &name, &after);
    write_status(cluster, before, &after, context).await?;
    context.remember(&namespace, &name, Memory::note_success);
    Ok(Action::requeue(rights::RETRY))
}

/// Whether a state could be reported.
pub(super) enum Told {
    Yes,
    /// The operator may not write it; an event reports that.
    Forbidden,
}

/// Reports in the status of an unreadable resource what is wrong with it. No other cluster waits for this one.
///
/// # Errors
/// Where the status can be neither read nor written.
pub async fn reconcile_malformed(invalid: &InvalidObject, context: &Context) -> Result<(), Error> {
    let ObjectMeta {
        name, namespace, ..
    } = invalid.metadata.clone();
    let (name, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
    context.turns.pass_over(&(namespace.clone(), name.clone()));
    let kind = ApiResource::erase::<OpenSecureConfCluster>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &kind);
    let Some(found) = api.get_opt(&name).await.map_err(Error::reading)? else {
        return Ok(());
    };
    let before: ClusterStatus = found
        .data
        .get("status")
        .and_then(|status| serde_json::from_value(status.clone()).ok())
        .unwrap_or_default();
    // The later steps need only its identity and its status.
    let mut cluster = OpenSecureConfCluster::new(&name, ClusterSpec::default());
    cluster.metadata = invalid.metadata.clone();
    cluster.status = Some(before.clone());
    let Ours::Yes(looked) = Box::pin(renew_certificates(&cluster, context)).await else {
        return Ok(());
    };
    let after = {
        let glimpse = looked.as_deref().map(Looked::glimpse);
        let stalled = Stalled::malformed(&invalid.error);
        let generation = cluster.metadata.generation;
        status::unseen(&stalled, generation, &before, glimpse.as_ref(), &now())
    };
    context.show(&namespace, &name, &after);
    write_status(&cluster, &before, &after, context)
        .await
        .map(drop)
}

pub(super) async fn write_status(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
    context: &Context,
) -> Result<Told, Error> {
    match status::write(&context.client, cluster, after).await {
        Ok(true) => announce_change(cluster, before, after, &context.recorder).await,
        Ok(false) => {}
        // The resource went meanwhile.
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => {
            let Some(words) = rights::refusal(&error) else {
                return Err(Error::Status(Box::new(error)));
            };
            let namespace = cluster.namespace().unwrap_or_default();
            context.rights.refused(&namespace);
            tracing::warn!(
                namespace,
                name = cluster.name_any(),
                words,
                "status_forbidden"
            );
            announce_untold(cluster, words, &context.recorder).await;
            return Ok(Told::Forbidden);
        }
    }
    Ok(Told::Yes)
}

pub(super) fn now() -> Time {
    Time(jiff::Timestamp::now())
}
