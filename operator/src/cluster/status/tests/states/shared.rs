//! States of a cluster whose nodes share a database.

use serde_json::{Value, json};

use super::{Means, States, stalls};
use crate::{
    cluster::{
        hibernation::Rest,
        resource::{ClusterStatus, prod},
        stalled::Stalled,
        status::{
            Course, Observation, Running, observed,
            tests::{answer, condition, seen, time},
        },
        validate::{ValidatedCluster, validate},
    },
    node::{NodeDetails, Unverified},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};

/// Kubernetes ends the names of such pods in letters and digits of its own, sometimes in digits alone.
const NAMES: [&str; 3] = ["prod-7f9c-24567", "prod-7f9c-xk2lp", "prod-7f9c-zzzzz"];

fn cluster() -> ValidatedCluster {
    let mut cluster = prod("{mode: Shared, database: {secretRef: {name: pg-app}}}");
    cluster.metadata.namespace = Some("shop".to_owned());
    cluster.metadata.generation = Some(4);
    validate(&cluster, "node:1").unwrap()
}

fn deployment(updated: i32, conditions: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 1 },
        "spec": { "replicas": 3, "selector": {}, "template": {} },
        "status": { "observedGeneration": 1, "replicas": 3, "updatedReplicas": updated, "conditions": conditions },
    }))
    .unwrap()
}

fn pod(name: &str, ready: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "nodeName": "worker", "containers": [] },
        "status": { "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] },
    }))
    .unwrap()
}

/// A node as it answers; `why` it does not serve, where it does not.
fn node(name: &str, why: Option<&str>) -> (Pod, Option<NodeDetails>) {
    let details = answer("aa", 7).map(|details| NodeDetails {
        cluster_uid: None,
        ready: why.is_none(),
        reasons: why.iter().map(|why| (*why).to_owned()).collect(),
        ..details
    });
    (pod(name, why.is_none()), details)
}

fn all(why: Option<&str>) -> Vec<(Pod, Option<NodeDetails>)> {
    NAMES.map(|name| node(name, why)).into()
}

fn status(
    deployment: &Deployment,
    pods: &[(Pod, Option<NodeDetails>)],
    change: impl Fn(&mut Observation<'_>),
) -> ClusterStatus {
    after(&ClusterStatus::default(), deployment, pods, change)
}

fn after(
    before: &ClusterStatus,
    deployment: &Deployment,
    pods: &[(Pod, Option<NodeDetails>)],
    change: impl Fn(&mut Observation<'_>),
) -> ClusterStatus {
    let (cluster, none) = (cluster(), StatefulSet::default());
    let mut seen = Observation {
        running: Running::Deployment(Some(deployment)),
        ..seen(&cluster, &none, pods)
    };
    change(&mut seen);
    observed(&seen, before, &time(1))
}

/// A pod whose step before the node has not made the tables.
fn not_migrated() -> (Pod, Option<NodeDetails>) {
    let mut pod = pod(NAMES[2], false);
    let waits = json!([{
        "name": "database-migrate", "image": "", "imageID": "", "ready": false, "restartCount": 3,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 2, "message": "osc-node: the database has schema 9, this release knows up to 1" } },
    }]);
    let status = pod.status.get_or_insert_default();
    status.init_container_statuses = serde_json::from_value(waits).unwrap();
    (pod, None)
}

pub(super) fn add(states: &mut States) {
    let steady = deployment(3, &json!([]));
    let away = "the database does not answer: no server accepts a connection";
    let ready = status(&steady, &all(None), |_| {});
    states.add("shared, ready", Means::Ready, &ready);
    let unreachable = status(&steady, &all(Some(away)), |_| {});
    states.add(
        "shared, its database is away",
        Means::UnderWay,
        &unreachable,
    );
    let mut pods = all(None);
    pods[2] = not_migrated();
    let half = status(&deployment(1, &json!([])), &pods, |_| {});
    states.add("shared, its tables are not made", Means::UnderWay, &half);
    let rolling = status(&deployment(1, &json!([])), &all(None), |_| {});
    states.add("shared, pods are replaced", Means::UnderWay, &rolling);
    let stuck =
        json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }]);
    let stuck = status(&deployment(1, &stuck), &all(None), |_| {});
    states.add("shared, pods do not come up", Means::NeedsPerson, &stuck);
    // For ever: an observation borrows it, whatever else that borrows.
    let unverified: &'static [_] = Box::leak(Box::new([(NAMES[1].to_owned(), Unverified::Ended)]));
    let mut silent = all(None);
    silent[1].1 = None;
    let impostor = status(&steady, &silent, |seen| seen.tls.unverified = unverified);
    states.add(
        "shared, another program answers at a pod's address",
        Means::UnderWay,
        &impostor,
    );
    let asleep = status(&steady, &[], |seen| {
        seen.course = Course {
            rest: Rest::Asleep { nodes: 3 },
            ..Course::default()
        };
    });
    states.add("shared, asleep", Means::Ready, &asleep);
    for stalled in stalls::first_of_each(stalls::shared()) {
        let status = status_of_stalled(&steady, &stalled);
        let name = format!("shared, {}", stalled.reason);
        states.add(&name, Means::Stalled, &status);
    }
}

