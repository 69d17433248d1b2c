//! The cluster of three nodes: how it is made, changed, and waited for.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use opensecureconf_e2e::{Stage, condition};
use serde_json::{Value, json};

use crate::{CLUSTER, machines::NODES};

/// Longest wait for all nodes to serve again; on two cores a machine takes its time to start.
const RECOVERY: Duration = Duration::from_mins(10);

/// Makes it: a node on each machine, also on that of the API server.
pub(crate) async fn make(stage: &Stage) -> anyhow::Result<()> {
    let everywhere = json!([{ "key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule" }]);
    let cluster = json!({
        "apiVersion": "opensecureconf.io/v1alpha1",
        "kind": "OpenSecureConfCluster",
        "metadata": { "name": CLUSTER },
        "spec": { "replicas": 3, "storage": { "size": "128Mi" }, "tolerations": everywhere },
    });
    stage.apply_value(&cluster).await?;
    recovered(stage).await
}

/// Changes its spec, as `kubectl patch --type merge` does it.
pub(crate) async fn want(stage: &Stage, spec: Value) -> anyhow::Result<()> {
    let change = Patch::Merge(json!({ "spec": spec }));
    let parameters = PatchParams::default();
    stage
        .clusters()
        .patch(CLUSTER, &parameters, &change)
        .await?;
    Ok(())
}

/// Waits until every node serves, and the status of the current generation reports that all nodes hold the same rows.
pub(crate) async fn recovered(stage: &Stage) -> anyhow::Result<()> {
    until(stage, "recovered", |cluster| {
        let nodes = cluster.data.pointer("/status/nodesReady");
        let holds = |type_| {
            condition(cluster, type_).is_some_and(|(status, _, generation)| {
                status == "True" && generation == cluster.metadata.generation
            })
        };
        nodes.and_then(Value::as_str) == Some("3/3")
            && ["Ready", "Replicated", "TlsReady"].into_iter().all(holds)
            && condition(cluster, "Reconciling").is_none()
    })
    .await
}

/// Waits until condition `Ready` has another status than True, or this reason.
pub(crate) async fn until_ready_tells(stage: &Stage, reason: Option<&str>) -> anyhow::Result<()> {
    until(stage, reason.unwrap_or("not ready"), |cluster| {
        condition(cluster, "Ready").is_some_and(|(status, told, _)| match reason {
            Some(reason) => told == reason,
            None => status != "True",
        })
    })
    .await
}

/// Waits until the resource is as wanted.
pub(crate) async fn until(
    stage: &Stage,
    what: &str,
    wanted: impl Fn(&DynamicObject) -> bool + Send + Sync,
) -> anyhow::Result<()> {
    let is = |found: Option<&DynamicObject>| found.is_some_and(&wanted);
    stage
        .until_within(RECOVERY, stage.clusters(), CLUSTER, what, is)
        .await
        .map(drop)
}

/// Waits until a pod is as wanted.
pub(crate) async fn until_pod(
    stage: &Stage,
    name: &str,
    what: &str,
    wanted: impl Fn(&Pod) -> bool + Send + Sync,
) -> anyhow::Result<()> {
    let is = |found: Option<&Pod>| found.is_some_and(&wanted);
    stage
        .until_within(RECOVERY, stage.api(), name, what, is)
        .await
        .map(drop)
}

/// Whether a pod is ready.
pub(crate) fn serves(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The names of the pods of its nodes.
pub(crate) async fn pods(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let nodes = ListParams::default().labels(NODES);
    let found = stage.api::<Pod>().list_metadata(&nodes).await?;
    Ok(found.items.iter().map(ResourceExt::name_any).collect())
}
