//! One reconcile: the steps in their order, and what stops them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    runtime::{
        controller::Action,
        events::{Recorder, Reporter},
    },
};

use super::{
    apply, build,
    dereference::{self, ApiKey, Found},
    events::{announce, announce_change},
    node_status::{self, NodeDetails},
    resource::{ClusterStatus, OpenSecureConfCluster},
    secret_plan::{self, SaltPlan},
    status::{self, Seen},
    validate::{self, ValidatedCluster},
};
use crate::{
    metrics::Metrics,
    names::{NODE_PORT, OPERATOR},
};

/// How often a cluster is looked at without an event: nodes come and go without one, and figures move.
const STEADY: Duration = Duration::from_secs(30);
/// The same while something is under way.
const PROGRESSING: Duration = Duration::from_secs(5);
/// Figures that always move are written this often at most.
const FIGURES: Duration = Duration::from_secs(30);

/// What reconciles share.
pub struct Context {
    pub(super) client: Client,
    http: reqwest::Client,
    recorder: Recorder,
    pub(super) metrics: Metrics,
    node_image: String,
    /// Failures in a row, and when figures were last written, by the resource's uid.
    memory: Mutex<HashMap<String, Memory>>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Memory {
    pub(super) failures: u32,
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

    pub(super) fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Memory) -> T) -> T {
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
    pub(super) fn phase(&self) -> &'static str {
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

/// Brings one cluster nearer to what is wanted, and says when to look again.
///
/// # Errors
/// What may go better at another try. What waits for somebody's change is in the status, not here.
pub async fn reconcile_cluster(
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
        announce_change(cluster, &before, &after, &context.recorder).await;
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
        announce(cluster, step, &context.recorder).await;
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

fn now() -> Time {
    Time(jiff::Timestamp::now())
}
