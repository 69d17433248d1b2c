//! Whether nodes hold the same: changes, salts, clusters.

use super::*;

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
