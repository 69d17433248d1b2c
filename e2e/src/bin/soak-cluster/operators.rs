//! The operators: which one leads, and where.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use opensecureconf_e2e::Stage;

use crate::machines::machine_of;

const NAMESPACE: &str = "opensecureconf-system";
/// The name of the Deployment, and of the Lease.
const OPERATOR: &str = "opensecureconf-operator";
const PODS: &str = "app.kubernetes.io/name=opensecureconf-operator";
/// How often a pod of the operator is sent to another machine before that is given up.
const MOVES: usize = 3;
/// Longest wait for another leader: a frozen leader is replaced within 20 s, and pods of its machine may come first.
const TAKEOVER: Duration = Duration::from_mins(2);

/// The pod of the operator that leads.
pub(crate) async fn leader(stage: &Stage) -> anyhow::Result<Pod> {
    let lease = leases(stage).get(OPERATOR).await?;
    let holder = holder(&lease).context("no operator leads")?.to_owned();
    Ok(pods(stage).get(&holder).await?)
}

/// Waits until another operator leads; gives the seconds from `since` until then.
pub(crate) async fn until_another_leads(
    stage: &Stage,
    before: &str,
    since: Instant,
) -> anyhow::Result<String> {
    let is_another = |found: Option<&Lease>| {
        let leads = found.and_then(holder);
        leads.is_some_and(|leads| !leads.is_empty() && leads != before)
    };
    stage
        .until_within(
            TAKEOVER,
            leases(stage),
            OPERATOR,
            "of another leader",
            is_another,
        )
        .await?;
    Ok(format!(
        "another operator led after {:.1} s",
        since.elapsed().as_secs_f64()
    ))
}

/// Sees to it that not all operators run where the leader does.
pub(crate) async fn spread(stage: &Stage) -> anyhow::Result<Pod> {
    for _ in 0..MOVES {
        until_all_run(stage).await?;
        let leads = leader(stage).await?;
        let found = pods(stage)
            .list(&ListParams::default().labels(PODS))
            .await?;
        let others: Vec<_> = found
            .items
            .into_iter()
            .filter(|pod| pod.uid() != leads.uid() && pod.metadata.deletion_timestamp.is_none())
            .collect();
        if others
            .iter()
            .any(|other| machine_of(other) != machine_of(&leads))
        {
            return Ok(leads);
        }
        for other in others {
            remove(stage, &other.name_any()).await?;
        }
    }
    bail!("all operators run on one machine")
}

/// Ends a pod of the operator without giving it time.
pub(crate) async fn kill(stage: &Stage, pod: &str) -> anyhow::Result<()> {
    let at_once = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    pods(stage).delete(pod, &at_once).await?;
    Ok(())
}

/// Waits until the Deployment has all its pods.
pub(crate) async fn until_all_run(stage: &Stage) -> anyhow::Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let is_complete = |found: Option<&Deployment>| {
        let status = found.and_then(|found| found.status.as_ref());
        status.is_some_and(|status| {
            status.ready_replicas == Some(2)
                && status.replicas == Some(2)
                && status.unavailable_replicas.is_none()
        })
    };
    stage
        .until(deployments, OPERATOR, "complete", is_complete)
        .await
        .map(drop)
}

/// Ends a pod in good order, and waits until it is gone.
async fn remove(stage: &Stage, pod: &str) -> anyhow::Result<()> {
    pods(stage).delete(pod, &DeleteParams::default()).await?;
    let is_gone = |found: Option<&Pod>| found.is_none();
    stage
        .until(pods(stage), pod, "gone", is_gone)
        .await
        .map(drop)
}

fn pods(stage: &Stage) -> Api<Pod> {
    Api::namespaced(stage.client.clone(), NAMESPACE)
}

fn leases(stage: &Stage) -> Api<Lease> {
    Api::namespaced(stage.client.clone(), NAMESPACE)
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}
