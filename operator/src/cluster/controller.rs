//! The driver: runs the steps for each resource, and decides when to look again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        events::{Event, EventType, Recorder, Reporter},
        reflector::ObjectRef,
        watcher,
    },
};

use super::{
    apply::{self, Done},
    build,
    dereference::{self, ApiKey, Found},
    node_status::{self, NodeDetails},
    resource::{ClusterStatus, OpenSecureConfCluster},
    secret_plan::{self, SaltPlan},
    status::{self, Seen},
    validate::{self, ValidatedCluster},
};
use crate::{
    metrics::Metrics,
    names::{LABEL_MANAGED_BY, NODE_PORT, OPERATOR},
};

/// How often a cluster is looked at without an event: nodes come and go without one, and figures move.
const STEADY: Duration = Duration::from_secs(30);
/// The same while something is under way.
const PROGRESSING: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(5);
/// Figures that always move are written this often at most.
const FIGURES: Duration = Duration::from_secs(30);
const CONCURRENT_RECONCILES: u16 = 8;

/// What reconciles share.
pub struct Context {
    client: Client,
    http: reqwest::Client,
    recorder: Recorder,
    metrics: Metrics,
    node_image: String,
    /// Failures in a row, and when figures were last written, by the resource's uid.
    memory: Mutex<HashMap<String, Memory>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Memory {
    failures: u32,
    figures_written: Option<Instant>,
}

impl Context {
    /// A context; `node_image` is used where a resource names none.
    pub fn new(
        client: Client,
        metrics: Metrics,
        node_image: String,
    ) -> Result<Self, reqwest::Error> {
        let reporter = Reporter {
            controller: OPERATOR.to_owned(),
            instance: std::env::var("POD_NAME").ok(),
        };
        Ok(Self {
            recorder: Recorder::new(client.clone(), reporter),
            http: reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(1))
                .no_proxy()
                .build()?,
            client,
            metrics,
            node_image,
            memory: Mutex::default(),
        })
    }

    fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(
            self.memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(uid.to_owned())
                .or_default(),
        )
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("node_image", &self.node_image)
            .finish_non_exhaustive()
    }
}

/// Why a reconcile ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The resource does not parse; it has to change.
    #[error("the resource is malformed")]
    Malformed(#[source] Box<kube::core::error_boundary::InvalidObject>),
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
    fn phase(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "parse",
            Self::Dereference(_) => "dereference",
            Self::Apply(_) => "apply",
            Self::Status(_) => "status",
        }
    }
}

/// Why a cluster stands still until somebody acts.
struct Stalled {
    reason: &'static str,
    message: String,
}

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
        Err(invalid) => Err(Error::Malformed(Box::new(invalid.clone()))),
    };
    context
        .metrics
        .reconciled(start.elapsed(), result.as_ref().err().map(Error::phase));
    result
}

async fn reconcile_cluster(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Result<Action, Error> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let before = cluster.status.clone().unwrap_or_default();
    let uid = cluster.uid().unwrap_or_default();
    let outcome = Box::pin(steps(cluster, &before, context)).await?;
    let (after, next) = match outcome {
        Ok(status) => {
            let progressing = status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Reconciling");
            (status, if progressing { PROGRESSING } else { STEADY })
        }
        Err(Stalled { reason, message }) => (
            status::stalled(
                reason,
                &message,
                cluster.metadata.generation,
                &before,
                &now(),
            ),
            STEADY,
        ),
    };
    let after = hold_back_figures(after, &before, context, &uid);
    if status::write(&context.client, cluster, &after)
        .await
        .map_err(|error| Error::Status(Box::new(error)))?
    {
        announce_change(cluster, &before, &after, context).await;
    }
    context.remember(&uid, |memory| memory.failures = 0);
    Ok(Action::requeue(next))
}

/// The steps up to the status. The outer error is worth another try, the inner one waits for somebody.
async fn steps(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    context: &Context,
) -> Result<Result<ClusterStatus, Stalled>, Error> {
    let client = &context.client;
    let valid = match validate::validate(cluster, &context.node_image) {
        Ok(valid) => valid,
        Err(error) => {
            return Ok(Err(Stalled {
                reason: error.reason(),
                message: error.to_string(),
            }));
        }
    };
    let found = dereference::dereference(client, &valid)
        .await
        .map_err(|error| Error::Dereference(Box::new(error)))?;
    if let Some(stalled) = name_taken(&found) {
        return Ok(Err(stalled));
    }
    let plan = match secret_plan::plan(&valid, &found) {
        Ok(plan) => plan,
        Err(error) => {
            return Ok(Err(Stalled {
                reason: error.reason(),
                message: error.to_string(),
            }));
        }
    };
    let resources = build::build(&valid);

    let mut done = apply::create_secrets(client, &valid, &plan).await?;
    let (stateful_set, applied) = apply::apply(client, &valid, &resources, &found).await?;
    done.extend(applied);
    for step in &done {
        announce(cluster, step, context).await;
    }

    let pods = pods(client, &valid)
        .await
        .map_err(|error| Error::Dereference(Box::new(error)))?;
    let pods = ask_nodes(context, pods, found.api_key.as_ref()).await;
    let seen = Seen {
        cluster: &valid,
        stateful_set: &stateful_set,
        pods: &pods,
        salt_fingerprint: match &plan.salt {
            SaltPlan::Use(fingerprint) => Some(fingerprint),
            // Made a moment ago: the change of its Secret brings us back here.
            SaltPlan::Create => None,
        },
        service_monitors_served: found.service_monitors_served,
    };
    Ok(Ok(status::observed(&seen, before, &now())))
}

