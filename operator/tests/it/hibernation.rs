//! Nodes that sleep and wake: the checks before, the objects that stay, and the nodes that come back.

use jiff::{SignedDuration, Timestamp};
use opensecureconf_operator::cluster::{
    context::Context,
    resource::{OpenSecureConfCluster, Retention},
};
use serde_json::{Value, json};

use crate::{
    api_server::ApiServer,
    pause::{HUNDRED_DAYS, date_back, is_fresh},
    reconcile::{CORE, STATEFUL_SET, condition, has_condition, reconcile},
    standstill::stored_pki,
    volumes::{change, claim, heard, owner, put_pod, three_nodes},
};

const RECORD: &str = "opensecureconf.io/hibernated-replicas";

/// Three nodes whose volumes are deleted with them.
async fn awake() -> (ApiServer, Context, OpenSecureConfCluster) {
    three_nodes(|cluster| cluster.spec.storage.retention.when_scaled = Retention::Delete).await
}

fn set(server: &ApiServer) -> (Value, Value, Value) {
    let set = server.object(STATEFUL_SET).unwrap();
    (
        set["spec"]["replicas"].clone(),
        set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"].clone(),
        set["metadata"]["annotations"][RECORD].clone(),
    )
}

fn stop_pods(server: &ApiServer) {
    for ordinal in 0..3 {
        server.remove(&format!("{CORE}/pods/demo-{ordinal}"));
    }
}

/// Nodes that sleep, of a cluster that kept everything.
async fn asleep() -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context, mut cluster) = awake().await;
    cluster.spec.hibernate = true;
    reconcile(&server, &mut cluster, &context).await;
    heard(&server);
    reconcile(&server, &mut cluster, &context).await;
    heard(&server);
    stop_pods(&server);
    reconcile(&server, &mut cluster, &context).await;
    server.writes();
    (server, context, cluster)
}

#[tokio::test]
async fn nodes_stop_once_it_is_proved_that_their_volumes_stay() {
    let (server, context, mut cluster) = awake().await;
    let list = server.object(&format!("{CORE}/configmaps/demo-nodes"));
    change(&server, &claim(2), |claim| {
        claim["metadata"]["ownerReferences"] = json!([owner("Pod", "demo-2")]);
    });
    cluster.spec.hibernate = true;

    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server), (json!(3), json!("Retain"), Value::Null));
    assert_eq!(condition(&server, "Reconciling")["reason"], "Hibernating");

    heard(&server);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server).0, 3, "one would go with its pod");

    change(&server, &claim(2), |claim| {
        claim["metadata"]["ownerReferences"] = json!([]);
    });
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server), (json!(0), json!("Retain"), json!("3")));
    assert_eq!(condition(&server, "Ready")["reason"], "Hibernating");

    heard(&server);
    stop_pods(&server);
    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("True"), &json!("Hibernated"))
    );
    for (type_, status) in [
        ("Available", "False"),
        ("Replicated", "Unknown"),
        ("SaltMatches", "Unknown"),
    ] {
        let told = condition(&server, type_);
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!(status), &json!("Hibernated")),
            "{type_}"
        );
    }
    assert!(!has_condition(&server, "Reconciling") && !has_condition(&server, "Stalled"));
    let kept = server.object(&format!("{CORE}/configmaps/demo-nodes"));
    assert_eq!(
        kept.map(|map| map["data"].clone()),
        list.map(|map| map["data"].clone())
    );
    for ordinal in 0..3 {
        assert!(server.object(&claim(ordinal)).is_some());
    }
}

#[tokio::test]
async fn a_set_that_changes_between_the_proof_and_the_end_of_its_pods_is_looked_at_anew() {
    let (server, context, mut cluster) = three_nodes(|_| {}).await;
    cluster.spec.hibernate = true;
    server.freeze(STATEFUL_SET);
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["resourceVersion"] = json!("9");
        set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = json!("Delete");
    });
    let looked =
        opensecureconf_operator::cluster::reconcile::reconcile_cluster(&cluster, &context).await;
    assert!(looked.is_err());
    assert_eq!(set(&server).0, 3);
    server.thaw();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        (set(&server).0, set(&server).1),
        (json!(3), json!("Retain"))
    );
}

#[tokio::test]
async fn all_nodes_come_back_before_anything_else_is_wanted_of_them() {
    let (server, context, mut cluster) = Box::pin(asleep()).await;
    // While the nodes sleep, a user asks for fewer, and the operator starts anew.
    let context = {
        drop(context);
        server.context()
    };
    cluster.spec.replicas = 2;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server), (json!(0), json!("Retain"), json!("3")));

    cluster.spec.hibernate = false;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server), (json!(3), json!("Retain"), json!("3")));
    assert_eq!(condition(&server, "Ready")["reason"], "Waking");
    heard(&server);
    for ordinal in 0..2 {
        put_pod(&server, ordinal);
    }
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server), (json!(3), json!("Retain"), json!("3")));

    put_pod(&server, 2);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        set(&server),
        (json!(3), json!("Delete"), Value::Null),
        "none has left yet"
    );
}

#[tokio::test]
async fn a_cluster_at_rest_costs_nothing_but_its_certificates_are_renewed() {
    let (server, context, mut cluster) = Box::pin(asleep()).await;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.writes(), Vec::<String>::new());
    date_back(&server, HUNDRED_DAYS);
    reconcile(&server, &mut cluster, &context).await;
    assert!(is_fresh(&server));
    assert_eq!(set(&server).0, 0);
    assert_eq!(condition(&server, "Ready")["reason"], "Hibernated");
}

#[tokio::test]
async fn a_cluster_that_sleeps_for_years_has_a_certificate_on_each_day() {
    let (server, _, mut cluster) = Box::pin(asleep()).await;
    let begin = Timestamp::now();
    for days in (0..800).step_by(61) {
        let now = begin + SignedDuration::from_hours(24 * days);
        let context = server.context().by_the_clock(move || now);
        reconcile(&server, &mut cluster, &context).await;
        let leaf = stored_pki(&server).leaf.unwrap();
        let age = now.duration_since(leaf.issued());
        assert!(age < SignedDuration::from_hours(24 * 60), "day {days}");
        assert_eq!(set(&server).0, 0);
    }
    assert_eq!(condition(&server, "Ready")["reason"], "Hibernated");
}

#[tokio::test]
async fn a_cluster_that_is_made_asleep_has_no_pods() {
    let (server, context, mut cluster) = three_nodes(|cluster| cluster.spec.hibernate = true).await;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server), (json!(0), json!("Retain"), json!("3")));
}
