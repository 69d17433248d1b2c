mod certificates;
mod leaving;
mod replication;
mod reports;
mod rollouts;
mod standing_still;
mod states;
mod steps;
mod waiting_pods;

use super::*;
use crate::{
    cluster::{dereference::PendingClaim, resource::prod, rollout, validate::validate},
    node::{ClientCertificate, MemberState, NodeCertificates, NodeMember, NodeTls},
};

fn cluster(replicas: i32) -> ValidatedCluster {
    let mut cluster = prod(&format!("{{replicas: {replicas}}}"));
    cluster.metadata.namespace = Some("shop".to_owned());
    cluster.metadata.generation = Some(4);
    validate(&cluster, "node:1").unwrap()
}

fn stateful_set(replicas: i32, updated: i32) -> StatefulSet {
    serde_json::from_value(serde_json::json!({
        "metadata": {"generation": 1},
        "status": {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": updated},
    }))
    .unwrap()
}

fn pod(ordinal: i32, ready: bool) -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": format!("prod-{ordinal}")},
        "spec": {"nodeName": "worker", "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    }))
    .unwrap()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an answer, where there may be none"
)]
pub(super) fn answer(salt: &str, entries: u64) -> Option<NodeDetails> {
    Some(NodeDetails {
        version: "1.0.0".into(),
        state: MemberState::Member,
        cluster_uid: Some("f".into()),
        ready: true,
        salt_fingerprint: Some(salt.into()),
        entries,
        tls: Some(NodeTls {
            node: Some(NodeCertificates::default()),
            clients: Some(ClientCertificate {
                open: true,
                ..ClientCertificate::default()
            }),
        }),
        ..NodeDetails::default()
    })
}

fn time(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(second).unwrap())
}

fn status(
    cluster: &ValidatedCluster,
    stateful_set: &StatefulSet,
    pods: &[(Pod, Option<NodeDetails>)],
) -> ClusterStatus {
    observed(
        &seen(cluster, stateful_set, pods),
        &ClusterStatus::default(),
        &time(1),
    )
}

fn seen<'a>(
    cluster: &'a ValidatedCluster,
    stateful_set: &'a StatefulSet,
    pods: &'a [(Pod, Option<NodeDetails>)],
) -> Observation<'a> {
    Observation {
        cluster,
        running: Running::StatefulSet(Some(stateful_set)),
        pods,
        last_reports: &[],
        salt_fingerprint: Some("aa"),
        monitoring: Monitoring::Unknown,
        tls: Tls::default(),
        stalled: None,
        blocked: None,
        pending_claims: &[],
        claims: &[],
        rebuild: &RebuildPlan::Finished,
        refused_pods: &[],
        course: Course::default(),
        rollout: &RolloutPlan::Finished,
        upgrade: Upgrade::default(),
    }
}

/// (status, reason) of a condition, where it is there.
fn condition<'a>(status: &'a ClusterStatus, type_: &str) -> Option<(&'a str, &'a str)> {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)?;
    Some((&condition.status, &condition.reason))
}

#[test]
fn a_node_that_takes_no_writes_is_named_with_what_to_do() {
    let takes = |writes: &str| {
        let mut full = answer("aa", 7);
        full.as_mut().unwrap().writes = Some(writes.into());
        let pods = [(pod(0, true), answer("aa", 7)), (pod(1, true), full)];
        status(&cluster(2), &stateful_set(2, 2), &pods)
    };
    let full = takes("refused: disk full");
    assert_eq!(condition(&full, "Ready"), Some(("False", "WritesRefused")));
    let message = &full.conditions[0].message;
    assert!(
        message.starts_with("prod-1 refuses creates and updates: disk full; reads go on"),
        "{message}"
    );
    assert!(message.contains("grow"), "{message}");
    assert_eq!(condition(&full, "Available"), Some(("True", "NodeReady")));
    for writes in ["accepted", "refused: not ready"] {
        let ready = condition(&takes(writes), "Ready").map(|(_, reason)| reason.to_owned());
        assert_eq!(ready.as_deref(), Some("AllNodesReady"), "{writes}");
    }
}

