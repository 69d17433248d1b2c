mod states;
mod steps;

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
fn nodes_that_hold_what_the_others_hold_are_in_sync() {
    let status = three(&member_with(3, true), |_| {});
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    assert_eq!(
        condition(&status, "Replicated"),
        Some(("True", "Replicated"))
    );
    assert_eq!(status.entries, Some(2));
}

#[test]
fn a_node_that_is_behind_or_out_of_reach_is_told_of_and_makes_the_cluster_unready() {
    for (status, reason) in [
        (three(&member_with(5000, true), |_| {}), "CatchingUp"),
        (three(&member_with(0, false), |_| {}), "MemberUnreachable"),
        (
            three(&member_with(0, true), |details| details.ready = false),
            "CatchingUp",
        ),
    ] {
        assert_eq!(condition(&status, "Replicated"), Some(("False", reason)));
        assert_eq!(condition(&status, "Ready"), Some(("False", reason)));
    }
}

#[test]
fn nodes_that_nobody_told_to_found_are_not_in_sync() {
    let mut details = answer("aa", 0);
    details.as_mut().unwrap().cluster_uid = None;
    let status = status(
        &cluster(1),
        &stateful_set(1, 1),
        &[(pod(0, false), details)],
    );
    assert_eq!(
        condition(&status, "Replicated"),
        Some(("False", "NotBootstrapped"))
    );
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

#[test]
fn an_unfinished_rollout_is_not_ready_although_all_pods_are() {
    let pods = [0, 1].map(|ordinal| (pod(ordinal, true), answer("aa", 0)));
    let status = status(&cluster(2), &stateful_set(2, 1), &pods);
    assert_eq!(condition(&status, "Ready"), Some(("False", "RollingOut")));
    assert_eq!(
        message(&status),
        "1 of 2 nodes run the current pod template"
    );
    assert_eq!(condition(&status, "Available"), Some(("True", "NodeReady")));
}

/// The message of `Ready`.
fn message(status: &ClusterStatus) -> &str {
    let mut conditions = status.conditions.iter();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    &ready.unwrap().message
}

#[test]
fn while_a_pod_of_a_rollout_restarts_the_rollout_is_told_of_until_something_is_wrong() {
    let restarts = RolloutPlan::Wait(rollout::Waiting::Pod("prod-1".to_owned()));
    let told = |updated, pods: &[(Pod, Option<NodeDetails>)]| {
        let (cluster, set) = (cluster(3), stateful_set(3, updated));
        let seen = Observation {
            rollout: &restarts,
            ..seen(&cluster, &set, pods)
        };
        observed(&seen, &ClusterStatus::default(), &time(1))
    };
    let serving = |ordinal| (pod(ordinal, true), answer("aa", 0));
    let restarting = [serving(0), (pod(1, false), None), serving(2)];
    let counted = told(2, &restarting);
    assert_eq!(condition(&counted, "Ready"), Some(("False", "RollingOut")));
    assert_eq!(
        message(&counted),
        "2 of 3 nodes run the current pod template; 2 of 3 nodes serve"
    );
    let between = told(2, &[serving(0), serving(2)]);
    assert_eq!(condition(&between, "Ready"), Some(("False", "RollingOut")));
    let last = told(3, &restarting);
    assert_eq!(condition(&last, "Ready"), Some(("False", "RollingOut")));

    let mut stuck = restarting;
    stuck[1].0 = unscheduled(1);
    let stuck = told(2, &stuck);
    assert_eq!(condition(&stuck, "Ready"), Some(("False", "NodesNotReady")));
}

#[test]
fn a_rollout_that_waits_for_a_node_to_catch_up_names_it() {
    let waits = RolloutPlan::Wait(rollout::Waiting::Sync("prod-1".to_owned()));
    let (cluster, set) = (cluster(3), stateful_set(3, 1));
    let pods = [0, 1, 2].map(|ordinal| (pod(ordinal, true), answer("aa", 0)));
    let seen = Observation {
        rollout: &waits,
        ..seen(&cluster, &set, &pods)
    };
    let told = observed(&seen, &ClusterStatus::default(), &time(1));
    assert_eq!(
        condition(&told, "Reconciling"),
        Some(("True", "RollingOut"))
    );
    assert_eq!(
        message(&told),
        "1 of 3 nodes run the current pod template; waiting until prod-1 has what the others have"
    );
}

#[test]
fn a_pod_that_does_not_come_back_is_named_with_what_to_do_and_the_scheduler_s_words() {
    let blocked = RolloutPlan::Blocked {
        ordinal: 2,
        is_last: true,
    };
    let (cluster, set) = (cluster(3), stateful_set(3, 1));
    let mut pods = [0, 1, 2].map(|ordinal| (pod(ordinal, true), answer("aa", 0)));
    pods[2] = (unscheduled(2), None);
    let seen = Observation {
        rollout: &blocked,
        ..seen(&cluster, &set, &pods)
    };
    let told = observed(&seen, &ClusterStatus::default(), &time(1));
    assert_eq!(condition(&told, "Ready"), Some(("False", "RolloutBlocked")));
    assert_eq!(
        condition(&told, "Reconciling"),
        None,
        "a person is waited for"
    );
    let message = message(&told);
    for words in [
        "kubectl delete pvc data-prod-2 -n shop --wait=false && kubectl delete pod prod-2 -n shop --wait=false",
        "set spec.replicas to 2",
        "Insufficient memory",
    ] {
        assert!(message.contains(words), "{message}");
    }
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
fn pods_without_a_place_are_told_of_in_the_schedulers_words_and_their_volumes_are_not_blamed() {
    let (cluster, set) = (cluster(3), stateful_set(3, 3));
    let pods = [0, 1, 2].map(|ordinal| (unscheduled(ordinal), None));
    let told = |claims: &[PendingClaim]| {
        let seen = Observation {
            pending_claims: claims,
            ..seen(&cluster, &set, &pods)
        };
        message(&observed(&seen, &ClusterStatus::default(), &time(1))).to_owned()
    };
    let wanted = "0 of 3 nodes serve; pods prod-0, prod-1, prod-2: Unschedulable: 0/3 nodes are available: 3 Insufficient memory.";
    assert_eq!(told(&[pending(0, Some("standard"), Some(true))]), wanted);
    assert_eq!(told(&[pending(0, Some("standard"), None)]), wanted);
    let absent = told(&[pending(0, Some("fast"), Some(false))]);
    assert!(
        absent.contains("StorageClass 'fast', which does not exist"),
        "{absent}"
    );
}

#[test]
fn a_pod_that_may_not_be_made_is_told_of_and_nobody_is_sent_to_its_logs() {
    let (cluster, set) = (cluster(2), stateful_set(2, 2));
    let refused = ["prod-0", "prod-1"].map(|name| RefusedPod {
        since: None,
        name: name.to_owned(),
        words: "exceeded quota: few".to_owned(),
    });
    let claims = [pending(0, Some("standard"), Some(true))];
    let seen = Observation {
        refused_pods: &refused,
        pending_claims: &claims,
        ..seen(&cluster, &set, &[])
    };
    let told = observed(&seen, &ClusterStatus::default(), &time(1));
    assert_eq!(
        message(&told),
        "0 of 2 nodes serve; pods prod-0, prod-1: FailedCreate: exceeded quota: few"
    );
    let available = told
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Available");
    assert!(
        !available.unwrap().message.contains("logs"),
        "{available:?}"
    );
}

#[test]
fn a_node_with_another_salt_is_an_alarm() {
    let status = status(
        &cluster(1),
        &stateful_set(1, 1),
        &[(pod(0, true), answer("bb", 0))],
    );
    assert_eq!(
        condition(&status, "SaltMatches"),
        Some(("False", "DifferentSalt"))
    );
    assert_eq!(
        condition(&status, "Ready"),
        Some(("False", "DifferentSalt"))
    );
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

fn standstill() -> Stalled {
    Stalled {
        reason: "SaltMissing",
        message: "restore it".into(),
    }
}

#[test]
fn a_resource_that_tells_too_little_says_why_and_keeps_what_was_seen() {
    let before = status(
        &cluster(1),
        &stateful_set(1, 1),
        &[(pod(0, true), answer("aa", 7))],
    );
    let status = unseen(&standstill(), Some(5), &before, &time(9));
    assert_eq!(condition(&status, "Ready"), Some(("False", "SaltMissing")));
    assert_eq!(condition(&status, "Stalled"), Some(("True", "SaltMissing")));
    assert_eq!(condition(&status, "Available"), Some(("True", "NodeReady")));
    assert_eq!(
        (status.entries, status.observed_generation),
        (Some(7), Some(5))
    );
}

#[test]
fn a_stalled_cluster_says_why_and_what_its_nodes_do_now() {
    let (cluster, stateful_set, stalled) = (cluster(2), stateful_set(2, 2), standstill());
    let stalled_with = |ready: [bool; 2], before: &ClusterStatus| {
        let pods = [0, 1].map(|ordinal: usize| {
            let answer = answer("aa", 3).filter(|_| ready[ordinal]);
            (pod(i32::try_from(ordinal).unwrap(), ready[ordinal]), answer)
        });
        let seen = Observation {
            stalled: Some(&stalled),
            salt_fingerprint: None,
            ..seen(&cluster, &stateful_set, &pods)
        };
        observed(&seen, before, &time(2))
    };
    let first = stalled_with([true, true], &ClusterStatus::default());
    assert_eq!(condition(&first, "Ready"), Some(("False", "SaltMissing")));
    assert_eq!(condition(&first, "Stalled"), Some(("True", "SaltMissing")));
    assert_eq!(condition(&first, "Reconciling"), None);
    assert_eq!(condition(&first, "Available"), Some(("True", "NodeReady")));
    assert_eq!(condition(&first, "SaltMatches"), Some(("False", "NoSalt")));
    assert_eq!(first.nodes_ready, "2/2");

    let second = stalled_with([false, false], &first);
    assert_eq!(
        condition(&second, "Available"),
        Some(("False", "NoNodeReady"))
    );
    assert_eq!(
        (second.nodes_ready.as_str(), second.ready_replicas),
        ("0/2", 0)
    );
    assert!(second.members.iter().all(|member| !member.reachable));
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

#[test]
fn while_nodes_leave_the_others_are_ready() {
    let status = shrinking(2, 4, |leaving| {
        leaving.state = MemberState::Leaving;
        leaving.ready = false;
    });
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    assert_eq!(
        condition(&status, "Replicated"),
        Some(("True", "Replicated"))
    );
    assert_eq!(
        condition(&status, "Reconciling"),
        Some(("True", "NodesLeaving"))
    );
    let told = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Reconciling");
    assert_eq!(told.unwrap().message, "2 nodes are leaving; 2 stay");
    assert_eq!(status.nodes_ready, "2/2");
    assert_eq!(status.ready_replicas, 4);
}

#[test]
fn a_node_that_left_and_is_not_removed_yet_makes_nobody_unready() {
    let left = NodeMember {
        name: "prod-1".into(),
        state: MemberState::Left,
        reachable: false,
        ..NodeMember::default()
    };
    let mut stays = answer("aa", 1);
    stays.as_mut().unwrap().members = vec![left];
    let mut lowered = stateful_set(2, 1);
    lowered.metadata.generation = Some(2);
    lowered.spec = serde_json::from_value(serde_json::json!({
        "replicas": 1, "selector": {}, "template": {},
    }))
    .unwrap();
    let status = status(&cluster(1), &lowered, &[(pod(0, true), stays)]);
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    assert_eq!(
        condition(&status, "Reconciling"),
        Some(("True", "NodesLeaving"))
    );
}

#[test]
fn a_leaving_node_does_not_stand_in_for_one_that_is_to_stay() {
    let pods = [0, 1, 2].map(|ordinal| (pod(ordinal, ordinal != 1), answer("aa", 1)));
    let status = status(&cluster(2), &stateful_set(3, 3), &pods);
    assert_eq!(
        condition(&status, "Ready"),
        Some(("False", "NodesNotReady"))
    );
    assert_eq!(status.nodes_ready, "1/2");
}

/// The message of `Ready` for a cluster with one pod that waits.
fn waiting(pod: &serde_json::Value, claims: &[PendingClaim]) -> String {
    let mut status = pod.clone();
    status["conditions"] = serde_json::json!([{"type": "Ready", "status": "False"}]);
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "prod-0"}, "spec": {"containers": []}, "status": status,
    }))
    .unwrap();
    let (cluster, stateful_set, pods) = (cluster(1), stateful_set(1, 1), [(pod, None)]);
    let seen = Observation {
        pending_claims: claims,
        ..seen(&cluster, &stateful_set, &pods)
    };
    let status = observed(&seen, &ClusterStatus::default(), &time(1));
    let ready = status
        .conditions
        .into_iter()
        .find(|condition| condition.type_ == "Ready");
    ready.unwrap().message
}

