//! What pods wait for, in the words of Kubernetes and of the nodes.

use super::*;

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
