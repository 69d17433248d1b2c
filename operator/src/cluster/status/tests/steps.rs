//! The steps that messages name: whole commands, between backquotes, with everything filled in.

use serde_json::json;

use super::*;
use crate::{
    cluster::volumes::VolumeClaim,
    node::{FenceReason, Unverified},
};

fn message(status: &ClusterStatus, type_: &str) -> String {
    let mut conditions = status.conditions.iter();
    let condition = conditions.find(|condition| condition.type_ == type_);
    condition.unwrap().message.clone()
}

/// A pod whose node ended with this message, again and again.
fn crashing(ordinal: i32, words: &str) -> (Pod, Option<NodeDetails>) {
    let last = json!({ "terminated": { "exitCode": 2, "message": format!("osc-node: {words}") } });
    let pod = json!({
        "metadata": { "name": format!("prod-{ordinal}") },
        "spec": { "containers": [] },
        "status": { "containerStatuses": [{
            "name": "node", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": last,
        }] },
    });
    (serde_json::from_value(pod).unwrap(), None)
}

fn claim(ordinal: i32, incarnation: &str) -> VolumeClaim {
    let claim = json!({ "metadata": {
        "name": format!("data-prod-{ordinal}"), "annotations": { "opensecureconf.io/incarnation": incarnation },
    } });
    VolumeClaim::read(&serde_json::from_value(claim).unwrap()).unwrap()
}

#[test]
fn volumes_with_another_salt_than_the_secret_bring_theirs_back_in_one_step_for_all() {
    let words = "the salt that is mounted (fingerprint aa) differs from the salt in the database (fingerprint bb)";
    let pods = [crashing(0, words), crashing(1, words)];
    let told = message(&status(&cluster(2), &stateful_set(2, 2), &pods), "Ready");
    let step = "`kubectl delete secret prod-salt -n shop --wait=false && kubectl delete pod prod-0 prod-1 -n shop --wait=false`";
    assert_eq!(told.matches(step).count(), 1, "{told}");
    assert_eq!(told.matches("differs from the salt").count(), 2, "{told}");

    let pods = [(pod(0, true), answer("aa", 1)), crashing(1, words)];
    let told = message(&status(&cluster(2), &stateful_set(2, 2), &pods), "Ready");
    assert!(!told.contains("delete secret"), "the others serve: {told}");
    assert!(
        told.contains("`kubectl delete pvc data-prod-1 -n shop"),
        "{told}"
    );
}

#[test]
fn a_damaged_database_names_the_entry_that_has_it_made_anew() {
    let words = "the database /data/configurations.db is damaged (file is not a database); restore it from a backup";
    let pods = [(pod(0, true), answer("aa", 1)), crashing(1, words)];
    let (wanted, set) = (cluster(2), stateful_set(2, 2));
    let claims = [claim(0, "0123456789abcdef"), claim(1, "fedcba9876543210")];
    let seen = Observation {
        claims: &claims,
        ..seen(&wanted, &set, &pods)
    };
    let status = observed(&seen, &ClusterStatus::default(), &time(1));
    let told = message(&status, "Ready");
    let step = "`kubectl patch osc prod -n shop --type merge -p \
                '{\"spec\":{\"rebuildMembers\":[{\"name\":\"prod-1\",\"incarnation\":\"fedcba9876543210\",\"force\":true}]}}'`";
    assert!(told.contains(step), "{told}");
    let known = status.members[1].incarnation.as_deref();
    assert_eq!(known, Some("fedcba9876543210"), "though it does not answer");
}

#[test]
fn where_all_nodes_have_one_salt_theirs_is_put_back_and_one_alone_is_given_up() {
    let with = |first, second| {
        let pods = [
            (pod(0, true), answer(first, 1)),
            (pod(1, true), answer(second, 1)),
        ];
        message(
            &status(&cluster(2), &stateful_set(2, 2), &pods),
            "SaltMatches",
        )
    };
    let all = with("bb", "bb");
    assert!(
        all.contains("`kubectl delete secret prod-salt -n shop --wait=false`"),
        "{all}"
    );
    let one = with("aa", "bb");
    assert!(!one.contains("delete secret"), "{one}");
    let copy = one.find("osc-node backup --output - > prod-1.db`").unwrap();
    assert!(
        copy < one.find("`kubectl delete pvc data-prod-1").unwrap(),
        "{one}"
    );
}

#[test]
fn a_suspended_node_names_unfence_only_where_it_is_allowed() {
    let with = |reason| {
        let mut suspended = answer("aa", 1);
        suspended.as_mut().unwrap().fenced = Some(reason);
        let pods = [(pod(0, true), suspended)];
        let told = status(&cluster(1), &stateful_set(1, 1), &pods);
        assert_eq!(condition(&told, "Ready"), Some(("False", "NodeSuspended")));
        message(&told, "Ready")
    };
    let unfence = "`kubectl exec prod-0 -n shop -c node -- osc-node unfence`";
    assert!(with(FenceReason::BelowPurgeMark).ends_with(unfence));
    assert!(!with(FenceReason::RolledBack).contains("unfence"));
}