#[test]
fn a_node_that_cannot_start_is_told_of_in_its_own_words() {
    let line = "osc-node: cannot read /etc/opensecureconf/salt/salt, which belongs to user 0";
    let log = format!("{{\"level\":\"INFO\",\"time\":\"12:00\"}}\n{line}\n");
    let container = serde_json::json!({"name": "node", "image": "n", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
        "lastState": {"terminated": {"exitCode": 2, "message": log}}});
    let said = waiting(&serde_json::json!({"containerStatuses": [container]}), &[]);
    assert!(
        said.contains(
            "CrashLoopBackOff: cannot read /etc/opensecureconf/salt/salt, which belongs to user 0;"
        ),
        "{said}"
    );
    assert!(!said.contains("12:00"), "{said}");
}

/// The message of `Ready` for a node that ended with this.
fn ended(message: &str) -> String {
    let container = serde_json::json!({"name": "node", "image": "n", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
        "lastState": {"terminated": {"exitCode": 2, "message": message}}});
    waiting(&serde_json::json!({"containerStatuses": [container]}), &[])
}

#[test]
fn the_cause_of_settings_that_are_not_usable_is_told() {
    let said = ended(
        "{\"level\":\"INFO\"}\nosc-node: the configuration is not usable:\n  OSC_LOG_LEVEL: 'loud' is no level\n  OSC_BIND: taken.\n",
    );
    let wanted = "CrashLoopBackOff: the configuration is not usable: OSC_LOG_LEVEL: 'loud' is no level OSC_BIND: taken;";
    assert!(said.contains(wanted), "{said}");
    let bare = ended("osc-node: the configuration is not usable:\n");
    assert!(
        bare.contains(": the configuration is not usable;"),
        "{bare}"
    );
    let long = ended(&format!("osc-node: {}", "ä".repeat(500)));
    let shown = long.matches('ä').count();
    assert_eq!(shown, 300);
    assert!(long.contains("ä...;"), "{long}");
    assert!(ended("osc-node: \n").contains("CrashLoopBackOff;"));
}

