//! Step 5: from what was seen to the status. Pure, except for the one function at the end that writes it.

use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};

use super::{
    node_status::NodeDetails,
    resource::{ClusterStatus, MemberStatus, OpenSecureConfCluster},
    validate::ValidatedCluster,
};
use crate::names::{NODE_PORT, STATUS_FIELD_MANAGER};

/// Everything that a status is made from.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What is wanted.
    pub cluster: &'a ValidatedCluster,
    /// The StatefulSet as the API server holds it.
    pub stateful_set: &'a StatefulSet,
    /// The pods that exist, each with what its node answered.
    pub pods: &'a [(Pod, Option<NodeDetails>)],
    /// Fingerprint of the salt Secret.
    pub salt_fingerprint: Option<&'a str>,
    /// Whether this Kubernetes knows ServiceMonitors.
    pub service_monitors_served: bool,
}

/// A condition without its bookkeeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

fn verdict(
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: impl Into<String>,
) -> Verdict {
    Verdict {
        type_,
        holds,
        reason,
        message: message.into(),
    }
}

/// The status of a cluster whose children were applied.
pub fn observed(seen: &Seen<'_>, before: &ClusterStatus, now: &Time) -> ClusterStatus {
    let Seen {
        cluster,
        stateful_set,
        pods,
        salt_fingerprint,
        ..
    } = seen;
    let members: Vec<_> = pods
        .iter()
        .map(|(pod, details)| member(pod, details.as_ref()))
        .collect();
    let running = stateful_set.status.clone().unwrap_or_default();
    let ready = members.iter().filter(|member| member.ready).count();
    let versions: Vec<_> = members
        .iter()
        .filter_map(|member| member.version.clone())
        .collect();
    let same_version = versions
        .iter()
        .all(|version| Some(version) == versions.first());
    ClusterStatus {
        observed_generation: cluster.generation,
        replicas: running.replicas,
        ready_replicas: i32::try_from(ready).unwrap_or(i32::MAX),
        updated_replicas: running.updated_replicas.unwrap_or_default(),
        nodes_ready: format!("{ready}/{}", cluster.spec.replicas),
        entries: members
            .iter()
            .filter_map(|member| member.entries)
            .max()
            .or(before.entries),
        selector: cluster
            .name
            .selector()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(","),
        version: versions.first().filter(|_| same_version).cloned(),
        image: cluster.image.clone(),
        salt_fingerprint: salt_fingerprint.map(str::to_owned),
        api_key_secret_name: match &cluster.spec.api_key.secret_ref {
            Some(reference) => reference.name.clone(),
            None if cluster.spec.api_key.required => cluster.name.api_key(),
            None => String::new(),
        },
        endpoint: format!(
            "http://{}.{}.svc:{NODE_PORT}",
            cluster.name, cluster.namespace
        ),
        conditions: conditions(
            verdicts(seen, &members, ready),
            cluster.generation,
            before,
            now,
        ),
        members,
    }
}

/// The status of a cluster that cannot be reconciled before somebody acts: what was last seen, and why it stands still.
pub fn stalled(
    reason: &'static str,
    message: &str,
    generation: Option<i64>,
    before: &ClusterStatus,
    now: &Time,
) -> ClusterStatus {
    let verdicts = vec![
        verdict("Ready", false, reason, message),
        verdict("Stalled", true, reason, message),
    ];
    let mut after = conditions(verdicts, generation, before, now);
    // The other conditions still say what was last seen.
    let kept = |condition: &&Condition| {
        !["Ready", "Stalled", "Reconciling"].contains(&condition.type_.as_str())
    };
    after.extend(before.conditions.iter().filter(kept).cloned());
    ClusterStatus {
        observed_generation: generation,
        conditions: after,
        ..before.clone()
    }
}

fn member(pod: &Pod, details: Option<&NodeDetails>) -> MemberStatus {
    MemberStatus {
        name: pod.name_any(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        ready: is_ready(pod),
        reachable: details.is_some(),
        state: details.map(|details| details.state.clone()),
        version: details.map(|details| details.version.clone()),
        salt_fingerprint: details.and_then(|details| details.salt_fingerprint.clone()),
        entries: details.map(|details| details.entries),
    }
}

/// A pod that is going away serves no more, whatever its condition still says.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn verdicts(seen: &Seen<'_>, members: &[MemberStatus], ready: usize) -> Vec<Verdict> {
    let wanted = usize::try_from(seen.cluster.spec.replicas).unwrap_or_default();
    let salt = salt_consistent(seen, members);
    let rollout = rollout(seen, members, wanted);
    let all_ready = ready == wanted && members.len() == wanted && rollout.is_none();
    let mut verdicts = vec![
        match (all_ready, salt.holds) {
            (true, true) if wanted == 1 => verdict(
                "Ready",
                true,
                "AllNodesReady",
                "the node serves; traffic is not encrypted",
            ),
            (true, true) => verdict(
                "Ready",
                true,
                "AllNodesReady",
                format!(
                    "all {wanted} nodes serve, clients reach node 0 (nodes do not replicate yet); traffic is not encrypted"
                ),
            ),
            (true, false) => verdict("Ready", false, salt.reason, salt.message.clone()),
            (false, _) => verdict(
                "Ready",
                false,
                "NodesNotReady",
                format!("{ready} of {wanted} nodes serve{}", not_ready(members)),
            ),
        },
        if ready > 0 {
            verdict("Available", true, "NodeReady", "at least one node serves")
        } else {
            verdict(
                "Available",
                false,
                "NoNodeReady",
                "no node serves; look at the pods' events and logs",
            )
        },
        salt,
        if wanted > 1 {
            verdict(
                "InSync",
                false,
                "ReplicationNotBuilt",
                "this release does not replicate: each node keeps its own entries, and clients reach node 0 only",
            )
        } else {
            verdict("InSync", true, "SingleNode", "there is one node")
        },
        monitoring(seen),
    ];
    if !all_ready {
        let message =
            rollout.unwrap_or_else(|| format!("waiting for {wanted} nodes to serve, {ready} do"));
        verdicts.push(verdict("Reconciling", true, "NodesStarting", message));
    }
    verdicts
}

