//! Pods that are replaced.

use super::*;

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
fn a_rollout_that_waits_for_an_answer_says_how_long_it_does() {
    let waits = RolloutPlan::Wait(rollout::Waiting::Answer("prod-1".to_owned()));
    let (mut cluster, set) = (cluster(3), stateful_set(3, 1));
    cluster.installation.answer_timeout = std::time::Duration::from_mins(90);
    let pods = [0, 1, 2].map(|ordinal| (pod(ordinal, true), answer("aa", 0)));
    let seen = Observation {
        rollout: &waits,
        ..seen(&cluster, &set, &pods)
    };
    let told = observed(&seen, &ClusterStatus::default(), &time(1));
    assert!(
        message(&told).contains("or has not for 1h 30m"),
        "{}",
        message(&told)
    );
}

#[test]
fn a_budget_that_lets_no_pod_go_while_all_serve_is_told_with_what_to_do() {
    let held = RolloutPlan::Wait(rollout::Waiting::Budget {
        pod: "prod-1".to_owned(),
        words: "Cannot evict pod.".to_owned(),
    });
    let (cluster, set) = (cluster(3), stateful_set(3, 1));
    let told = |away: bool| {
        let pods = [0, 1, 2].map(|ordinal| (pod(ordinal, ordinal > 0 || !away), answer("aa", 0)));
        let seen = Observation {
            rollout: &held,
            ..seen(&cluster, &set, &pods)
        };
        let told = observed(&seen, &ClusterStatus::default(), &time(1));
        assert_eq!(condition(&told, "Ready"), Some(("False", "RollingOut")));
        message(&told).to_owned()
    };
    let all_serve = told(false);
    for step in [
        "`kubectl get pdb -n shop`",
        "`kubectl delete pod prod-1 -n shop --wait=false`",
    ] {
        assert!(all_serve.contains(step), "{all_serve}");
    }
    // The one that is away is what the budget waits for.
    let one_away = told(true);
    assert!(one_away.contains("go: Cannot evict pod"), "{one_away}");
    assert!(!one_away.contains("kubectl"), "{one_away}");
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