#[test]
fn a_volume_on_a_machine_that_is_gone_names_how_the_node_comes_back_without_it() {
    let mut pending = pod(0, false);
    let said = "0/2 nodes are available: 2 node(s) had volume node affinity conflict.";
    pending.status = serde_json::from_value(json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said,
    }] }))
    .unwrap();
    let told = message(
        &status(&cluster(1), &stateful_set(1, 1), &[(pending, None)]),
        "Ready",
    );
    assert!(
        told.contains(said) && told.contains("`kubectl delete pvc data-prod-0 "),
        "{told}"
    );
}

/// The node does not answer.
const SILENT: &str = "";

/// The message about nodes that belong to these clusters.
fn of_clusters(uids: &[&str]) -> String {
    let pods: Vec<_> = (0..)
        .zip(uids)
        .map(|(ordinal, uid)| {
            if *uid == SILENT {
                return (pod(ordinal, false), None);
            }
            let mut details = answer("aa", 1);
            details.as_mut().unwrap().cluster_uid = Some((*uid).to_owned());
            // A node of another cluster does not serve: it waits for nodes of its own.
            details.as_mut().unwrap().ready = *uid == uids[0];
            (pod(ordinal, *uid == uids[0]), details)
        })
        .collect();
    let count = i32::try_from(uids.len()).unwrap();
    let told = status(&cluster(count), &stateful_set(count, count), &pods);
    for type_ in ["Ready", "Replicated"] {
        let reason = condition(&told, type_);
        assert_eq!(reason, Some(("False", "DifferentClusterUid")));
    }
    let told = [message(&told, "Ready"), message(&told, "Replicated")];
    assert_eq!(told[0], told[1]);
    told[0].clone()
}

#[test]
fn a_volume_from_before_the_cluster_was_bootstrapped_anew_is_copied_and_given_up() {
    let told = of_clusters(&["new", "new", "old"]);
    assert!(
        told.contains("(prod-0 and prod-1 to cluster new, prod-2 to cluster old)"),
        "{told}"
    );
    let steps = [
        "osc-node backup --output - > prod-2.db`",
        "`kubectl delete pvc data-prod-2 -n shop --wait=false && kubectl delete pod prod-2 -n shop --wait=false`",
        "`kubectl exec -i prod-0 -n shop -c node -- osc-node import --from - < prod-2.db`",
    ];
    let places = steps.map(|step| told.find(step).unwrap_or_else(|| panic!("{step}: {told}")));
    assert!(places.is_sorted(), "{told}");
    assert!(!told.contains("data-prod-0"), "{told}");
}

#[test]
fn where_as_many_nodes_belong_to_each_a_person_decides() {
    let told = of_clusters(&["b", "a"]);
    assert!(told.contains("Decide which of them it is"), "{told}");
    for (stays, goes) in [("prod-0", "prod-1"), ("prod-1", "prod-0")] {
        let way = told
            .split("To go on with ")
            .find(|way| way.starts_with(stays));
        let claim = format!("`kubectl delete pvc data-{goes} -n shop");
        assert!(way.unwrap().contains(&claim), "{told}");
    }
}

#[test]
fn no_volume_is_given_up_for_a_majority_that_silent_nodes_may_turn() {
    let told = of_clusters(&["old", SILENT, "new"]);
    assert!(
        told.contains("prod-1 has not told yet to which it belongs: wait for it"),
        "{told}"
    );
    assert!(told.contains("To go on with prod-0: ") && told.contains("To go on with prod-2: "));

    let told = of_clusters(&["old", "old", SILENT, "new", SILENT]);
    assert!(
        told.contains("prod-2 and prod-4 have not told yet"),
        "{told}"
    );
    assert!(told.contains("To go on with prod-3: "), "{told}");

    let told = of_clusters(&["new", "new", "new", "old", SILENT]);
    assert!(!told.contains("Decide"), "{told}");
    assert!(!told.contains("delete pvc data-prod-0"), "{told}");
}

#[test]
fn a_node_that_belongs_to_no_cluster_yet_or_is_to_go_is_of_no_other_one() {
    let mut pods = [
        (pod(0, true), answer("aa", 1)),
        (pod(1, false), answer("aa", 1)),
        (pod(2, true), answer("aa", 1)),
    ];
    pods[1].1.as_mut().unwrap().cluster_uid = None;
    pods[2].1.as_mut().unwrap().cluster_uid = Some("old".to_owned());
    let told = status(&cluster(2), &stateful_set(3, 3), &pods);
    assert_eq!(condition(&told, "Ready"), Some(("False", "NodesNotReady")));
}

#[test]
fn a_node_that_refuses_the_operator_is_not_to_be_deleted() {
    let (wanted, set) = (cluster(1), stateful_set(1, 1));
    let silent = [(pod(0, true), None)];
    let told = |why: Unverified| {
        let unverified = [("prod-0".to_owned(), why)];
        let mut seen = seen(&wanted, &set, &silent);
        seen.tls.unverified = &unverified;
        message(
            &observed(&seen, &ClusterStatus::default(), &time(1)),
            "TlsReady",
        )
    };
    let refuses = told(Unverified::EndsHandshake);
    assert!(
        refuses.contains("`kubectl logs prod-0 -n shop -c node`") && !refuses.contains("delete")
    );
    assert!(told(Unverified::OtherAuthority).contains("kubectl delete pod prod-0"));
}