#[test]
fn one_serving_node_is_ready_and_in_sync() {
    let status = status(
        &cluster(1),
        &stateful_set(1, 1),
        &[(pod(0, true), answer("aa", 7))],
    );
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    assert_eq!(
        condition(&status, "Replicated"),
        Some(("True", "SingleNode"))
    );
    assert_eq!(
        condition(&status, "SaltMatches"),
        Some(("True", "SaltMatches"))
    );
    assert_eq!(
        condition(&status, "MonitoringReady"),
        Some(("False", "ServiceMonitorUnknown"))
    );
    assert_eq!(condition(&status, "Reconciling"), None);
    assert_eq!(condition(&status, "Stalled"), None);
    assert_eq!(
        (
            status.nodes_ready.as_str(),
            status.entries,
            status.version.as_deref()
        ),
        ("1/1", Some(7), Some("1.0.0"))
    );
    assert_eq!(status.endpoint, "https://prod.shop.svc:9443");
    assert_eq!(status.observed_generation, Some(4));
}

/// Three nodes; the first one knows another node in this state.
fn three(member: &NodeMember, change: impl Fn(&mut NodeDetails)) -> ClusterStatus {
    let pods = [0, 1, 2].map(|ordinal| {
        let mut details = answer("aa", u64::try_from(ordinal).unwrap());
        if let Some(details) = details.as_mut().filter(|_| ordinal == 0) {
            details.members.push(member.clone());
            change(details);
        }
        (pod(ordinal, true), details)
    });
    status(&cluster(3), &stateful_set(3, 3), &pods)
}

fn member_with(lag: u64, reachable: bool) -> NodeMember {
    NodeMember {
        name: "prod-1".into(),
        reachable,
        lag,
        ..NodeMember::default()
    }
}

#[test]
fn a_missing_an_unready_and_a_terminating_node_are_not_ready() {
    let mut terminating = pod(1, true);
    terminating.metadata.deletion_timestamp = Some(time(1));
    let pods = [(pod(0, false), None), (terminating, answer("aa", 1))];
    let status = status(&cluster(3), &stateful_set(2, 3), &pods);
    assert_eq!(
        condition(&status, "Ready"),
        Some(("False", "NodesNotReady"))
    );
    assert_eq!(
        condition(&status, "Available"),
        Some(("False", "NoNodeReady"))
    );
    assert_eq!(
        condition(&status, "Reconciling"),
        Some(("True", "NodesStarting"))
    );
    assert_eq!(status.nodes_ready, "0/3");
    assert_eq!(
        (status.members[0].reachable, status.members[1].reachable),
        (false, true)
    );
}

/// The message of `Ready`.
fn message(status: &ClusterStatus) -> &str {
    let mut conditions = status.conditions.iter();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    &ready.unwrap().message
}

/// A pod for which the scheduler finds no place.
fn unscheduled(ordinal: i32) -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": format!("prod-{ordinal}")},
        "spec": {"containers": []},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory."}]},
    }))
    .unwrap()
}

fn pending(ordinal: i32, class: Option<&str>, class_exists: Option<bool>) -> PendingClaim {
    PendingClaim {
        name: format!("data-prod-{ordinal}"),
        class: class.map(str::to_owned),
        class_exists,
    }
}

#[test]
fn transition_times_move_only_with_the_status() {
    let (cluster, stateful_set) = (cluster(1), stateful_set(1, 1));
    let observe = |ready: bool, before: &ClusterStatus, second: i64| {
        let pods = [(pod(0, ready), answer("aa", 0))];
        observed(&seen(&cluster, &stateful_set, &pods), before, &time(second))
    };
    let first = observe(true, &ClusterStatus::default(), 1);
    let second = observe(true, &first, 2);
    assert_eq!(
        first, second,
        "an unchanged cluster has an unchanged status"
    );
    let third = observe(false, &second, 3);
    let ready = third
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.last_transition_time, time(3));
}

#[test]
fn what_no_node_could_be_asked_is_unknown_and_the_cluster_not_ready() {
    let status = status(&cluster(1), &stateful_set(1, 1), &[(pod(0, true), None)]);
    assert_eq!(
        condition(&status, "SaltMatches"),
        Some(("Unknown", "NodesUnreachable"))
    );
    assert_eq!(
        condition(&status, "Ready"),
        Some(("False", "NodesUnreachable"))
    );
}

/// Nodes of a cluster that shrinks: its StatefulSet has `there` pods, of which the first `staying` are to stay.
fn shrinking(staying: i32, there: i32, last: impl Fn(&mut NodeDetails)) -> ClusterStatus {
    let pods: Vec<_> = (0..there)
        .map(|ordinal| {
            let mut details = answer("aa", 1);
            if ordinal + 1 == there {
                details.iter_mut().for_each(&last);
            }
            (pod(ordinal, true), details)
        })
        .collect();
    status(&cluster(staying), &stateful_set(there, there), &pods)
}
