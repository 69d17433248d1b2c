//! What a rollout waits for, how long, and what it says then.

use super::*;

#[tokio::test]
async fn nothing_is_replaced_while_another_pod_ends_or_has_not_come_back() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.operate().await;
    story.set_pod(0, |pod| {
        pod["metadata"]["deletionTimestamp"] = jiff::Timestamp::now().to_string().into();
    });
    story.turns(3).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new(), "a drain");

    story.server.remove(&pod_path(0));
    story.bad = vec!["node:2"];
    story.turns(4).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    story.set_pod(0, |pod| pod["status"] = ready(true));
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
}

#[tokio::test(start_paused = true)]
async fn nodes_that_serve_and_do_not_answer_are_waited_for_ten_minutes() {
    let mut story = Story::begin().await;
    // The operator does not know where they are.
    for ordinal in 0..2 {
        story.set_pod(ordinal, |pod| pod["status"]["podIP"] = Value::Null);
    }
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(4).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    let said = condition(&story.server, "Ready")["message"].clone();
    assert!(
        said.as_str().unwrap().contains("until demo-0 answers"),
        "{said}"
    );

    tokio::time::advance(Duration::from_mins(10)).await;
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_told_another_time_waits_for_that_long() {
    let mut story = Story::begin().await;
    let context = story.context;
    story.context = context.at(Installation {
        answer_timeout: Duration::from_hours(1),
        ..Installation::default()
    });
    for ordinal in 0..2 {
        story.set_pod(ordinal, |pod| pod["status"]["podIP"] = Value::Null);
    }
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(4).await;
    tokio::time::advance(Duration::from_mins(59)).await;
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());

    tokio::time::advance(Duration::from_mins(1)).await;
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
}

#[tokio::test]
async fn a_bad_image_stops_at_one_pod_and_the_next_one_repairs_it() {
    let mut story = Story::begin().await;
    story.bad = vec!["node:bad"];
    story.cluster.spec.image = Some("node:bad".to_owned());
    story.turns(8).await;
    assert_eq!(story.ordinals_deleted(), [2]);

    story.cluster.spec.image = Some("node:good".to_owned());
    story.turns(12).await;
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    assert!(story.all_current());
    assert_eq!(
        story.told("does not serve"),
        1,
        "{:?}",
        story.server.notes()
    );
}

fn node_of(image: &str) -> Value {
    json!({ "containers": [{ "name": "node", "image": image }] })
}

#[tokio::test]
async fn a_downgrade_that_comes_too_late_is_told_of_at_once_and_the_image_that_it_names_repairs_it()
{
    let mut story = Story::begin().await;
    for ordinal in 0..3 {
        story.set_pod(ordinal, |pod| pod["spec"] = node_of("node:3"));
    }
    story.bad = vec!["node:1"];
    story.cluster.spec.image = Some("node:1".to_owned());
    story.turns(4).await;
    assert_eq!(story.ordinals_deleted(), [2]);
    let refusal = "osc-node: the database has schema 9, this release knows up to 7\n";
    story.set_pod(2, |pod| {
        pod["spec"] = node_of("node:1");
        pod["status"]["containerStatuses"] = json!([{
            "name": "node", "image": "node:1", "imageID": "", "ready": false, "restartCount": 1,
            "state": { "terminated": { "exitCode": 4, "message": refusal } },
        }]);
    });
    story.turns(3).await;
    let stalled = condition(&story.server, "Stalled");
    assert_eq!(stalled["reason"], "DatabaseNewer");
    let message = stalled["message"].as_str().unwrap();
    for words in ["has schema 9", "\"image\":\"node:3\""] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());

    story.cluster.spec.image = Some("node:3".to_owned());
    story.turns(12).await;
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    assert!(story.all_current());
    let ready = condition(&story.server, "Ready");
    assert_ne!(ready["reason"], "DatabaseNewer", "{ready}");
}

#[tokio::test]
async fn a_pod_that_does_not_come_back_is_told_of_after_ten_minutes() {
    let mut story = Story::begin().await;
    story.bad = vec!["node:bad"];
    story.cluster.spec.image = Some("node:bad".to_owned());
    story.turns(4).await;
    story.set_pod(2, |pod| {
        let long_ago = "2026-01-01T00:00:00Z";
        pod["status"]["conditions"][0]["lastTransitionTime"] = long_ago.into();
    });
    story.turns(2).await;
    let ready = condition(&story.server, "Ready");
    assert_eq!(ready["reason"], "RolloutBlocked");
    let message = ready["message"].as_str().unwrap();
    for words in [
        "pod demo-2",
        "kubectl delete pvc data-demo-2 -n team",
        "spec.replicas to 2",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(story.ordinals_deleted(), [2], "and no other one");
}

#[tokio::test]
async fn a_pod_that_kubernetes_may_not_make_is_told_of_after_ten_minutes() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
    let refused = |first: &str| {
        let note = "create Pod demo-2 in StatefulSet demo failed error: pods \"demo-2\" is forbidden: exceeded quota: few";
        json!({ "metadata": { "name": "demo" }, "reason": "FailedCreate", "note": note, "eventTime": null,
            "deprecatedFirstTimestamp": first, "deprecatedLastTimestamp": jiff::Timestamp::now().to_string(),
            "regarding": { "kind": "StatefulSet", "name": "demo" } })
    };
    let events = "/apis/events.k8s.io/v1/namespaces/team/events/demo";
    let now = jiff::Timestamp::now().to_string();
    story.server.put(events, refused(&now));
    story.operate().await;
    assert_ne!(
        condition(&story.server, "Ready")["reason"],
        "RolloutBlocked"
    );
    story.server.put(events, refused("2026-01-01T00:00:00Z"));
    story.operate().await;
    let ready = condition(&story.server, "Ready");
    assert_eq!(ready["reason"], "RolloutBlocked");
    let message = ready["message"].as_str().unwrap();
    assert!(
        message.contains("pod demo-2 has not come back"),
        "{message}"
    );
    assert!(message.contains("exceeded quota: few"), "{message}");
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
}

#[tokio::test]
async fn a_pod_that_is_given_up_holds_the_others_up_no_longer() {
    let mut story = Story::begin().await;
    story.bad = vec!["node:bad"];
    story.cluster.spec.image = Some("node:bad".to_owned());
    story.turns(4).await;
    assert_eq!(story.ordinals_deleted(), [2]);
    story.bad.clear();
    story.set_pod(2, |pod| {
        let long_ago = "2026-01-01T00:00:00Z";
        pod["status"]["conditions"][0]["lastTransitionTime"] = long_ago.into();
    });
    story.cluster.spec.replicas = 2;
    story.turns(8).await;
    assert_eq!(story.ordinals_deleted(), [1, 0]);
}
