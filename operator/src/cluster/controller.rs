//! The driver: the changes that lead to a reconcile, and the time of the next try after a failure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    context::Context,
    known::{self, Guarded, Known},
    reconcile::{Error, reconcile_cluster, reconcile_malformed},
    validate::claim_owner,
    watch_retries,
    watched::Watched,
};
use crate::{
    certificate::Certificate,
    names::{
        ANNOTATION_ACCEPT, LABEL_COMPONENT, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, OPERATOR,
        PRODUCT,
    },
    rights,
    service_monitor::ServiceMonitor,
};
use futures::{Stream, StreamExt, future::join_all, stream};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, PredicateConfig, WatchStreamExt,
        controller::{self, Action, Config},
        reflector::{self, ObjectRef, store::Writer},
        watcher,
    },
};

/// So many whole objects are asked for at once: as types of Kubernetes each takes tens of kilobytes.
const PAGE: u32 = 100;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(5);
/// After so long a resource that cannot be read is looked at again, without a change of it.
const MALFORMED_AGAIN: Duration = Duration::from_mins(5);
const CONCURRENT_RECONCILES: u16 = 8;

/// Reconciles until the future is dropped. `namespaces` empty means all.
pub async fn run(context: Context, namespaces: &[String]) {
    context.metrics().begin_at_zero(&Error::PHASES);
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
    let (reader, writer) = reflector::store();
    let watched = &context.watch(namespace);
    Controller::for_stream(clusters(Arc::clone(&context), namespace, writer), reader)
        .with_config(
            Config::default()
                .concurrency(CONCURRENT_RECONCILES)
                .debounce(Duration::from_millis(200)),
        )
        .trigger_backoff(watch_retries::WatchBackoff::NEW)
        .owns_stream(stateful_sets(client, namespace, watched))
        .owns_stream(deployments(client, namespace, watched))
        .owns_stream(children::<Service>(client, namespace, watched))
        .owns_stream(children::<ConfigMap>(client, namespace, watched))
        .owns_stream(children::<ServiceAccount>(client, namespace, watched))
        .owns_stream(children::<NetworkPolicy>(client, namespace, watched))
        .owns_stream(children::<PodDisruptionBudget>(client, namespace, watched))
        .owns_stream(children::<ServiceMonitor>(client, namespace, watched))
        .owns_stream(children::<Certificate>(client, namespace, watched))
        .watches_stream(
            objects::<Secret>(client, namespace, watched),
            clusters_of_secret(watched),
        )
        .watches_stream(
            objects::<PersistentVolumeClaim>(client, namespace, watched),
            cluster_of_claim,
        )
        .watches_stream(pods(client, namespace, watched), cluster_of_pod)
        .reconcile_on(
            woken(&context, namespace)
                .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace)),
        )
        .run(reconcile, error_policy, Arc::clone(&context))
        .for_each(|result| {
            match result {
                Ok(_) => {}
                Err(controller::Error::ObjectNotFound(gone)) => {
                    context.forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                Err(error) => tracing::debug!(error = %error, "reconcile_not_run"),
            }
            std::future::ready(())
        })
        .await;
}

/// Namespaces and names of the clusters that waited for a turn to replace their pods, each when it has to wait no longer.
pub fn woken(
    context: &Arc<Context>,
    namespace: Option<&str>,
) -> impl Stream<Item = (String, String)> + Send + use<> {
    let (context, scope) = (Arc::clone(context), namespace.map(str::to_owned));
    let moves = context.turns.moves().subscribe();
    stream::unfold(moves, move |mut moves| {
        let (context, scope) = (Arc::clone(&context), scope.clone());
        async move {
            moves.changed().await.ok()?;
            Some((stream::iter(context.wake(scope.as_deref())), moves))
        }
    })
    .flatten()
}

/// The clusters, each time its spec changes, changes are accepted or it is deleted: a status, which we write ourselves, leads
/// to no reconcile.
fn clusters(
    context: Arc<Context>,
    namespace: Option<&str>,
    store: Writer<Known>,
) -> impl Stream<Item = Result<Known, watcher::Error>> + Send + use<> {
    let scope = namespace.unwrap_or_default().to_owned();
    let watched = context.watch(namespace);
    watch_retries::rarer(
        watcher(
            scoped::<Guarded>(&context.client, namespace),
            watcher::Config::default().page_size(PAGE),
        )
        .modify(known::slim),
    )
    .inspect(move |event| {
        watched.keep_cluster(event);
        watched.note_cluster(event);
    })
    .inspect(move |event| match event {
        Ok(watcher::Event::Delete(gone)) => {
            context.rights.watch_works(&scope);
            context.forget(&gone.namespace().unwrap_or_default(), &gone.name_any());
        }
        Ok(_) => context.rights.watch_works(&scope),
        Err(error) => {
            if let Some(words) = refused_watch(error) {
                context.rights.watch_refused(&scope, words);
            }
        }
    })
    .map(|event| event.map(known::event))
    .reflect(store)
    .applied_objects()
    .predicate_filter(what_is_asked_for, PredicateConfig::default())
}

/// A number that changes with a user's requests: the spec, and the accepted changes of the pod template.
fn what_is_asked_for(cluster: &Known) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    cluster.meta().generation?.hash(&mut hasher);
    cluster
        .annotations()
        .get(ANNOTATION_ACCEPT)
        .hash(&mut hasher);
    Some(hasher.finish())
}