#[test]
fn a_container_that_lacks_memory_is_told_of_with_its_limit() {
    let limits = serde_json::json!({"limits": {"memory": "16Mi"}});
    let told = |container: serde_json::Value| {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "prod-0"},
            "spec": {"containers": [{"name": "node", "resources": limits}]},
            "status": {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [container]},
        }))
        .unwrap();
        let (cluster, set, pods) = (cluster(1), stateful_set(1, 1), [(pod, None)]);
        let status = status(&cluster, &set, &pods);
        let mut conditions = status.conditions.into_iter();
        conditions
            .find(|condition| condition.type_ == "Ready")
            .unwrap()
            .message
    };
    let killed = serde_json::json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let base = |state: serde_json::Value, last: serde_json::Value, ready: bool| {
        serde_json::json!({"name": "node", "image": "n", "imageID": "", "ready": ready, "restartCount": 1,
            "state": state, "lastState": last})
    };
    let waits = serde_json::json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let runs = serde_json::json!({"running": {}});
    let wanted = "pod prod-0: memory limit of 16Mi is too small: OOMKilled";
    for container in [
        base(killed.clone(), serde_json::json!({}), false),
        base(waits, killed.clone(), false),
        base(runs.clone(), killed.clone(), false),
    ] {
        let said = told(container);
        assert!(said.contains(wanted), "{said}");
    }
    let said = told(base(runs, killed, true));
    assert!(!said.contains("OOMKilled"), "{said}");
}

