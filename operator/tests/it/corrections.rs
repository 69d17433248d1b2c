//! Changes of others to a cluster's children: the operator reverts them, and an event names the author.

use serde_json::{Value, json};

use opensecureconf_operator::cluster::{context::Context, resource::OpenSecureConfCluster};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, reconcile},
    resource,
};

/// Changes an object as a client of this name would.
pub(crate) fn change(
    server: &ApiServer,
    path: &str,
    manager: &str,
    fields: &Value,
    how: impl Fn(&mut Value),
) {
    let mut object = server.object(path).unwrap();
    how(&mut object);
    object["metadata"]["managedFields"] = json!([{
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }]);
    server.put(path, object);
}

/// Reconciles until all objects and events exist.
async fn made(server: &ApiServer, cluster: &mut OpenSecureConfCluster, context: &Context) {
    for _ in 0..2 {
        reconcile(server, cluster, context).await;
    }
    server.writes();
}

fn corrections(server: &ApiServer) -> Vec<String> {
    let mut notes = server.notes();
    notes.retain(|note| note.starts_with("corrected"));
    notes
}

#[tokio::test]
async fn a_cluster_that_is_as_wanted_is_not_written_to() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_somebody_changed_is_put_back_and_an_event_names_the_field_and_him() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    let scaled = json!({ "f:spec": { "f:replicas": {} } });
    change(&server, STATEFUL_SET, "kubectl", &scaled, |set| {
        set["spec"]["replicas"] = json!(0);
    });
    let config_map = format!("{CORE}/configmaps/demo-nodes");
    change(&server, &config_map, "kubectl-edit", &json!({}), |map| {
        map["data"].as_object_mut().unwrap().clear();
    });

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(
        server.writes(),
        [
            format!("PATCH {config_map}"),
            format!("PATCH {STATEFUL_SET}")
        ],
        "nothing but what differs"
    );
    assert_eq!(server.object(STATEFUL_SET).unwrap()["spec"]["replicas"], 1);
    let told = corrections(&server);
    let wanted = "corrected StatefulSet demo: kubectl had changed spec.replicas";
    assert!(told.iter().any(|note| note == wanted), "{told:?}");
    let wanted = "corrected ConfigMap demo-nodes: kubectl-edit had changed data.";
    assert!(told.iter().any(|note| note.starts_with(wanted)), "{told:?}");
}

#[tokio::test]
async fn each_is_named_with_the_fields_that_are_his() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    let mut set = server.object(STATEFUL_SET).unwrap();
    set["spec"]["replicas"] = json!(4);
    set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(5);
    // As a real API server writes them: the entry of a subresource has no time.
    set["metadata"]["managedFields"] = json!([
        { "manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "subresource": "scale", "fieldsType": "FieldsV1",
          "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        { "manager": "kubectl-patch", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
          "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:terminationGracePeriodSeconds": {} } } } } },
    ]);
    server.put(STATEFUL_SET, set);

    reconcile(&server, &mut cluster, &context).await;

    let mut told = corrections(&server);
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "corrected StatefulSet demo: kubectl had changed spec.replicas",
            "corrected StatefulSet demo: kubectl-patch had changed spec.template.spec.terminationGracePeriodSeconds",
        ]
    );
}

#[tokio::test]
async fn a_service_that_selects_more_leads_to_the_nodes_again() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    let service = format!("{CORE}/services/demo");
    let selects = json!({ "f:spec": { "f:selector": {} } });
    change(&server, &service, "kubectl-patch", &selects, |service| {
        service["spec"]["selector"]["more"] = json!("x");
    });
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.writes(), [format!("PATCH {service}")]);
    let wanted = "corrected Service demo: kubectl-patch had changed spec.selector";
    assert_eq!(corrections(&server), [wanted]);
}

#[tokio::test]
async fn who_adds_nodes_by_hand_is_told_of_once_while_they_leave_again() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    let scaled = json!({ "f:spec": { "f:replicas": {} } });
    change(&server, STATEFUL_SET, "kubectl", &scaled, |set| {
        set["spec"]["replicas"] = json!(4);
    });

    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }

    let wanted = "corrected StatefulSet demo: kubectl had changed spec.replicas";
    assert_eq!(corrections(&server), [wanted]);
}

#[tokio::test]
async fn a_port_with_another_number_is_put_back_before_the_apply_that_would_be_refused() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    let service = format!("{CORE}/services/demo");
    let before = server.object(&service).unwrap();
    change(&server, &service, "kubectl-patch", &json!({}), |service| {
        service["spec"]["ports"][0]["port"] = json!(9444);
    });

    reconcile(&server, &mut cluster, &context).await;

    let patch = format!("PATCH {service}");
    assert_eq!(server.writes(), [patch.clone(), patch]);
    let after = server.object(&service).unwrap();
    assert_eq!(after["spec"]["ports"], before["spec"]["ports"]);
    let wanted = "corrected Service demo: kubectl-patch had changed spec.ports[9443,TCP]";
    assert_eq!(corrections(&server), [wanted]);
}

#[tokio::test]
async fn what_the_user_asks_for_is_no_correction() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    cluster.spec.image = Some("node:2".to_owned());
    cluster.spec.service.annotations = [("a".to_owned(), "b".to_owned())].into();

    reconcile(&server, &mut cluster, &context).await;

    let writes = server.writes();
    assert!(
        writes.contains(&format!("PATCH {STATEFUL_SET}")),
        "{writes:?}"
    );
    assert!(
        writes.contains(&format!("PATCH {CORE}/services/demo")),
        "{writes:?}"
    );
    assert_eq!(corrections(&server), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_earlier_operator_applied_and_nobody_wants_any_more_goes() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    made(&server, &mut cluster, &context).await;
    let service = format!("{CORE}/services/demo");
    let mut object = server.object(&service).unwrap();
    object["metadata"]["annotations"] = json!({ "old": "one" });
    object["metadata"]["managedFields"] = json!([{
        "manager": "opensecureconf.io/operator", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:annotations": { "f:old": {} } } },
    }]);
    server.put(&service, object);

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(server.writes(), [format!("PATCH {service}")]);
    assert_eq!(corrections(&server), Vec::<String>::new());
}