/// Why clusters may not be watched, where that is so.
fn refused_watch(error: &watcher::Error) -> Option<&str> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            rights::refusal(error)
        }
        _ => None,
    }
}

/// Objects of one kind with our label; only their metadata.
fn children<K>(
    client: &Client,
    namespace: Option<&str>,
    watched: &Arc<Watched>,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    noted(
        watcher(scoped::<PartialObjectMeta<K>>(client, namespace), ours()),
        watched,
        Watched::note,
    )
}

/// All objects of one kind, whatever made them: a cluster names Secrets of the user's own, and volume claims outlive it.
fn objects<K>(
    client: &Client,
    namespace: Option<&str>,
    watched: &Arc<Watched>,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let all = watcher::Config::default();
    noted(
        watcher(scoped::<PartialObjectMeta<K>>(client, namespace), all),
        watched,
        Watched::note,
    )
}

/// The `StatefulSets` of clusters.
fn stateful_sets(
    client: &Client,
    namespace: Option<&str>,
    watched: &Arc<Watched>,
) -> impl Stream<Item = Result<StatefulSet, watcher::Error>> + Send + use<> {
    noted(
        watcher(scoped::<StatefulSet>(client, namespace), ours()).modify(slim),
        watched,
        Watched::note_stateful_set,
    )
}

/// The Deployments of clusters whose nodes share a database.
fn deployments(
    client: &Client,
    namespace: Option<&str>,
    watched: &Arc<Watched>,
) -> impl Stream<Item = Result<Deployment, watcher::Error>> + Send + use<> {
    noted(
        watcher(scoped::<Deployment>(client, namespace), ours()).modify(slim),
        watched,
        Watched::note_deployment,
    )
}

/// The pods of clusters.
fn pods(
    client: &Client,
    namespace: Option<&str>,
    watched: &Arc<Watched>,
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send + use<> {
    let nodes = format!("{LABEL_NAME}={PRODUCT},{LABEL_COMPONENT}=node");
    let nodes = watcher::Config::default().page_size(PAGE).labels(&nodes);
    noted(
        watcher(scoped::<Pod>(client, namespace), nodes).modify(slim),
        watched,
        Watched::note_pod,
    )
}

fn ours() -> watcher::Config {
    let labels = format!("{LABEL_MANAGED_BY}={OPERATOR}");
    watcher::Config::default().page_size(PAGE).labels(&labels)
}

/// The managers of fields are read only from objects that are read anew.
fn slim<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
}

/// The events of a watch, after they were noted. Where the operator may not watch a kind, or this Kubernetes does not know it
/// yet, the watch fails again and again: passed on, its errors would make the driver hold back everything else for as long.
fn noted<K, S, N>(
    events: S,
    watched: &Arc<Watched>,
    note: N,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + use<K, S, N>
where
    K: Resource + Clone + Send + 'static,
    S: Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send,
    N: Fn(&Watched, &Result<watcher::Event<K>, watcher::Error>) + Send,
{
    let watched = Arc::clone(watched);
    watch_retries::rarer(events)
        .inspect(move |event| note(&watched, event))
        .touched_objects()
        .filter(|result| std::future::ready(result.is_ok()))
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

/// Secrets have no owner while their volumes are kept, so the label names their cluster; clusters name the others.
fn clusters_of_secret(
    watched: &Arc<Watched>,
) -> impl Fn(PartialObjectMeta<Secret>) -> Vec<ObjectRef<Known>> + Send + Sync + 'static {
    let watched = Arc::clone(watched);
    move |secret| {
        let namespace = secret.namespace().unwrap_or_default();
        let clusters = watched.clusters_of_secret(&secret);
        clusters
            .iter()
            .map(|cluster| ObjectRef::new(cluster).within(&namespace))
            .collect()
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the watch hands over the object"
)]
fn cluster_of_claim(claim: PartialObjectMeta<PersistentVolumeClaim>) -> Option<ObjectRef<Known>> {
    let name = claim.name_any();
    Some(ObjectRef::new(claim_owner(&name)?).within(&claim.namespace()?))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the watch hands over the object"
)]
fn cluster_of_pod(pod: Pod) -> Option<ObjectRef<Known>> {
    let name = pod.labels().get(LABEL_INSTANCE)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}

async fn reconcile(known: Arc<Known>, context: Arc<Context>) -> Result<Action, Error> {
    let (namespace, name) = (known.namespace().unwrap_or_default(), known.name_any());
    if context.excluded.contains(&namespace) {
        return Ok(Action::await_change());
    }
    let start = Instant::now();
    let watched = context.watched(&namespace);
    let Some(guard) = watched.and_then(|watched| watched.cluster(&namespace, &name)) else {
        return Ok(Action::await_change());
    };
    let _running = context.metrics.reconciling();
    let result = match &guard.0 {
        Ok(cluster) => Box::pin(reconcile_cluster(cluster, &context)).await,
        Err(invalid) => match Box::pin(reconcile_malformed(invalid, &context)).await {
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
fn error_policy(known: Arc<Known>, error: &Error, context: Arc<Context>) -> Action {
    let (name, namespace) = (known.name_any(), known.namespace().unwrap_or_default());
    tracing::warn!(name, namespace, phase = error.phase(), error = %chain(error), "reconcile_failed");
    if matches!(error, Error::Malformed(_)) {
        // Its nodes and certificates go on.
        return Action::requeue(MALFORMED_AGAIN);
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