#[test]
fn a_container_that_is_to_run_first_is_told_of_by_its_name() {
    let first = serde_json::json!({"name": "mesh", "image": "registry/mesh:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}});
    let node = serde_json::json!({"name": "node", "image": "n", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "PodInitializing"}}});
    let statuses =
        serde_json::json!({"initContainerStatuses": [first], "containerStatuses": [node]});
    let said = waiting(&statuses, &[]);
    let wanted = "pod prod-0: init container mesh: ImagePullBackOff of image registry/mesh:1";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn a_pod_whose_container_waits_says_why() {
    let waits = |reason: &str, message: &str| {
        let container = serde_json::json!({"name": "node", "image": "registry/node:9", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}});
        waiting(&serde_json::json!({"containerStatuses": [container]}), &[])
    };
    assert_eq!(
        waits("ImagePullBackOff", "Back-off pulling image"),
        "0 of 1 nodes serve; pod prod-0: ImagePullBackOff of image registry/node:9; look at the events and logs of pod prod-0"
    );
    assert!(
        waits("CreateContainerConfigError", "secret not found")
            .contains("prod-0: CreateContainerConfigError: secret not found;")
    );
    assert!(waits("CrashLoopBackOff", "back-off 5m0s").contains("prod-0: CrashLoopBackOff"));
    assert_eq!(
        waits("ContainerCreating", ""),
        "0 of 1 nodes serve; look at the events and logs of pod prod-0",
        "nothing is wrong"
    );
}

