//! A pod that serves goes only as far as its disruption budget allows it, which the API server judges beside all drains.

use opensecureconf_operator::cluster::resource::RebuildMember;

use super::*;

const BUDGET: &str = "/apis/policy/v1/namespaces/team/poddisruptionbudgets/demo";

/// The controller of disruption budgets counts these pods, and finds one away.
pub(crate) fn no_disruption_is_allowed(server: &ApiServer, ordinals: &[u64]) {
    let mut budget = server.object(BUDGET).unwrap();
    let labels = budget["spec"]["selector"]["matchLabels"].clone();
    budget["status"] = json!({ "disruptionsAllowed": 0, "desiredHealthy": 2, "currentHealthy": 2 });
    server.put(BUDGET, budget);
    for ordinal in ordinals {
        let mut pod = server.object(&pod_path(*ordinal)).unwrap();
        for (name, value) in labels.as_object().unwrap() {
            pod["metadata"]["labels"][name] = value.clone();
        }
        server.put(&pod_path(*ordinal), pod);
    }
}

fn allow(server: &ApiServer) {
    let mut budget = server.object(BUDGET).unwrap();
    budget["status"]["disruptionsAllowed"] = 1.into();
    server.put(BUDGET, budget);
}

#[tokio::test]
async fn a_rollout_beside_a_drain_waits_and_says_for_what() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    no_disruption_is_allowed(&story.server, &[0, 1, 2]);
    for _ in 0..3 {
        story.operate().await;
        assert!((0..3).all(|ordinal| story.server.object(&pod_path(ordinal)).is_some()));
        assert_eq!(story.told("replaced pod"), 0);
        let ready = condition(&story.server, "Ready");
        assert_eq!(ready["reason"], "RollingOut");
        let message = ready["message"].as_str().unwrap();
        let words = "waiting until the disruption budget lets pod demo-2 go: Cannot evict pod as it would violate the pod's disruption \
                     budget. The disruption budget demo needs 2 healthy pods and has 2 currently";
        assert!(message.contains(words), "{message}");
    }
    story.server.writes();
    allow(&story.server);
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
    let budget = story.server.object(BUDGET).unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0, "it was counted");
}

#[tokio::test]
async fn a_pod_that_does_not_serve_goes_although_no_disruption_is_allowed() {
    let mut story = Story::begin().await;
    story.bad = vec!["node:bad"];
    story.cluster.spec.image = Some("node:bad".to_owned());
    story.turns(3).await;
    assert_eq!(story.ordinals_deleted(), [2]);
    no_disruption_is_allowed(&story.server, &[0, 1, 2]);
    story.cluster.spec.image = Some("node:good".to_owned());
    story.turns(2).await;
    let deletion = format!("DELETE {}", pod_path(2));
    assert!(story.server.writes().contains(&deletion));
}

#[tokio::test]
async fn a_pod_that_changed_since_it_was_judged_is_not_evicted() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    story.server.freeze(&pod_path(2));
    story.set_pod(2, |pod| pod["metadata"]["resourceVersion"] = "2".into());
    story.operate().await;
    assert!(story.server.object(&pod_path(2)).is_some());
    assert_eq!(story.told("replaced pod"), 0);
    story.server.thaw();
    story.operate().await;
    assert!(story.server.object(&pod_path(2)).is_none());
    assert_eq!(story.told("replaced pod demo-2"), 1);
}

#[tokio::test]
async fn an_eviction_that_a_busy_server_refuses_is_a_failure_that_is_tried_again() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    let busy = StatusCode::TOO_MANY_REQUESTS;
    story.server.refuse(Method::POST, &eviction(2), busy);
    let outcome = reconcile_cluster(&story.cluster, &story.context).await;
    outcome.unwrap_err();
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
}

#[tokio::test]
async fn a_pod_with_several_budgets_goes_by_the_operators_own_judgement() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    no_disruption_is_allowed(&story.server, &[0, 1, 2]);
    let mut other = story.server.object(BUDGET).unwrap();
    other["metadata"]["name"] = "everything".into();
    story
        .server
        .put(&BUDGET.replace("/demo", "/everything"), other);
    story.server.writes();
    story.operate().await;
    let deletion = format!("DELETE {}", pod_path(2));
    assert!(story.server.writes().contains(&deletion));
}

fn allowed(server: &ApiServer) -> i64 {
    let budget = server.object(BUDGET).unwrap();
    budget["status"]["disruptionsAllowed"].as_i64().unwrap()
}

fn is_recorded(server: &ApiServer) -> bool {
    let path = format!("{CORE}/configmaps/demo-template");
    let object = server.object(&path).unwrap();
    object["metadata"]["annotations"]["opensecureconf.io/replacing"].is_string()
}

#[tokio::test]
async fn an_eviction_for_an_earlier_state_of_a_pod_costs_no_disruption_and_is_judged_again() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    no_disruption_is_allowed(&story.server, &[0, 1, 2]);
    allow(&story.server);
    story.server.freeze(&pod_path(2));
    story.set_pod(2, |pod| pod["metadata"]["resourceVersion"] = "2".into());
    story.operate().await;
    assert!(story.server.object(&pod_path(2)).is_some());
    assert_eq!(allowed(&story.server), 1, "the next eviction needs it");

    story.server.thaw();
    story.server.writes();
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
    assert_eq!(allowed(&story.server), 0);
}

#[tokio::test]
async fn a_pod_that_its_budget_holds_is_not_recorded_and_diverts_no_rebuild() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    no_disruption_is_allowed(&story.server, &[0, 1, 2]);
    story.operate().await;
    assert!(!is_recorded(&story.server));

    story.server.writes();
    let forced = RebuildMember {
        name: "demo-1".to_owned(),
        incarnation: "0000000000000001".to_owned(),
        force: true,
    };
    let claim = format!("{CORE}/persistentvolumeclaims/data-demo-1");
    story.server.put(
        &claim,
        json!({ "metadata": { "name": "data-demo-1", "uid": "claim 1", "resourceVersion": "1",
                "annotations": { "opensecureconf.io/incarnation": forced.incarnation } } }),
    );
    story.cluster.spec.rebuild_members = vec![forced];
    // The claim is annotated first, which is a change of it.
    story.operate().await;
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [1]);
    assert_eq!(story.server.object(&claim), None);
}

#[tokio::test]
async fn a_record_whose_eviction_is_refused_after_all_is_withdrawn() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    no_disruption_is_allowed(&story.server, &[0, 1, 2]);
    allow(&story.server);
    let config_map = format!("{CORE}/configmaps/demo-template");
    let mut object = story.server.object(&config_map).unwrap();
    object["metadata"]["resourceVersion"] = "1".into();
    story.server.put(&config_map, object);
    // A drain takes the only disruption.
    story.server.after_a_question(|objects| {
        objects.get_mut(BUDGET).unwrap()["status"]["disruptionsAllowed"] = 0.into();
    });
    story.server.writes();
    story.operate().await;
    assert!(story.server.object(&pod_path(2)).is_some());
    let ready = condition(&story.server, "Ready");
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains("lets pod demo-2 go"), "{message}");
    assert!(!is_recorded(&story.server));
    // Meanwhile nothing is written: a change would bring the operator back at once, and again.
    story.server.writes();
    story.operate().await;
    assert_eq!(story.server.writes(), Vec::<String>::new());
}