fn name_taken(found: &Found) -> Option<Stalled> {
    let child = found.children.iter().find(|child| !child.ours)?;
    let message = format!(
        "{} {} exists and belongs to somebody else; it is left alone. Rename it, or create this cluster under another name",
        child.kind, child.name
    );
    Some(Stalled {
        reason: "NameTaken",
        message,
    })
}

async fn pods(client: &Client, cluster: &ValidatedCluster) -> Result<Vec<Pod>, kube::Error> {
    let selector: Vec<_> = cluster
        .name
        .selector()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let api: Api<Pod> = Api::namespaced(client.clone(), &cluster.namespace);
    let mut pods = api
        .list(&ListParams::default().labels(&selector.join(",")))
        .await?
        .items;
    let ordinal = |pod: &Pod| {
        pod.name_any()
            .rsplit('-')
            .next()
            .and_then(|ordinal| ordinal.parse::<u32>().ok())
    };
    pods.sort_by_key(ordinal);
    Ok(pods)
}

async fn ask_nodes(
    context: &Context,
    pods: Vec<Pod>,
    api_key: Option<&ApiKey>,
) -> Vec<(Pod, Option<NodeDetails>)> {
    join_all(pods.into_iter().map(|pod| async move {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let details = match ip {
            Some(ip) if ip.contains(':') => {
                node_status::ask(&context.http, &format!("[{ip}]:{NODE_PORT}"), api_key).await
            }
            Some(ip) => {
                node_status::ask(&context.http, &format!("{ip}:{NODE_PORT}"), api_key).await
            }
            None => None,
        };
        (pod, details)
    }))
    .await
}

/// Figures alone are no reason to write more often than [`FIGURES`]; a write for another reason takes them along.
fn hold_back_figures(
    after: ClusterStatus,
    before: &ClusterStatus,
    context: &Context,
    uid: &str,
) -> ClusterStatus {
    let without_figures = |status: &ClusterStatus| {
        let mut status = ClusterStatus {
            entries: None,
            ..status.clone()
        };
        status
            .members
            .iter_mut()
            .for_each(|member| member.entries = None);
        status
    };
    let hold_back = context.remember(uid, |memory| {
        let recent = memory
            .figures_written
            .is_some_and(|written| written.elapsed() < FIGURES);
        let only_figures = after != *before && without_figures(&after) == without_figures(before);
        if after != *before && !(only_figures && recent) {
            memory.figures_written = Some(Instant::now());
        }
        only_figures && recent
    });
    if hold_back { before.clone() } else { after }
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
    let failures = context.remember(&guard.uid().unwrap_or_default(), |memory| {
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

async fn announce(cluster: &OpenSecureConfCluster, step: &Done, context: &Context) {
    let (reason, note) = match step {
        Done::Created { kind, name } => ("Created", format!("created {kind} {name}")),
        Done::Deleted { kind, name } => ("Deleted", format!("deleted {kind} {name}")),
    };
    publish(cluster, EventType::Normal, reason, note, context).await;
}

/// An event for each change of `Ready`, with the condition's own words.
async fn announce_change(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
    context: &Context,
) {
    let ready = |status: &ClusterStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .cloned()
    };
    let Some(now) = ready(after) else { return };
    if ready(before).is_some_and(|before| before.reason == now.reason) {
        return;
    }
    let type_ = if now.status == "True" {
        EventType::Normal
    } else {
        EventType::Warning
    };
    publish(cluster, type_, &now.reason, now.message, context).await;
}

async fn publish(
    cluster: &OpenSecureConfCluster,
    type_: EventType,
    reason: &str,
    note: String,
    context: &Context,
) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context
        .recorder
        .publish(&event, &cluster.object_ref(&()))
        .await
    {
        tracing::warn!(error = %error, reason, "event_not_published");
    }
}

fn now() -> Time {
    Time(jiff::Timestamp::now())
}