#[test]
fn a_volume_that_waits_for_its_class_is_named_with_it() {
    let claim = |class: Option<&str>| PendingClaim {
        name: "data-prod-0".into(),
        class: class.map(str::to_owned),
        class_exists: None,
    };
    let named = waiting(&serde_json::json!({}), &[claim(Some("fast"))]);
    assert!(
        named.contains("volume data-prod-0 waits for StorageClass 'fast'"),
        "{named}"
    );
    assert!(named.contains("kubectl delete pvc data-prod-0"), "{named}");
    let by_hand = waiting(&serde_json::json!({}), &[claim(Some(""))]);
    assert!(
        by_hand.contains("waits for a PersistentVolume without a class"),
        "{by_hand}"
    );
    let default = waiting(&serde_json::json!({}), &[claim(None)]);
    assert!(
        default.contains("volume data-prod-0 waits for a default StorageClass"),
        "{default}"
    );
}

/// (status, reason, message) of `TlsReady` with this `spec.tls`, and with a node that reports this.
fn tls_ready(spec: &str, tls: Tls<'_>, report: impl Fn(&mut NodeTls)) -> (String, String, String) {
    let cluster = validate(&prod(&format!("{{replicas: 1, tls: {spec}}}")), "node:1").unwrap();
    let mut details = answer("aa", 1);
    report(details.as_mut().unwrap().tls.as_mut().unwrap());
    let (stateful_set, pods) = (stateful_set(1, 1), [(pod(0, true), details)]);
    let seen = Observation {
        tls,
        ..seen(&cluster, &stateful_set, &pods)
    };
    let status = observed(&seen, &ClusterStatus::default(), &time(1));
    let mut conditions = status.conditions.into_iter();
    let ready = conditions
        .find(|condition| condition.type_ == "TlsReady")
        .unwrap();
    (ready.status, ready.reason, ready.message)
}