fn status_of_stalled(steady: &Deployment, stalled: &Stalled) -> ClusterStatus {
    let (cluster, none, pods) = (cluster(), StatefulSet::default(), all(None));
    let seen = Observation {
        running: Running::Deployment(Some(steady)),
        stalled: Some(stalled),
        ..seen(&cluster, &none, &pods)
    };
    observed(&seen, &ClusterStatus::default(), &time(1))
}

#[test]
fn what_nodes_say_of_their_database_is_told() {
    let steady = deployment(3, &json!([]));
    let all_ready = status(&steady, &all(None), |_| {});
    assert_eq!(
        condition(&all_ready, "DatabaseReachable"),
        Some(("True", "DatabaseReachable"))
    );
    assert_eq!(
        condition(&all_ready, "Ready"),
        Some(("True", "AllNodesReady"))
    );
    assert_eq!(condition(&all_ready, "Replicated"), None);
    assert_eq!(all_ready.nodes_ready, "3/3");
    let away = status(&steady, &all(Some("the database does not answer")), |_| {});
    for type_ in ["DatabaseReachable", "Ready"] {
        assert_eq!(
            condition(&away, type_),
            Some(("False", "DatabaseUnreachable"))
        );
    }
    let silent: Vec<_> = NAMES.map(|name| (pod(name, true), None)).into();
    let silent = status(&steady, &silent, |_| {});
    assert_eq!(
        condition(&silent, "DatabaseReachable"),
        Some(("Unknown", "NodesUnreachable"))
    );
}

#[test]
fn where_another_program_answers_in_a_nodes_place_the_cluster_is_not_ready() {
    let unverified: &'static [_] = Box::leak(Box::new([(NAMES[1].to_owned(), Unverified::NoTls)]));
    let mut pods = all(None);
    pods[1].1 = None;
    let steady = deployment(3, &json!([]));
    let told = status(&steady, &pods, |seen| seen.tls.unverified = unverified);
    for type_ in ["Ready", "TlsReady"] {
        assert_eq!(condition(&told, type_), Some(("False", "NodeNotVerified")));
    }
    assert!(!told.members[1].reachable);
}

#[test]
fn a_node_that_ends_says_nothing_of_its_database() {
    let mut pods = all(None);
    let (mut ends, details) = node("prod-5d8b-99999", Some("the node is stopping"));
    ends.metadata.deletion_timestamp = Some(time(1));
    pods.push((ends, details));
    let told = status(&deployment(3, &json!([])), &pods, |_| {});
    assert_eq!(
        condition(&told, "DatabaseReachable"),
        Some(("True", "DatabaseReachable"))
    );
}

#[test]
fn while_pods_are_replaced_there_may_be_more_than_are_wanted() {
    let mut pods = all(None);
    pods.push(node("prod-5d8b-99999", None));
    let mut rolling = deployment(1, &json!([]));
    rolling.status.as_mut().unwrap().replicas = Some(4);
    let told = status(&rolling, &pods, |_| {});
    assert_eq!(told.nodes_ready, "3/3");
    assert_eq!(condition(&told, "Ready"), Some(("False", "RollingOut")));
    assert_eq!(told.members.len(), 4);
}

#[test]
fn a_pod_that_is_replaced_under_another_name_changes_nothing_and_one_that_serves_in_silence_does() {
    const ABOUT_NODES: [&str; 3] = ["SaltMatches", "TlsReady", "DatabaseReachable"];
    let steady = deployment(3, &json!([]));
    let whole = status(&steady, &all(None), |_| {});
    let last: &'static [_] = Box::leak(Box::new(NAMES.map(str::to_owned)));
    let told = |pods: &[(Pod, Option<NodeDetails>)], last: &'static [String]| {
        let status = after(&whole, &steady, pods, |seen| seen.last_reports = last);
        ABOUT_NODES.map(|type_| condition(&status, type_).unwrap().0.to_owned())
    };
    let new = || (pod("prod-5d8b-99999", false), None);
    let mut surge = all(None);
    surge.push(new());
    assert_eq!(told(&surge, &[]), ["True"; 3], "it is one more");
    let mut lost = all(None);
    lost[2] = new();
    assert_eq!(
        told(&lost, last),
        ["True"; 3],
        "it stands for one that reported"
    );
    assert_eq!(told(&lost[..2], last), ["True"; 3], "it is not made yet");
    assert_eq!(told(&lost, &last[..2]), ["Unknown"; 3]);
    let mut silent = all(None);
    silent[1].1 = None;
    assert_eq!(told(&silent, last), ["Unknown"; 3]);
}
