//! The present state of a cluster: its StatefulSet, its pods, and the reports of its nodes. Writes nothing.

use std::net::IpAddr;

use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Pod, PodCondition},
};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{
    salt::{MemberSalt, SaltReports},
    validate::ValidatedCluster,
};
use crate::{
    names::PEERS_PORT,
    node::{NodeClient, NodeDetails, PodAddresses, Silence, Unverified},
};

/// The pods at whose address another program than a node of the cluster answers.
pub(super) type UnverifiedPods = Vec<(String, Unverified)>;

/// The pods in the order of their ordinals, each with its node's answer; and those whose node could not be verified.
pub(super) async fn nodes(
    mut pods: Vec<Pod>,
    nodes: Option<&Connection>,
    cluster: &ValidatedCluster,
) -> (Vec<(Pod, Option<NodeDetails>)>, UnverifiedPods) {
    pods.sort_by_key(ordinal);
    if let Some(connection) = nodes {
        connection.addresses.set(
            pods.iter()
                .filter_map(|pod| Some((host(cluster, pod), ip(pod)?)))
                .collect(),
        );
    }
    let answers = pods.into_iter().map(|pod| async {
        let answer = match nodes {
            Some(connection) if ip(&pod).is_some() => {
                let address = address(cluster, &pod);
                connection.client.ask(&pod.name_any(), &address).await
            }
            _ => Err(Silence::NoAnswer),
        };
        (pod, answer)
    });
    let mut unverified = UnverifiedPods::new();
    let mut asked = Vec::new();
    for (pod, answer) in join_all(answers).await {
        if let Err(Silence::NotVerified(why)) = &answer
            && may_run(&pod)
        {
            tracing::warn!(pod = pod.name_any(), why = %why, "node_not_verified");
            unverified.push((pod.name_any(), why.clone()));
        }
        asked.push((pod, answer.ok()));
    }
    (asked, unverified)
}

/// Whether a pod may have a node: the address of one that has ended, or is being deleted, may belong to another pod by now.
fn may_run(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Failed" | "Succeeded"))
}

/// The connection to the nodes of one cluster.
#[derive(Debug)]
pub(super) struct Connection {
    /// The client that speaks to them.
    pub(super) client: NodeClient,
    /// Where they are.
    pub(super) addresses: PodAddresses,
}

/// The scheduler's condition of a pod for which it finds no place.
pub(super) fn unscheduled(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
}

/// The salts that the cluster's own nodes report; asked only where the Secret is lost.
pub(super) async fn salt_reports(
    nodes: Option<&Connection>,
    cluster: &ValidatedCluster,
    stateful_set: Option<&StatefulSet>,
    pods: &[(Pod, Option<NodeDetails>)],
) -> SaltReports {
    let running = stateful_set.and_then(|there| there.spec.as_ref()?.replicas);
    let names = (0..running.unwrap_or(cluster.spec.replicas)).map(|n| cluster.name.pod(n));
    let answers = join_all(names.map(|node| async {
        let pod = pods.iter().find(|(pod, _)| pod.name_any() == node);
        let (pod, details) = pod.filter(|(pod, _)| belongs_to(pod, stateful_set))?;
        let details = details.as_ref()?;
        if details.cluster_uid.is_none() {
            return Some(None);
        }
        let salt = nodes?.client.salt(&address(cluster, pod)).await?;
        let incarnation = details.incarnation.clone();
        Some(Some(MemberSalt {
            node,
            incarnation,
            salt,
        }))
    }))
    .await;
    let mut salt_reports = SaltReports {
        asleep: running == Some(0),
        ..SaltReports::default()
    };
    for (ordinal, answer) in (0..).zip(answers) {
        match answer {
            Some(member) => salt_reports.members.extend(member),
            None => salt_reports.silent.push(cluster.name.pod(ordinal)),
        }
    }
    salt_reports
}

/// Whether a pod is the StatefulSet's own, and stays: an ending one may be of an earlier life.
fn belongs_to(pod: &Pod, stateful_set: Option<&StatefulSet>) -> bool {
    let owner = stateful_set.and_then(ResourceExt::uid);
    let mut owners = pod.owner_references().iter();
    owner.is_some_and(|uid| owners.any(|owner| owner.uid == uid))
        && pod.metadata.deletion_timestamp.is_none()
}

/// The pods as the API server holds them.
pub(super) async fn pods(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<Vec<Pod>, kube::Error> {
    let selector: Vec<_> = cluster
        .name
        .selector()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let api: Api<Pod> = Api::namespaced(client.clone(), &cluster.namespace);
    let ours = ListParams::default().labels(&selector.join(","));
    Ok(api.list(&ours).await?.items)
}

/// Where the node of a pod answers the operator: by name, because its certificate is for names.
pub(super) fn address(cluster: &ValidatedCluster, pod: &Pod) -> String {
    format!("{}:{PEERS_PORT}", host(cluster, pod))
}

fn host(cluster: &ValidatedCluster, pod: &Pod) -> String {
    let (service, namespace) = (cluster.name.nodes(), &cluster.namespace);
    format!("{}.{service}.{namespace}.svc", pod.name_any())
}

/// `None` before the pod has an address.
fn ip(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()
}

/// The number at the end of a pod's name.
pub(super) fn ordinal(pod: &Pod) -> Option<usize> {
    ordinal_of(&pod.name_any())
}

/// The same of the name alone.
pub(super) fn ordinal_of(name: &str) -> Option<usize> {
    name.rsplit('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_address_of_a_pod_that_has_ended_says_nothing_of_the_cluster() {
        let pod = |phase: &str, deleted: Option<&str>| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "deletionTimestamp": deleted },
                "status": { "phase": phase, "podIP": "192.0.2.1" },
            }))
            .unwrap()
        };
        assert!(may_run(&pod("Running", None)));
        for phase in ["Failed", "Succeeded"] {
            assert!(!may_run(&pod(phase, None)));
        }
        assert!(!may_run(&pod("Running", Some("2026-01-01T00:00:00Z"))));
    }
}
