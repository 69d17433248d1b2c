//! Nodes whose volume is given up: what the operator deletes, what it never deletes, and what it reports.

use http::{Method, StatusCode};
use opensecureconf_operator::cluster::{
    context::Context,
    resource::{OpenSecureConfCluster, RebuildMember},
};
use serde_json::json;

use crate::{
    api_server::{ApiServer, taken_away},
    reconcile::{CORE, condition, has_condition, reconcile},
    rollout::{budget::no_disruption_is_allowed, ready},
    serving::answered,
    standstill::message,
    volumes::{change, claim, three_nodes},
};

const LIFE: &str = "0123456789abcdef";

fn pod(ordinal: usize) -> String {
    format!("{CORE}/pods/demo-{ordinal}")
}

fn entry(ordinal: usize, force: bool) -> RebuildMember {
    RebuildMember {
        name: format!("demo-{ordinal}"),
        incarnation: LIFE.to_owned(),
        force,
    }
}

/// Three nodes, of which the last one no longer answers; its claim names its incarnation.
async fn story(entries: &[RebuildMember]) -> (ApiServer, Context, OpenSecureConfCluster) {
    let entries = entries.to_vec();
    let (server, context, cluster) =
        three_nodes(move |cluster| cluster.spec.rebuild_members.clone_from(&entries)).await;
    for (ordinal, life) in [(0, "another life"), (1, "a third one"), (2, LIFE)] {
        live(&server, ordinal, life);
    }
    change(&server, &pod(2), |pod| {
        pod["metadata"]["uid"] = json!("pod 2");
        pod["metadata"]["resourceVersion"] = json!("1");
        pod["status"] = json!({});
    });
    (server, context, cluster)
}

/// Writes this incarnation to the claim of a node.
fn live(server: &ApiServer, ordinal: usize, incarnation: &str) {
    change(server, &claim(ordinal), |claim| {
        claim["metadata"]["annotations"]["opensecureconf.io/incarnation"] = json!(incarnation);
    });
}

fn deleted(server: &ApiServer) -> Vec<String> {
    let writes = server.writes();
    let deleted = writes.iter().filter_map(|write| taken_away(write));
    deleted.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_claim_goes_and_then_its_pod_and_what_comes_after_them_is_left_alone() {
    let (server, context, mut cluster) = story(&[entry(2, true)]).await;
    let (before, before_pod) = (
        server.object(&claim(2)).unwrap(),
        server.object(&pod(2)).unwrap(),
    );
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), [claim(2), pod(2)]);
    let note = format!("gave up volume data-demo-2 of incarnation {LIFE}");
    let notes = server.notes();
    let told = |words: &str| notes.iter().any(|told| told.contains(words));
    assert!(
        told(&note) && told("replaced pod demo-2: it is rebuilt"),
        "{notes:#?}"
    );

    // Neither while there is no claim, nor when another volume has the name, nor when another incarnation is on it.
    reconcile(&server, &mut cluster, &context).await;
    let mut next = before;
    next["metadata"]["uid"] = json!("another claim");
    next["metadata"]["annotations"] = json!({});
    server.put(&claim(2), next);
    server.put(&pod(2), before_pod);
    reconcile(&server, &mut cluster, &context).await;
    live(&server, 2, "fedcba9876543210");
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), Vec::<String>::new());
    assert!(!has_condition(&server, "RebuildBlocked"));
}

#[tokio::test]
async fn without_force_nothing_goes_and_the_status_says_what_is_missing() {
    let (server, context, mut cluster) = story(&[entry(2, false)]).await;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), Vec::<String>::new());
    let blocked = condition(&server, "RebuildBlocked");
    assert_eq!(blocked["reason"], "NoOtherNode");
    assert!(
        message(&blocked).starts_with("demo-2 is not rebuilt: "),
        "{blocked}"
    );
}

#[tokio::test]
async fn a_claim_that_is_another_one_by_now_is_left_alone_with_its_pod() {
    let (server, context, mut cluster) = story(&[entry(2, true)]).await;
    server.freeze(&claim(2));
    change(&server, &claim(2), |claim| {
        claim["metadata"]["uid"] = json!("another claim");
    });
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(&claim(2)).is_some() && server.object(&pod(2)).is_some());
}

