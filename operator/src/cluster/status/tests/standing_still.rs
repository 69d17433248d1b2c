//! Clusters that stand still, and reconciles that fail.

use super::*;

fn standstill() -> Stalled {
    Stalled {
        reason: "SaltMissing",
        message: "restore it".into(),
    }
}

#[test]
fn a_resource_that_tells_too_little_says_why_and_what_is_not_known_is_unknown() {
    let before = status(
        &cluster(1),
        &stateful_set(1, 1),
        &[(pod(0, true), answer("aa", 7))],
    );
    let status = unseen(&standstill(), Some(5), &before, None, &time(9));
    assert_eq!(condition(&status, "Ready"), Some(("False", "SaltMissing")));
    assert_eq!(condition(&status, "Stalled"), Some(("True", "SaltMissing")));
    // It is never Unknown, and says that it is an earlier look's.
    assert_eq!(
        condition(&status, "Available"),
        Some(("True", "NotLookedAt"))
    );
    for type_ in ["Replicated", "SaltMatches", "TlsReady", "MonitoringReady"] {
        assert_eq!(condition(&status, type_), Some(("Unknown", "NotLookedAt")));
    }
    assert_eq!(status.nodes_ready, "?/1");
    assert!(status.members.iter().all(|member| !member.reachable));
    assert_eq!(
        (status.entries, status.observed_generation),
        (Some(7), Some(5))
    );
    // It stays so, look after look.
    let again = unseen(&standstill(), Some(5), &status, None, &time(10));
    assert_eq!(again, status);
}

#[test]
fn what_pods_and_nodes_say_is_told_of_a_resource_that_tells_too_little() {
    let (cluster, set) = (cluster(2), stateful_set(2, 2));
    let before = status(&cluster, &set, &[]);
    let pods = [
        (pod(0, true), answer("aa", 7)),
        (pod(1, false), answer("bb", 7)),
    ];
    let told = |asked: Option<Asked<'_>>| {
        let glimpse = Glimpse {
            cluster: &cluster,
            running: Running::StatefulSet(Some(&set)),
            pods: &pods,
            asked,
        };
        unseen(&standstill(), Some(5), &before, Some(&glimpse), &time(9))
    };
    let asked = told(Some(Asked {
        salt_fingerprint: Some("aa"),
        unverified: &[],
    }));
    assert_eq!(condition(&asked, "Available"), Some(("True", "NodeReady")));
    assert_eq!(
        condition(&asked, "SaltMatches"),
        Some(("False", "DifferentSalt"))
    );
    assert_eq!(asked.nodes_ready, "1/2");
    assert!(
        asked
            .conditions
            .iter()
            .all(|it| it.observed_generation == Some(5))
    );
    // Where the operator could read pods, and nothing to ask nodes with.
    let not_asked = told(None);
    assert_eq!(
        condition(&not_asked, "Available"),
        Some(("True", "NodeReady"))
    );
    assert_eq!(
        condition(&not_asked, "SaltMatches"),
        Some(("Unknown", "NotLookedAt"))
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
