//! Clusters that stand still, and reconciles that fail.

use super::*;

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
