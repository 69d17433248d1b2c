//! Volumes that grow: the sizes that the operator requests, the moment when it replaces the StatefulSet, and no data loss
//! whatever fails meanwhile.

use http::{Method, StatusCode};
use opensecureconf_operator::cluster::{
    context::Context,
    reconcile::reconcile_cluster,
    resource::{OpenSecureConfCluster, Retention},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, condition, has_condition, reconcile},
    resource,
    standstill::message,
};

const CLASS: &str = "/apis/storage.k8s.io/v1/storageclasses/fast";
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

pub(crate) fn claim(ordinal: usize) -> String {
    format!("{CORE}/persistentvolumeclaims/data-demo-{ordinal}")
}

pub(crate) fn owner(kind: &str, name: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": kind, "name": name, "controller": kind == "StatefulSet",
        "uid": format!("uid of {STATEFUL_SET}") })
}

/// Changes an object as its controller would.
pub(crate) fn change(server: &ApiServer, path: &str, how: impl FnOnce(&mut Value)) {
    let mut object = server.object(path).unwrap();
    how(&mut object);
    server.put(path, object);
}

/// A driver has made a volume of this size.
fn set_capacity(server: &ApiServer, ordinal: usize, size: &str) {
    change(server, &claim(ordinal), |claim| {
        claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": size } });
    });
}

/// Three nodes that serve, each with a volume of 1Gi of a class that lets volumes grow.
pub(crate) async fn three_nodes(
    spec: impl Fn(&mut OpenSecureConfCluster),
) -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.replicas = 3;
    "1Gi".clone_into(&mut cluster.spec.storage.size);
    spec(&mut cluster);
    reconcile(&server, &mut cluster, &context).await;
    server.put(
        CLASS,
        json!({ "metadata": { "name": "fast" }, "provisioner": "p", "allowVolumeExpansion": true }),
    );
    for ordinal in 0..3 {
        server.put(
            &claim(ordinal),
            json!({
                "metadata": { "name": format!("data-demo-{ordinal}"), "uid": format!("claim {ordinal}"), "resourceVersion": "1" },
                "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "1Gi" } } },
            }),
        );
        set_capacity(&server, ordinal, "1Gi");
        put_pod(&server, ordinal);
    }
    reconcile(&server, &mut cluster, &context).await;
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["resourceVersion"] = json!("1");
    });
    heard(&server);
    server.writes();
    (server, context, cluster)
}

pub(crate) fn put_pod(server: &ApiServer, ordinal: usize) {
    let name = format!("demo-{ordinal}");
    server.put(
        &format!("{CORE}/pods/{name}"),
        json!({
            "metadata": { "name": name, "ownerReferences": [owner("StatefulSet", "demo")] },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        }),
    );
}

/// The controller has observed the present StatefulSet.
pub(crate) fn heard(server: &ApiServer) {
    change(server, STATEFUL_SET, |set| {
        set["metadata"]["generation"] = json!(2);
        set["status"] = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3 });
    });
}

