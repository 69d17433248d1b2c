//! The driver: which changes lead to a reconcile, and when to look again after a failure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
        watcher,
    },
};

use super::{
    context::Context,
    reconcile::{Error, reconcile_cluster, reconcile_malformed},
    resource::OpenSecureConfCluster,
};
use crate::names::{LABEL_MANAGED_BY, OPERATOR};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(5);
const CONCURRENT_RECONCILES: u16 = 8;

/// Reconciles until the future is dropped. `namespaces` empty means all.
pub async fn run(context: Context, namespaces: &[String]) {
    let context = Arc::new(context);
    let scopes: Vec<Option<&str>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces
            .iter()
            .map(|namespace| Some(namespace.as_str()))
            .collect()
    };
    join_all(
        scopes
            .into_iter()
            .map(|scope| run_in(Arc::clone(&context), scope)),
    )
    .await;
}

async fn run_in(context: Arc<Context>, namespace: Option<&str>) {
    let client = &context.client;
    let ours = watcher::Config::default().labels(&format!("{LABEL_MANAGED_BY}={OPERATOR}"));
    Controller::new(
        scoped::<DeserializeGuard<OpenSecureConfCluster>>(client, namespace),
        watcher::Config::default(),
    )
    .with_config(
        Config::default()
            .concurrency(CONCURRENT_RECONCILES)
            .debounce(Duration::from_millis(200)),
    )
    .owns(scoped::<StatefulSet>(client, namespace), ours.clone())
    .owns(scoped::<Service>(client, namespace), ours.clone())
    .owns(scoped::<ConfigMap>(client, namespace), ours.clone())
    .owns(scoped::<ServiceAccount>(client, namespace), ours.clone())
    .owns(scoped::<NetworkPolicy>(client, namespace), ours.clone())
    .owns(
        scoped::<PodDisruptionBudget>(client, namespace),
        ours.clone(),
    )
    .watches(scoped::<Secret>(client, namespace), ours, cluster_of_secret)
    .run(reconcile, error_policy, context)
    .for_each(|result| async move {
        if let Err(error) = result {
            tracing::debug!(error = %error, "reconcile_not_run");
        }
    })
    .await;
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Secrets have no owner while their volumes are kept, so the label tells whose they are.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the watch hands over the object"
)]
fn cluster_of_secret(secret: Secret) -> Option<ObjectRef<DeserializeGuard<OpenSecureConfCluster>>> {
    let name = secret.labels().get(crate::names::LABEL_INSTANCE)?;
    Some(ObjectRef::new(name).within(&secret.namespace()?))
}

async fn reconcile(
    guard: Arc<DeserializeGuard<OpenSecureConfCluster>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let start = Instant::now();
    let result = match &guard.0 {
        Ok(cluster) => Box::pin(reconcile_cluster(cluster, &context)).await,
        Err(invalid) => match reconcile_malformed(invalid, &context).await {
            Ok(()) => Err(Error::Malformed(Box::new(invalid.clone()))),
            Err(error) => Err(error),
        },
    };
    context
        .metrics
        .reconciled(start.elapsed(), result.as_ref().err().map(Error::phase));
    result
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the driver hands over its pointers"
)]
fn error_policy(
    guard: Arc<DeserializeGuard<OpenSecureConfCluster>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let (name, namespace) = (guard.name_any(), guard.namespace().unwrap_or_default());
    tracing::warn!(name, namespace, phase = error.phase(), error = %chain(error), "reconcile_failed");
    if matches!(error, Error::Malformed(_)) {
        return Action::await_change();
    }
    let failures = context.remember(&namespace, &name, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    });
    Action::requeue(
        FIRST_RETRY
            .saturating_mul(1 << failures.min(9).saturating_sub(1))
            .min(LONGEST_RETRY),
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, source| {
            format!("{text}: {source}")
        })
}
