//! What a cluster is doing now: its StatefulSet, its pods, and what each node says of itself. Writes nothing.

use futures::future::join_all;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{
    dereference::{ApiKey, Found},
    node_status::{self, NodeDetails},
    salt::NodeSalt,
    validate::ValidatedCluster,
};
use crate::names::NODE_PORT;

/// The cluster's own StatefulSet; nothing where the name is somebody else's.
pub(super) async fn stateful_set(
    client: &Client,
    cluster: &ValidatedCluster,
    found: &Found,
) -> Result<Option<StatefulSet>, kube::Error> {
    let name = cluster.name.as_str();
    if !found.has("StatefulSet", name) {
        return Ok(None);
    }
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &cluster.namespace);
    api.get_opt(name).await
}

/// The pods in the order of their ordinals, each with what its node answered.
pub(super) async fn nodes(
    client: &Client,
    http: &reqwest::Client,
    cluster: &ValidatedCluster,
    api_key: Option<&ApiKey>,
) -> Result<Vec<(Pod, Option<NodeDetails>)>, kube::Error> {
    let answers = pods(client, cluster).await?.into_iter().map(|pod| async {
        let details = ask(http, &pod, api_key).await;
        (pod, details)
    });
    Ok(join_all(answers).await)
}

/// The salts that nodes have, in the order of their pods; asked only where the cluster's own is lost.
pub(super) async fn salts(
    http: &reqwest::Client,
    pods: &[(Pod, Option<NodeDetails>)],
    found: &Found,
) -> Vec<NodeSalt> {
    let key = found.cluster_key.as_ref().and_then(|secret| {
        let ours = secret.ours && found.is_salt_lost();
        secret.key.as_ref().filter(|_| ours)
    });
    let Some(key) = key else { return Vec::new() };
    let answers = pods.iter().map(|(pod, _)| async {
        let salt = node_status::salt(http, &address(pod)?, key).await?;
        let node = pod.name_any();
        Some(NodeSalt { node, salt })
    });
    join_all(answers).await.into_iter().flatten().collect()
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
    pods.sort_by_key(ordinal);
    Ok(pods)
}

/// Where a pod's node answers; `None` before it has an address.
pub(super) fn address(pod: &Pod) -> Option<String> {
    let ip = pod.status.as_ref()?.pod_ip.as_deref()?;
    Some(if ip.contains(':') {
        format!("[{ip}]:{NODE_PORT}")
    } else {
        format!("{ip}:{NODE_PORT}")
    })
}

/// The number at the end of a pod's name.
pub(super) fn ordinal(pod: &Pod) -> Option<usize> {
    pod.name_any().rsplit('-').next()?.parse().ok()
}

async fn ask(http: &reqwest::Client, pod: &Pod, api_key: Option<&ApiKey>) -> Option<NodeDetails> {
    node_status::ask(http, &address(pod)?, api_key).await
}