fn asked(server: &ApiServer) -> Vec<String> {
    let claims = (0..3).map(|ordinal| server.object(&claim(ordinal)).unwrap());
    claims
        .map(|claim| {
            claim["spec"]["resources"]["requests"]["storage"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn template(server: &ApiServer) -> Value {
    let set = server.object(STATEFUL_SET).unwrap();
    set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].clone()
}

fn deleted(server: &ApiServer) -> usize {
    let writes = server.writes();
    writes
        .iter()
        .filter(|write| write.starts_with("DELETE"))
        .count()
}

/// No object with data is gone.
fn assert_all_is_there(server: &ApiServer) {
    for ordinal in 0..3 {
        assert!(server.object(&claim(ordinal)).is_some(), "volume {ordinal}");
        let pod = format!("{CORE}/pods/demo-{ordinal}");
        assert!(server.object(&pod).is_some(), "pod {ordinal}");
    }
}

fn progress(server: &ApiServer) -> String {
    let reconciling = condition(server, "Reconciling");
    assert_eq!(reconciling["reason"], "VolumesGrowing");
    message(&reconciling).to_owned()
}

#[tokio::test]
async fn volumes_grow_and_their_set_follows_without_its_pods() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    change(&server, STATEFUL_SET, |set| {
        set["spec"]["template"]["metadata"]["annotations"] = json!({ RESTARTED: "2026-01-01" });
    });
    cluster.spec.storage.size = "2Gi".to_owned();

    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(asked(&server), ["2Gi"; 3]);
    assert_eq!(deleted(&server), 0);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(progress(&server), "0 of 3 volumes have 2Gi");
    assert!(!has_condition(&server, "Stalled"));

    set_capacity(&server, 0, "2Gi");
    set_capacity(&server, 2, "2Gi");
    server.writes();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(progress(&server), "2 of 3 volumes have 2Gi");
    let writes = server.writes();
    assert!(
        writes.iter().all(|write| write.contains("/status")),
        "{writes:?}"
    );

    // Also where nodes do not serve, perhaps for want of room.
    let pod = format!("{CORE}/pods/demo-1");
    change(&server, &pod, |pod| pod["status"] = json!({}));
    reconcile(&server, &mut cluster, &context).await;
    let reconciling = condition(&server, "Reconciling");
    assert_eq!(reconciling["reason"], "NodesStarting");
    assert!(
        message(&reconciling).ends_with("; 2 of 3 volumes have 2Gi"),
        "{reconciling}"
    );

    set_capacity(&server, 1, "2Gi");
    put_pod(&server, 1);
    server.writes();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), 1);
    assert_eq!(server.object(STATEFUL_SET), None);
    assert_all_is_there(&server);

    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(template(&server), "2Gi");
    let set = server.object(STATEFUL_SET).unwrap();
    assert_eq!(set["spec"]["replicas"], 3);
    let annotations = &set["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations[RESTARTED], Value::Null, "no pod has it");
    heard(&server);
    reconcile(&server, &mut cluster, &context).await;
    assert!(
        !has_condition(&server, "Reconciling"),
        "{:?}",
        condition(&server, "Reconciling")
    );
    assert_all_is_there(&server);

    let notes = server.notes();
    for told in [
        "asked for 2Gi for volume data-demo-1",
        "2 of 3 volumes have 2Gi",
        "StatefulSet demo is made anew with the size that its volumes have; its pods run on",
    ] {
        assert!(notes.iter().any(|note| note == told), "{told}: {notes:#?}");
    }
}

#[tokio::test]
async fn volumes_that_go_with_their_set_are_given_away_before_it_goes() {
    let (server, context, mut cluster) =
        three_nodes(|cluster| cluster.spec.storage.retention.when_deleted = Retention::Delete)
            .await;
    for ordinal in 0..3 {
        set_capacity(&server, ordinal, "2Gi");
        change(&server, &claim(ordinal), |claim| {
            claim["metadata"]["ownerReferences"] = json!([owner("StatefulSet", "demo")]);
            claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
        });
    }
    let policy = |server: &ApiServer| {
        let set = server.object(STATEFUL_SET).unwrap();
        set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].clone()
    };
    cluster.spec.storage.size = "2Gi".to_owned();
    assert_eq!(policy(&server), "Delete");

    reconcile(&server, &mut cluster, &context).await;
    assert_eq!((policy(&server), deleted(&server)), (json!("Retain"), 0));

    // The controller has not observed the change; then it has, and still owns one of the pods.
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["generation"] = json!(3);
        set["status"] = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3 });
    });
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), 0);
    change(&server, STATEFUL_SET, |set| {
        set["status"]["observedGeneration"] = json!(3);
    });
    for ordinal in 0..2 {
        change(&server, &claim(ordinal), |claim| {
            claim["metadata"]["ownerReferences"] = json!([]);
        });
    }
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), 0);

    change(&server, &claim(2), |claim| {
        claim["metadata"]["ownerReferences"] = json!([]);
    });
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(deleted(&server), 1);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        (policy(&server), template(&server)),
        (json!("Delete"), json!("2Gi"))
    );
    assert_all_is_there(&server);
}

#[tokio::test]
async fn an_operator_that_dies_between_two_sets_leaves_nothing_that_the_next_one_gets_wrong() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    for ordinal in 0..3 {
        set_capacity(&server, ordinal, "2Gi");
        change(&server, &claim(ordinal), |claim| {
            claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
        });
        change(&server, &format!("{CORE}/pods/demo-{ordinal}"), |pod| {
            pod["metadata"]["annotations"] = json!({ RESTARTED: "2026-01-01" });
        });
    }
    cluster.spec.storage.size = "2Gi".to_owned();
    server.lose_answer(Method::DELETE, STATEFUL_SET);
    assert!(reconcile_cluster(&cluster, &context).await.is_err());
    assert_eq!(
        server.object(STATEFUL_SET),
        None,
        "only the answer was lost"
    );

    // Meanwhile a user asks for fewer nodes, and a smaller volume.
    cluster.spec.replicas = 2;
    cluster.spec.storage.size = "1Gi".to_owned();
    let next = server.context();
    reconcile(&server, &mut cluster, &next).await;

    let set = server.object(STATEFUL_SET).unwrap();
    assert_eq!(set["spec"]["replicas"], 3, "nobody goes who has not left");
    assert_eq!(template(&server), "2Gi");
    let annotations = &set["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(
        annotations[RESTARTED], "2026-01-01",
        "pods would start anew without it"
    );
    assert_eq!(condition(&server, "Stalled")["reason"], "VolumeWouldShrink");
    assert_all_is_there(&server);

    cluster.spec.storage.size = "2Gi".to_owned();
    reconcile(&server, &mut cluster, &next).await;
    assert!(!has_condition(&server, "Stalled"));
}

