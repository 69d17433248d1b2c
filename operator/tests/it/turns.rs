//! Clusters that wait for each other's rollouts: which cluster waits for which, and when the waiting ones go on.

use futures::{FutureExt, StreamExt};
use kube::{core::error_boundary::InvalidObject, runtime::watcher};
use opensecureconf_operator::cluster::{
    controller::woken,
    reconcile::{reconcile_cluster, reconcile_malformed},
    resource::UpgradePolicy,
};
use serde_json::json;

use crate::{
    looking::show,
    reconcile::CORE,
    upgrades::{NEW, World, pod_path, stateful_set, status_path},
};

/// Two clusters, of which the first is in the middle of its turn and the second waits for that.
async fn in_the_middle() -> World {
    let names = ["a", "b"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    show(&world.server, &world.context);
    world.turns(&names, 2).await;
    show(&world.server, &world.context);
    assert_eq!(world.deleted(), ["a-2"]);
    world.operate("b").await;
    assert_eq!(world.waits_for("b"), "OtherCluster");
    world
}

/// Deletes the namespace of both: Kubernetes begins with the pods of the first, and goes on once they are gone.
fn end_namespace(world: &World) {
    world.server.put("/api/v1/namespaces/team", json!({
        "metadata": { "name": "team", "deletionTimestamp": "2026-01-31T12:00:00Z" }, "status": { "phase": "Terminating" },
    }));
    for ordinal in 0..3 {
        let path = pod_path("a", ordinal);
        let mut pod = world.server.object(&path).unwrap();
        pod["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z".into();
        world.server.put(&path, pod);
    }
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_that_is_gone_whatever_it_left() {
    let mut world = in_the_middle().await;
    // Its StatefulSet is kept: kubectl delete --cascade=orphan.
    world.server.remove(&status_path("a"));
    show(&world.server, &world.context);
    world.context.forget("team", "a");
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_that_went_while_it_was_looked_at() {
    let mut world = in_the_middle().await;
    let status = status_path("a");
    world.server.remove(&status);
    show(&world.server, &world.context);
    world.context.forget("team", "a");
    // A reconcile that began earlier ends now.
    let cluster = world.clusters["a"].clone();
    reconcile_cluster(&cluster, &world.context).await.unwrap();
    world.server.remove(&stateful_set("a"));
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_whose_namespace_ends() {
    let mut world = in_the_middle().await;
    end_namespace(&world);
    show(&world.server, &world.context);
    world.operate("a").await;
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn where_the_namespace_may_not_be_asked_for_the_others_wait_until_the_cluster_is_gone() {
    let mut world = in_the_middle().await;
    world.server.deny("get", "namespaces");
    end_namespace(&world);
    show(&world.server, &world.context);
    world.operate("a").await;
    world.operate("b").await;
    assert_eq!(world.waits_for("b"), "OtherCluster");
    world.server.remove(&status_path("a"));
    show(&world.server, &world.context);
    world.context.forget("team", "a");
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn while_one_of_its_pods_runs_nobody_asks_for_the_namespace() {
    let mut world = in_the_middle().await;
    world.server.requests();
    world.turns(&["a"], 4).await;
    let asked = world.server.requests();
    assert!(
        !asked.contains(&"GET /api/v1/namespaces/team".to_owned()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_that_may_not_be_touched() {
    let mut world = in_the_middle().await;
    let mut woken = Box::pin(woken(&world.context, None));
    world.server.deny("patch", "statefulsets");
    let cluster = world.clusters.get_mut("a").unwrap();
    cluster.spec.restarted_at = Some("2026-01-31T12:00:00Z".to_owned());
    cluster.metadata.generation = Some(2);
    for _ in 0..2 {
        world.operate("a").await;
        let conditions = world.status("a")["conditions"].to_string();
        assert!(conditions.contains("RightsMissing"), "{conditions}");
    }
    assert_eq!(
        woken.next().now_or_never().flatten().unwrap().1,
        "b",
        "in another namespace it may be touched"
    );
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_that_does_not_parse() {
    let mut world = in_the_middle().await;
    let invalid = InvalidObject {
        error: "spec.replicas: expected i32".to_owned(),
        metadata: world.clusters["a"].metadata.clone(),
    };
    reconcile_malformed(&invalid, &world.context).await.unwrap();
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_that_is_handed_to_another_operator() {
    let mut world = in_the_middle().await;
    let path = stateful_set("a");
    let mut set = world.server.object(&path).unwrap();
    set["metadata"]["annotations"]["opensecureconf.io/operator"] = "elsewhere/operator".into();
    world.server.put(&path, set);
    let salt = format!("{CORE}/secrets/a-salt");
    let mut secret = world.server.object(&salt).unwrap();
    secret["metadata"]["annotations"]["opensecureconf.io/operator"] = "elsewhere/operator".into();
    world.server.put(&salt, secret);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/elsewhere/leases/operator";
    world
        .server
        .put(lease, json!({ "metadata": { "name": "operator" } }));
    show(&world.server, &world.context);
    let cluster = world.clusters["a"].clone();
    reconcile_cluster(&cluster, &world.context).await.unwrap();
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn the_end_of_a_turn_wakes_those_that_wait() {
    let mut world = in_the_middle().await;
    let mut of_all = Box::pin(woken(&world.context, None));
    let mut of_another = Box::pin(woken(&world.context, Some("elsewhere")));
    let mut told = None;
    for _ in 0..10 {
        world.turns(&["a"], 1).await;
        show(&world.server, &world.context);
        told = told.or(of_all.next().now_or_never().flatten());
        if told.is_some() {
            break;
        }
    }
    assert_eq!(told, Some(("team".to_owned(), "b".to_owned())));
    assert_eq!(world.deleted(), ["a-1", "a-0"]);
    assert_eq!(of_another.next().now_or_never(), None);
    world.operate("b").await;
    assert_eq!(world.image("b"), NEW);
    show(&world.server, &world.context);
    assert_eq!(of_all.next().now_or_never(), None);
}

#[tokio::test]
async fn those_that_wait_for_the_watches_are_woken_once_these_have_told() {
    let mut world = in_the_middle().await;
    world.replace_operator(NEW);
    world.context.watch(None);
    let mut woken = Box::pin(woken(&world.context, None));
    world.operate("b").await;
    assert_eq!(world.waits_for("b"), "Starting");
    assert_eq!(woken.next().now_or_never(), None);
    show(&world.server, &world.context);
    let told = woken.next().now_or_never().flatten();
    assert_eq!(told, Some(("team".to_owned(), "b".to_owned())));
}

#[tokio::test]
async fn a_namespace_that_may_not_be_looked_at_holds_nobody_up() {
    let mut world = World::begin(&["a"], UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    show(&world.server, &world.context);
    let refused = || {
        let words = "statefulsets.apps is forbidden: User \"operator\" cannot list resource \"statefulsets\"";
        let error = json!({ "code": 403, "message": words, "reason": "Forbidden" });
        let error = serde_json::from_value(error);
        let error = kube::Error::Api(Box::new(error.unwrap()));
        Err(watcher::Error::InitialListFailed(error))
    };
    let elsewhere = world.context.watch(Some("elsewhere"));
    world.operate("a").await;
    assert_eq!(world.waits_for("a"), "Starting");
    elsewhere.note_stateful_set(&refused());
    world.operate("a").await;
    assert_eq!(world.image("a"), NEW);
}

#[tokio::test]
async fn a_turn_does_not_end_before_the_last_pod_serves_whatever_keeps_it_from_that() {
    let unschedulable = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" },
    ] });
    let mut world = in_the_middle().await;
    while !world.deleted().contains(&"a-0".to_owned()) {
        world.operate("a").await;
        if world.server.object(&pod_path("a", 0)).is_some() {
            world.kubernetes("a");
        }
    }
    world.kubernetes("a");
    let path = pod_path("a", 0);
    let mut pod = world.server.object(&path).unwrap();
    let serving = std::mem::replace(&mut pod["status"], unschedulable);
    world.server.put(&path, pod.clone());
    for _ in 0..4 {
        show(&world.server, &world.context);
        world.turns(&["a"], 1).await;
        let conditions = world.status("a")["conditions"].to_string();
        assert!(
            conditions.contains("0/3 nodes are available"),
            "{conditions}"
        );
        world.operate("b").await;
        assert_eq!(world.waits_for("b"), "OtherCluster");
    }
    pod["status"] = serving;
    world.server.put(&path, pod);
    for _ in 0..3 {
        show(&world.server, &world.context);
        world.turns(&["a", "b"], 1).await;
    }
    assert_eq!(world.image("b"), NEW);
}