#[test]
fn tls_is_ready_once_every_node_that_answers_serves_it() {
    let (status, reason, message) = tls_ready("{}", Tls::default(), |_| {});
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "CertificatesServed")
    );
    assert!(message.contains("port 9000 is not encrypted"), "{message}");
    let (_, _, message) = tls_ready("{plainHttp: Forbidden}", Tls::default(), |_| {});
    assert!(!message.contains("not encrypted"), "{message}");
    let (status, reason, _) = tls_ready("{mode: Disabled}", Tls::default(), |_| {});
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Disabled"));
}

#[test]
fn what_keeps_certificates_from_being_served_is_told() {
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let issued = "{mode: Issuer, issuerRef: {name: ours}}";
    let served = Tls {
        certificates: Some(&OptionalKind::Served),
        ..Tls::default()
    };
    let found = Tls {
        client_secret_found: true,
        ..Tls::default()
    };
    let closed = |tls: &mut NodeTls| {
        tls.clients = Some(ClientCertificate {
            open: false,
            error: Some("the key is another certificate's".into()),
            ..ClientCertificate::default()
        });
    };
    let refused = |tls: &mut NodeTls| {
        tls.node = Some(NodeCertificates {
            error: Some("tls.crt ends within it".into()),
            ..NodeCertificates::default()
        });
    };
    let overdue = Waiting {
        nodes: vec!["prod-1".into()],
        overdue: true,
    };
    let waiting = Tls {
        waiting: Some(&overdue),
        ..Tls::default()
    };
    for (outcome, reason, word) in [
        (
            tls_ready(own, Tls::default(), closed),
            "CertificateMissing",
            "Secret mine",
        ),
        (
            tls_ready(issued, Tls::default(), closed),
            "CertManagerMissing",
            "install cert-manager",
        ),
        (
            tls_ready(issued, served, closed),
            "CertificateMissing",
            "prod-client-tls",
        ),
        (
            tls_ready(own, found, closed),
            "ClientCertificateRefused",
            "another certificate's",
        ),
        (
            tls_ready("{}", Tls::default(), refused),
            "NodeCertificateRefused",
            "ends within it",
        ),
        (
            tls_ready("{}", waiting, |_| {}),
            "AuthorityNotDistributed",
            "prod-1",
        ),
    ] {
        assert_eq!((outcome.0.as_str(), outcome.1.as_str()), ("False", reason));
        assert!(outcome.2.contains(word), "{}", outcome.2);
    }
}

#[test]
fn of_federated_nodes_nobody_says_that_they_hold_the_same() {
    let mut cluster = cluster(3);
    cluster.spec.mode = crate::cluster::resource::Mode::Federated;
    let pods = [0, 1, 2].map(|ordinal| (pod(ordinal, true), answer("aa", 1)));
    let status = status(&cluster, &stateful_set(3, 3), &pods);
    assert_eq!(condition(&status, "Ready"), Some(("True", "AllNodesReady")));
    for said in status.conditions {
        let message = said.message;
        assert!(!message.contains("hold the same"), "{message}");
        assert!(!message.contains("holds what"), "{message}");
    }
}