#[tokio::test]
async fn what_was_read_a_while_ago_changes_nothing_that_is_another_one_now() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    server.freeze(&claim(1));
    change(&server, &claim(1), |claim| {
        claim["metadata"]["resourceVersion"] = json!("2");
    });
    cluster.spec.storage.size = "2Gi".to_owned();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(asked(&server), ["2Gi", "1Gi", "2Gi"]);
    server.thaw();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(asked(&server), ["2Gi"; 3]);

    for ordinal in 0..3 {
        set_capacity(&server, ordinal, "2Gi");
    }
    server.freeze(STATEFUL_SET);
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["resourceVersion"] = json!("2");
    });
    reconcile(&server, &mut cluster, &context).await;
    assert!(
        server.object(STATEFUL_SET).is_some(),
        "it changed meanwhile"
    );
    server.thaw();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(STATEFUL_SET), None);
    assert_all_is_there(&server);
}

#[tokio::test]
async fn a_lost_answer_of_a_claim_is_no_second_request() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.storage.size = "2Gi".to_owned();
    server.lose_answer(Method::PATCH, &claim(1));
    assert!(reconcile_cluster(&cluster, &context).await.is_err());
    assert_eq!(asked(&server), ["2Gi", "2Gi", "1Gi"]);
    server.writes();
    reconcile(&server, &mut cluster, &context).await;
    let claims: Vec<_> = server
        .writes()
        .into_iter()
        .filter(|write| write.contains("persistentvolumeclaims"))
        .filter(|write| write.ends_with("data-demo-1") || write.ends_with("data-demo-2"))
        .collect();
    assert_eq!(claims, [format!("PATCH {}", claim(2))]);
}

#[tokio::test]
async fn a_class_that_lets_nothing_grow_is_told_of_and_the_rest_goes_on() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    change(&server, CLASS, |class| {
        class["allowVolumeExpansion"] = json!(false);
    });
    cluster.spec.storage.size = "2Gi".to_owned();
    cluster.spec.image = Some("node:2".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "VolumesCannotGrow");
    assert!(
        message(&stalled).contains("kubectl patch storageclass fast"),
        "{stalled}"
    );
    assert_eq!(asked(&server), ["1Gi"; 3]);
    let set = server.object(STATEFUL_SET).unwrap();
    assert_eq!(
        set["spec"]["template"]["spec"]["containers"][0]["image"],
        "node:2"
    );

    // The remedy in the message works.
    change(&server, CLASS, |class| {
        class["allowVolumeExpansion"] = json!(true);
    });
    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled"));
    assert_eq!(asked(&server), ["2Gi"; 3]);

    // The other remedy works too.
    cluster.spec.storage.size = "1Gi".to_owned();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(asked(&server), ["1073741825"; 3], "less is not taken");
    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled") && template(&server) == "1Gi");
}

#[tokio::test]
async fn what_admission_refuses_and_what_the_operator_may_not_do_is_told() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.storage.size = "2Gi".to_owned();
    let words = "persistentvolumeclaims \"data-demo-0\" is forbidden: exceeded quota: storage";
    server.refuse_with(Method::PATCH, &claim(0), StatusCode::FORBIDDEN, words);
    reconcile(&server, &mut cluster, &context).await;
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "Rejected");
    assert!(message(&stalled).contains("exceeded quota"), "{stalled}");

    server.deny("patch", "persistentvolumeclaims");
    // A change beside the growth, and independent of it.
    cluster
        .spec
        .service
        .annotations
        .insert("a".to_owned(), "b".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "VolumeGrowthForbidden");
    let told = message(&stalled);
    assert!(
        told.contains("0 of 3 volumes have 2Gi, and without one right volumes do not grow: persistentvolumeclaims is forbidden"),
        "{told}"
    );
    assert!(
        told.contains("to patch persistentvolumeclaims in namespace team"),
        "{told}"
    );
    assert!(!told.contains("left as it is"), "{told}");
    let service = server.object(&format!("{CORE}/services/demo")).unwrap();
    assert_eq!(service["metadata"]["annotations"]["a"], "b");
    reconcile(&server, &mut cluster, &context).await;
    let page = context.metrics().page().unwrap();
    assert!(
        page.contains("osc_operator_missing_rights{namespace=\"team\",need=\"optional\"} 1"),
        "{page}"
    );
    assert!(!page.contains("need=\"required\""), "{page}");

    server.allow_all();
    server.deny("delete", "statefulsets");
    for ordinal in 0..3 {
        set_capacity(&server, ordinal, "2Gi");
    }
    reconcile(&server, &mut cluster, &context).await;
    reconcile(&server, &mut cluster, &context).await;
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "VolumeGrowthForbidden");
    let told = message(&stalled);
    assert!(
        told.contains("nodes that come later begin with the earlier size"),
        "{told}"
    );
    assert!(
        told.contains("to delete statefulsets.apps in namespace team"),
        "{told}"
    );
    assert!(server.object(STATEFUL_SET).is_some());
}

#[tokio::test]
async fn where_no_volume_is_to_grow_nobody_is_told_of_a_right_for_it() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    server.deny("patch", "persistentvolumeclaims");
    server.deny("delete", "statefulsets");
    cluster
        .spec
        .service
        .annotations
        .insert("a".to_owned(), "b".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled"));
}

#[tokio::test]
async fn another_class_is_told_of_and_changes_nothing() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.storage.storage_class_name = Some("slow".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        condition(&server, "Stalled")["reason"],
        "StorageClassCannotChange"
    );
    assert_eq!(deleted(&server), 0);
}