#[tokio::test]
async fn an_operator_that_ends_between_claim_and_pod_goes_on_with_the_pod() {
    let (server, context, mut cluster) = story(&[entry(2, true)]).await;
    // While its pod uses it, Kubernetes keeps a claim that was deleted.
    change(&server, &claim(2), |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    server.refuse(Method::DELETE, &pod(2), StatusCode::CONFLICT);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(&pod(2)).is_some());
    deleted(&server);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), [pod(2)]);
    // Its pod is gone, and the claim not yet.
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), Vec::<String>::new());
    assert!(!has_condition(&server, "RebuildBlocked"));
}

#[tokio::test]
async fn without_the_right_to_delete_claims_nothing_goes_and_the_condition_says_so() {
    let (server, context, mut cluster) = story(&[entry(2, true)]).await;
    server.deny("delete", "persistentvolumeclaims");
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), Vec::<String>::new());
    let blocked = condition(&server, "RebuildBlocked");
    assert_eq!(blocked["reason"], "RightsMissing");
    assert!(
        message(&blocked).contains("persistentvolumeclaims is forbidden"),
        "{blocked}"
    );
}

/// The record of the pod whose deletion is under way.
const RECORD: &str = "opensecureconf.io/replacing";

fn config_map() -> String {
    format!("{CORE}/configmaps/demo-template")
}

/// Three nodes that answer and serve, of which the last one is to be rebuilt.
async fn serving_story() -> (ApiServer, Context, OpenSecureConfCluster) {
    let entry = RebuildMember {
        incarnation: "0000000000000002".to_owned(),
        ..entry(2, true)
    };
    let (server, context, cluster) = story(&[entry]).await;
    for ordinal in 0..3 {
        change(&server, &pod(ordinal), |pod| {
            pod["metadata"]["uid"] = json!(format!("pod {ordinal}"));
            pod["metadata"]["resourceVersion"] = json!("1");
            pod["status"] = ready(true);
        });
    }
    server.writes();
    (server, answered(context), cluster)
}

#[tokio::test]
async fn a_pod_that_serves_is_named_before_its_claim_and_itself_are_deleted() {
    let (server, context, mut cluster) = serving_story().await;
    reconcile(&server, &mut cluster, &context).await;
    let writes = server.writes();
    let place = |wanted: String| writes.iter().position(|write| *write == wanted);
    let named = place(format!("PATCH {}", config_map()));
    let deletions = [claim(2), pod(2)].map(|path| place(format!("DELETE {path}")));
    assert!(
        named.is_some() && named < deletions[0] && deletions[0] < deletions[1],
        "{writes:#?}"
    );
    let record = &server.object(&config_map()).unwrap()["metadata"]["annotations"][RECORD];
    assert_eq!(*record, json!("demo-2/pod 2/1"));
}

#[tokio::test]
async fn a_replacement_that_another_operator_began_comes_before_a_rebuild() {
    let (server, context, mut cluster) = serving_story().await;
    change(&server, &config_map(), |config_map| {
        config_map["metadata"]["annotations"][RECORD] = json!("demo-0/pod 0/1");
    });
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), [pod(0)]);
}

#[tokio::test]
async fn a_pod_that_its_budget_holds_is_waited_for_and_force_waits_for_none() {
    let (server, context, mut cluster) = serving_story().await;
    no_disruption_is_allowed(&server, &[0, 2]);
    change(&server, &config_map(), |config_map| {
        config_map["metadata"]["annotations"][RECORD] = json!("demo-0/pod 0/1");
    });
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(&pod(0)).is_some() && server.object(&claim(2)).is_some());
    let blocked = condition(&server, "RebuildBlocked");
    assert_eq!(blocked["reason"], "DisruptionBudget");
    let told = message(&blocked);
    assert!(
        told.contains("does not let pod demo-0 go now: Cannot evict"),
        "{told}"
    );

    // Nothing else is under way: a user's force goes beside the budget.
    change(&server, &config_map(), |config_map| {
        config_map["metadata"]["annotations"][RECORD] = json!("");
    });
    server.writes();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), [claim(2), pod(2)]);
}

#[tokio::test]
async fn a_paused_cluster_gives_nothing_up() {
    let (server, context, mut cluster) = story(&[entry(2, true)]).await;
    cluster.spec.paused = true;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), Vec::<String>::new());
    assert_eq!(condition(&server, "RebuildBlocked")["reason"], "OnHold");
}
