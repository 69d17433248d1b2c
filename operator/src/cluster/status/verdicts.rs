//! What is said of a cluster, condition by condition.

use super::{Monitoring, Seen, Stalled};
use crate::cluster::resource::MemberStatus;

/// A condition without its bookkeeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) type_: &'static str,
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
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

/// The two conditions of a cluster that stands still.
pub(super) fn standstill(Stalled { reason, message }: &Stalled) -> [Verdict; 2] {
    [
        verdict("Ready", false, reason, message),
        verdict("Stalled", true, reason, message),
    ]
}

/// All conditions of a cluster whose nodes were looked at.
pub(super) fn verdicts(seen: &Seen<'_>, members: &[MemberStatus], ready: usize) -> Vec<Verdict> {
    let wanted = usize::try_from(seen.cluster.spec.replicas).unwrap_or_default();
    let salt = salt_consistent(seen, members);
    let mut verdicts = match seen.stalled {
        Some(stalled) => standstill(stalled).to_vec(),
        None => progress(seen, members, ready, wanted, &salt),
    };
    verdicts.extend([
        available(ready),
        salt,
        in_sync(wanted),
        monitoring(seen.monitoring),
    ]);
    verdicts
}

/// `Ready`, and `Reconciling` until then.
fn progress(
    seen: &Seen<'_>,
    members: &[MemberStatus],
    ready: usize,
    wanted: usize,
    salt: &Verdict,
) -> Vec<Verdict> {
    let rollout = rollout(seen, members, wanted);
    if ready < wanted || members.len() != wanted || rollout.is_some() {
        let reason = "NodesNotReady";
        let summary = format!("{ready} of {wanted} nodes serve{}", not_ready(members));
        let message =
            rollout.unwrap_or_else(|| format!("waiting for {wanted} nodes to serve, {ready} do"));
        return vec![
            verdict("Ready", false, reason, summary),
            verdict("Reconciling", true, "NodesStarting", message),
        ];
    }
    let ready = if salt.reason == DIFFERENT_SALT {
        verdict("Ready", false, salt.reason, salt.message.clone())
    } else if wanted == 1 {
        let message = "the node serves; traffic is not encrypted";
        verdict("Ready", true, "AllNodesReady", message)
    } else {
        verdict(
            "Ready",
            true,
            "AllNodesReady",
            format!(
                "all {wanted} nodes serve, clients reach node 0 (nodes do not replicate yet); traffic is not encrypted"
            ),
        )
    };
    vec![ready]
}

fn available(ready: usize) -> Verdict {
    if ready > 0 {
        verdict("Available", true, "NodeReady", "at least one node serves")
    } else {
        verdict(
            "Available",
            false,
            "NoNodeReady",
            "no node serves; look at the pods' events and logs",
        )
    }
}

fn in_sync(wanted: usize) -> Verdict {
    if wanted > 1 {
        verdict(
            "InSync",
            false,
            "ReplicationNotBuilt",
            "this release does not replicate: each node keeps its own entries, and clients reach node 0 only",
        )
    } else {
        verdict("InSync", true, "SingleNode", "there is one node")
    }
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
    let stateful_set = seen.stateful_set?;
    let status = stateful_set.status.as_ref()?;
    if status.observed_generation < stateful_set.metadata.generation {
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

const DIFFERENT_SALT: &str = "DifferentSalt";

fn salt_consistent(seen: &Seen<'_>, members: &[MemberStatus]) -> Verdict {
    let secret = seen.cluster.name.salt();
    let mut told = members
        .iter()
        .filter(|member| member.salt_fingerprint.is_some())
        .peekable();
    let (holds, reason, message) = match (told.peek(), seen.salt_fingerprint) {
        (None, _) => (
            false,
            "NotAsked",
            "no node has told its salt yet".to_owned(),
        ),
        (Some(_), None) => (
            false,
            "NoSalt",
            format!("Secret {secret} holds no salt to compare the nodes' with"),
        ),
        (Some(_), wanted) => match told.find(|member| member.salt_fingerprint.as_deref() != wanted)
        {
            None => (
                true,
                "OneSalt",
                "every node that answers has the salt of the Secret".to_owned(),
            ),
            Some(member) => (
                false,
                DIFFERENT_SALT,
                format!(
                    "{} has another salt than Secret {secret}: values that it stored open nowhere else; stop writing to it",
                    member.name
                ),
            ),
        },
    };
    verdict("SaltConsistent", holds, reason, message)
}

fn monitoring(state: Monitoring) -> Verdict {
    let (holds, reason, message) = match state {
        Monitoring::Off => (
            false,
            "Disabled",
            "monitoring.serviceMonitor.enabled is false",
        ),
        Monitoring::Applied => (
            true,
            "ServiceMonitorApplied",
            "the ServiceMonitor is applied",
        ),
        Monitoring::Missing => (
            false,
            "ServiceMonitorMissing",
            "the ServiceMonitor is not there; condition Stalled says why",
        ),
        Monitoring::Unknown => (
            false,
            "ServiceMonitorUnknown",
            "this cluster does not know ServiceMonitors; install the Prometheus Operator, or set monitoring.serviceMonitor.enabled to false",
        ),
    };
    verdict("MonitoringReady", holds, reason, message)
}