fn not_ready(members: &[MemberStatus]) -> String {
    let names: Vec<_> = members
        .iter()
        .filter(|member| !member.ready)
        .map(|member| member.name.as_str())
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; look at the events and logs of pod {}", names.join(", "))
    }
}

/// What a rollout still waits for.
fn rollout(seen: &Seen<'_>, members: &[MemberStatus], wanted: usize) -> Option<String> {
    let status = seen.stateful_set.status.as_ref()?;
    if status.observed_generation < seen.stateful_set.metadata.generation {
        return Some("waiting for Kubernetes to take up the new StatefulSet".to_owned());
    }
    let updated = usize::try_from(status.updated_replicas.unwrap_or_default()).unwrap_or_default();
    if updated < wanted {
        return Some(format!(
            "{updated} of {wanted} nodes run the current pod template"
        ));
    }
    (members.len() > wanted).then(|| format!("{} nodes are going away", members.len() - wanted))
}

fn salt_consistent(seen: &Seen<'_>, members: &[MemberStatus]) -> Verdict {
    let other = members.iter().find(|member| {
        member
            .salt_fingerprint
            .as_deref()
            .is_some_and(|fingerprint| Some(fingerprint) != seen.salt_fingerprint)
    });
    match other {
        None => verdict(
            "SaltConsistent",
            true,
            "OneSalt",
            "every node that answers has the salt of the Secret",
        ),
        Some(member) => verdict(
            "SaltConsistent",
            false,
            "DifferentSalt",
            format!(
                "{} has another salt than Secret {}: values that it stored open nowhere else; stop writing to it",
                member.name,
                seen.cluster.name.salt()
            ),
        ),
    }
}

fn monitoring(seen: &Seen<'_>) -> Verdict {
    if !seen.cluster.spec.monitoring.service_monitor.enabled {
        verdict(
            "MonitoringReady",
            false,
            "Disabled",
            "monitoring.serviceMonitor.enabled is false",
        )
    } else if seen.service_monitors_served {
        verdict(
            "MonitoringReady",
            true,
            "ServiceMonitorApplied",
            "the ServiceMonitor is applied",
        )
    } else {
        verdict(
            "MonitoringReady",
            false,
            "ServiceMonitorUnknown",
            "this cluster does not know ServiceMonitors; install the Prometheus Operator, or set monitoring.serviceMonitor.enabled to false",
        )
    }
}

fn conditions(
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    before: &ClusterStatus,
    now: &Time,
) -> Vec<Condition> {
    verdicts
        .into_iter()
        .map(
            |Verdict {
                 type_,
                 holds,
                 reason,
                 message,
             }| {
                let status = if holds { "True" } else { "False" };
                let same = before
                    .conditions
                    .iter()
                    .find(|condition| condition.type_ == type_ && condition.status == status);
                Condition {
                    type_: type_.to_owned(),
                    status: status.to_owned(),
                    reason: reason.to_owned(),
                    message,
                    observed_generation: generation,
                    last_transition_time: same.map_or_else(
                        || now.clone(),
                        |condition| condition.last_transition_time.clone(),
                    ),
                }
            },
        )
        .collect()
}

/// Writes the status when it differs from what is there, and tells whether it did.
pub async fn write(
    client: &Client,
    cluster: &OpenSecureConfCluster,
    status: &ClusterStatus,
) -> Result<bool, kube::Error> {
    if cluster.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let api: Api<OpenSecureConfCluster> =
        Api::namespaced(client.clone(), &cluster.namespace().unwrap_or_default());
    let patch = serde_json::json!({
        "apiVersion": "opensecureconf.io/v1alpha1",
        "kind": "OpenSecureConfCluster",
        "metadata": { "name": cluster.name_any() },
        "status": status,
    });
    let parameters = PatchParams::apply(STATUS_FIELD_MANAGER).force();
    api.patch_status(&cluster.name_any(), &parameters, &Patch::Apply(patch))
        .await
        .map(|_| true)
}

#[cfg(test)]
mod tests;
