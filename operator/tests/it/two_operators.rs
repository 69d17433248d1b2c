//! Two operators that see one resource: one of them works, the other reports that and writes nothing.

use std::time::Duration;

use kube::runtime::controller::Action;
use opensecureconf_operator::cluster::{
    context::Context, reconcile::reconcile_cluster, validate::Installation,
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, reconcile},
    resource,
};

const RECORD: &str = "opensecureconf.io/operator";
const FIRST: &str = "opensecureconf-system/opensecureconf-operator";
const SECOND: &str = "elsewhere/second";
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/opensecureconf-system/leases/opensecureconf-operator";

fn second(context: Context) -> Context {
    context.at(Installation {
        namespace: "elsewhere".to_owned(),
        operator: SECOND.to_owned(),
        ..Installation::default()
    })
}

fn salt(server: &ApiServer) -> Value {
    server.object(&format!("{CORE}/secrets/demo-salt")).unwrap()
}

/// A cluster that the first operator made, and that the second one sees.
async fn seen_by_a_second() -> (ApiServer, Context) {
    let (server, context) = ApiServer::start();
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    server.writes();
    (server, second(context))
}

/// Runs a reconcile and asserts that it writes nothing.
async fn stands_back(server: &ApiServer, context: &Context) -> Action {
    let next = reconcile_cluster(&resource(ONE_NODE), context).await;
    assert_eq!(server.writes(), Vec::<String>::new());
    next.unwrap()
}

#[tokio::test]
async fn what_is_made_carries_the_operators_name() {
    let (server, _) = seen_by_a_second().await;
    let set = server.object(STATEFUL_SET).unwrap();
    for object in [salt(&server), set] {
        assert_eq!(object["metadata"]["annotations"][RECORD], FIRST, "{object}");
    }
}

#[tokio::test]
async fn the_second_operator_writes_nothing_and_says_whose_the_cluster_is() {
    let (server, context) = seen_by_a_second().await;
    server.put(
        LEASE,
        json!({ "metadata": { "name": "opensecureconf-operator" } }),
    );

    let next = stands_back(&server, &context).await;

    assert_eq!(next, Action::requeue(Duration::from_mins(1)));
    let notes = server.notes().join("\n");
    assert!(notes.contains(FIRST), "{notes}");
    let command =
        format!("kubectl annotate secret demo-salt -n team {RECORD}={SECOND} --overwrite");
    assert!(notes.contains(&command), "{notes}");
    let page = context.metrics().page().unwrap();
    assert!(
        page.contains("osc_operator_foreign_clusters{name=\"demo\",namespace=\"team\"} 1"),
        "{page}"
    );
    assert!(!page.contains("osc_operator_cluster_condition"), "{page}");
}

#[tokio::test]
async fn a_second_operator_that_lacks_rights_writes_nothing_either() {
    let (server, _) = seen_by_a_second().await;
    server.put(
        LEASE,
        json!({ "metadata": { "name": "opensecureconf-operator" } }),
    );
    server.deny("patch", "services");
    // An operator that never read its rights.
    let context = second(server.context());

    stands_back(&server, &context).await;
}

#[tokio::test]
async fn one_that_may_not_see_the_others_lease_leaves_the_cluster_alone() {
    let (server, context) = seen_by_a_second().await;
    server.deny("get", "leases");

    stands_back(&server, &context).await;
}

#[tokio::test]
async fn a_cluster_whose_operator_was_uninstalled_is_taken_over() {
    let (server, context) = seen_by_a_second().await;

    reconcile(&server, &mut resource(ONE_NODE), &context).await;

    assert_eq!(salt(&server)["metadata"]["annotations"][RECORD], SECOND);
    let set = server.object(STATEFUL_SET).unwrap();
    assert_eq!(set["metadata"]["annotations"][RECORD], SECOND);
    let notes = server.notes().join("\n");
    assert!(
        notes.contains(&format!("took over from {FIRST}")),
        "{notes}"
    );
    let page = context.metrics().page().unwrap();
    assert!(!page.contains("osc_operator_foreign_clusters{"), "{page}");
}

#[tokio::test]
async fn of_two_that_find_a_salt_without_a_name_the_slower_one_stops() {
    let (server, context) = seen_by_a_second().await;
    let path = format!("{CORE}/secrets/demo-salt");
    let mut nameless = salt(&server);
    nameless["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove(RECORD);
    server.put(&path, nameless);
    server.refuse(http::Method::PATCH, &path, http::StatusCode::CONFLICT);

    let error = reconcile_cluster(&resource(ONE_NODE), &context)
        .await
        .unwrap_err();

    assert_eq!(error.to_string(), "failed to apply");
    assert_eq!(server.writes(), Vec::<String>::new());

    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    assert_eq!(salt(&server)["metadata"]["annotations"][RECORD], SECOND);
}

#[tokio::test]
async fn while_the_salt_is_lost_the_nodes_say_whose_the_cluster_is() {
    let (server, context) = seen_by_a_second().await;
    server.put(
        LEASE,
        json!({ "metadata": { "name": "opensecureconf-operator" } }),
    );
    server.remove(&format!("{CORE}/secrets/demo-salt"));

    stands_back(&server, &context).await;
}