/// The status of a cluster with this `spec.tls`, whose node serves HTTPS or not; `None` where the node does not answer.
fn with_https(tls_spec: &str, tls: Tls<'_>, open: Option<bool>) -> ClusterStatus {
    let mut cluster = prod(&format!("{{replicas: 1, tls: {tls_spec}}}"));
    cluster.metadata.namespace = Some("shop".to_owned());
    let cluster = validate(&cluster, "node:1").unwrap();
    let details = open.and_then(|open| {
        let mut details = answer("aa", 1);
        let tls = details.as_mut()?.tls.as_mut()?;
        tls.clients = Some(ClientCertificate {
            open,
            ..ClientCertificate::default()
        });
        details
    });
    let (set, pods) = (stateful_set(1, 1), [(pod(0, true), details)]);
    let seen = Observation {
        tls,
        ..seen(&cluster, &set, &pods)
    };
    observed(&seen, &ClusterStatus::default(), &time(1))
}

#[test]
fn the_endpoint_promises_no_https_while_its_certificate_keeps_it_closed() {
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let issued = "{mode: Issuer, issuerRef: {name: ours}}";
    let alone = "{mode: Secret, secretRef: {name: mine}, plainHttp: Forbidden}";
    let found = Tls {
        client_secret_found: true,
        ..Tls::default()
    };
    let (https, http) = ("https://prod.shop.svc:9443", "http://prod.shop.svc:9000");
    for (spec, tls, open, wanted) in [
        (own, Tls::default(), None, http),
        (own, found, None, https),
        (own, found, Some(false), http),
        (own, found, Some(true), https),
        // The nodes go on with the certificate that they have.
        (own, Tls::default(), Some(true), https),
        (issued, Tls::default(), Some(false), http),
        (alone, Tls::default(), Some(false), ""),
        ("{}", Tls::default(), None, https),
    ] {
        let status = with_https(spec, tls, open);
        assert_eq!(status.endpoint, wanted, "{spec} {open:?}");
        let mut conditions = status.conditions.iter();
        let ready = conditions
            .find(|condition| condition.type_ == "Ready")
            .unwrap();
        let told = ready.message.contains("port 9443 (HTTPS) is closed");
        assert_eq!(told, ready.status == "True" && wanted != https, "{ready:?}");
    }
}

#[test]
fn a_certificate_for_none_of_the_services_names_is_told_of() {
    let unnamed = ["prod".to_owned(), "prod.shop.svc".to_owned()];
    let tls = Tls {
        client_secret_found: true,
        unnamed: &unnamed,
        ..Tls::default()
    };
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let (status, _, message) = tls_ready(own, tls, |_| {});
    assert_eq!(status, "True");
    assert!(
        message.contains("none of the Service's names (prod, prod.shop.svc)"),
        "{message}"
    );
}

#[test]
fn a_certificate_that_clients_refuse_for_its_time_is_told_of() {
    let tls = Tls {
        client_secret_found: true,
        not_valid: Some("has ended on 2026-01-01T00:00:00Z"),
        ..Tls::default()
    };
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let (status, reason, message) = tls_ready(own, tls, |_| {});
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "ClientCertificateNotValid")
    );
    assert!(
        message.contains("Secret mine has ended on 2026-01-01T00:00:00Z; put a valid one there"),
        "{message}"
    );
}

#[test]
fn a_reconcile_that_fails_again_and_again_leaves_no_generation_without_a_word() {
    let told = failing(
        "failed to read: no name",
        Some(4),
        &ClusterStatus::default(),
        &time(1),
    );
    assert_eq!(told.observed_generation, Some(4));
    assert_eq!(
        condition(&told, "Ready"),
        Some(("False", "ReconcileFailed"))
    );
    assert_eq!(
        condition(&told, "Reconciling"),
        Some(("True", "ReconcileFailed"))
    );
    assert_eq!(condition(&told, "Stalled"), None);
    assert!(told.conditions[0].message.contains("no name"));
}
