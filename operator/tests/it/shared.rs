//! Nodes that share a database: the objects made for them, the changes that restart them, and the settings that are refused
//! with a reason.

use opensecureconf_operator::cluster::{
    context::Context,
    reconcile::reconcile_cluster,
    resource::{OpenSecureConfCluster, UpgradePolicy},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    corrections::change,
    looking::show,
    reconcile::{
        CORE, DISRUPTION_BUDGET, NETWORK_POLICY, SERVICE_MONITOR, STATEFUL_SET, STATUS, condition,
        has_condition, reconcile,
    },
    resource,
};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/team/deployments/demo";
const SHARED: &str = "{apiVersion: opensecureconf.io/v1alpha1, kind: OpenSecureConfCluster, metadata: {name: demo}, \
                      spec: {mode: Shared, database: {secretRef: {name: pg-app}}}}";
/// The annotation with the database in the pod template.
const DATABASE: &str = "opensecureconf.io/database";

fn base64(text: &str) -> Value {
    serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap()
}

/// The Secret of the user's own, with this password.
fn put_secret(server: &ApiServer, password: &str) {
    let uri = format!("postgresql://app:{password}@pg-rw.team:5432/app?sslmode=disable");
    server.put(
        &format!("{CORE}/secrets/pg-app"),
        json!({ "metadata": { "name": "pg-app" }, "data": { "uri": base64(&uri) } }),
    );
}

/// A cluster whose pods serve, and whose containers' states are unknown.
pub(crate) async fn running() -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    put_secret(&server, "s3cret");
    let mut cluster = resource(SHARED);
    reconcile(&server, &mut cluster, &context).await;
    serves(&server);
    reconcile(&server, &mut cluster, &context).await;
    server.writes();
    (server, context, cluster)
}

/// Kubernetes has made all pods, and they serve.
fn serves(server: &ApiServer) {
    let mut deployment = server.object(DEPLOYMENT).unwrap();
    let replicas = deployment["spec"]["replicas"].clone();
    let generation = deployment["metadata"]["generation"].as_i64().unwrap_or(1);
    deployment["metadata"]["generation"] = generation.into();
    deployment["metadata"]["resourceVersion"] = json!("1");
    deployment["status"] = json!({
        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
    });
    server.put(DEPLOYMENT, deployment);
    for name in ["demo-7f9c-24567", "demo-7f9c-xk2lp", "demo-7f9c-zzzzz"] {
        put_pod(server, name, "True");
    }
}

fn put_pod(server: &ApiServer, name: &str, ready: &str) {
    let labels = json!({
        "app.kubernetes.io/name": "opensecureconf", "app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "node",
    });
    server.put(
        &format!("{CORE}/pods/{name}"),
        json!({
            "metadata": { "name": name, "uid": name, "resourceVersion": "1", "labels": labels },
            "spec": { "nodeName": "worker", "containers": [] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }),
    );
}

fn template(server: &ApiServer) -> Value {
    server.object(DEPLOYMENT).unwrap()["spec"]["template"].clone()
}

fn message(server: &ApiServer, type_: &str) -> String {
    condition(server, type_)["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_deployment_is_made_and_neither_a_stateful_set_nor_a_list_of_peers() {
    let (server, context) = ApiServer::start();
    put_secret(&server, "s3cret");
    reconcile(&server, &mut resource(SHARED), &context).await;
    assert_eq!(
        server.writes(),
        [
            format!("POST {CORE}/secrets/demo-salt"),
            format!("POST {CORE}/secrets/demo-api-key"),
            format!("POST {CORE}/secrets/demo-cluster-key"),
            format!("POST {CORE}/secrets/demo-node-ca"),
            format!("POST {CORE}/secrets/demo-node-tls"),
            format!("PATCH {CORE}/secrets/demo-database"),
            format!("PATCH {CORE}/serviceaccounts/demo"),
            format!("PATCH {CORE}/configmaps/demo-nodes"),
            format!("PATCH {CORE}/configmaps/demo-ca"),
            format!("PATCH {CORE}/services/demo-nodes"),
            format!("PATCH {CORE}/services/demo"),
            format!("PATCH {NETWORK_POLICY}"),
            format!("PATCH {DISRUPTION_BUDGET}"),
            format!("PATCH {CORE}/configmaps/demo-template"),
            format!("PATCH {DEPLOYMENT}"),
            format!("PATCH {SERVICE_MONITOR}"),
            format!("PATCH {STATUS}"),
        ]
    );
    assert!(server.object(STATEFUL_SET).is_none());
    let files = server.object(&format!("{CORE}/configmaps/demo-nodes"));
    assert!(files.unwrap()["data"].get("peers").is_none());
    let address = server.object(&format!("{CORE}/secrets/demo-database"));
    let address = address.unwrap()["data"]["url"].clone();
    let uri = "postgresql://app:s3cret@pg-rw.team:5432/app?sslmode=disable\n";
    assert_eq!(address, base64(uri));
}

#[tokio::test]
async fn a_deployment_of_another_layout_is_left_alone() {
    for (layout, said) in [
        (None, "layout none (layout 1, before the first release)"),
        (Some("1"), "layout 1"),
        (
            Some("3"),
            "install an operator of a release that knows layout 3",
        ),
    ] {
        let (server, context, mut cluster) = running().await;
        let mut object = server.object(DEPLOYMENT).unwrap();
        let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("opensecureconf.io/layout");
        if let Some(layout) = layout {
            annotations.insert("opensecureconf.io/layout".to_owned(), json!(layout));
        }
        server.put(DEPLOYMENT, object.clone());
        cluster.spec.image = Some("node:2".to_owned());

        reconcile(&server, &mut cluster, &context).await;

        assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
        assert_eq!(server.object(DEPLOYMENT), Some(object));
        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "UnsupportedLayout");
        let told = message(&server, "Stalled");
        assert!(
            told.starts_with("Deployment demo has layout") && told.contains(said),
            "{told}"
        );
        assert!(!told.contains("demo-0"), "there is no such pod: {told}");
        assert_eq!(condition(&server, "Available")["status"], "True");
    }
}

#[tokio::test]
async fn where_nothing_changes_nothing_is_written() {
    let (server, context, mut cluster) = running().await;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.writes(), Vec::<String>::new());
    let ready = condition(&server, "Ready");
    assert_eq!(
        (ready["status"].as_str(), ready["reason"].as_str()),
        (Some("True"), Some("AllNodesReady")),
        "{ready}"
    );
    // The digits at the end of pod names do not matter.
    let status = server.object(STATUS).unwrap()["status"].clone();
    assert_eq!(status["nodesReady"], "3/3");
    for type_ in ["Replicated", "RebuildBlocked", "Stalled", "Reconciling"] {
        assert!(!has_condition(&server, type_), "{type_}");
    }
}

#[tokio::test]
async fn an_unchanged_cluster_costs_the_api_server_nothing() {
    let (server, context, mut cluster) = running().await;
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    server.requests();
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }
    assert_eq!(server.requests(), Vec::<String>::new());
    assert_eq!(condition(&server, "Ready")["reason"], "AllNodesReady");

    put_secret(&server, "an0ther");
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        server.requests(),
        Vec::<String>::new(),
        "no watch has told of it yet"
    );
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.writes().contains(&format!("PATCH {DEPLOYMENT}")));

    // The status follows the watch of pods without a request.
    serves(&server);
    show(&server, &context);
    for _ in 0..2 {
        reconcile(&server, &mut cluster, &context).await;
    }
    server.requests();
    put_pod(&server, "demo-7f9c-zzzzz", "False");
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.requests(), [format!("PATCH {STATUS}")]);
}

#[tokio::test]
async fn an_address_that_is_missing_or_unusable_is_waited_for_with_words() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(SHARED);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        condition(&server, "Stalled")["reason"],
        "DatabaseSecretMissing"
    );
    assert!(message(&server, "Stalled").contains("Secret pg-app does not exist"));
    assert!(server.object(DEPLOYMENT).is_none());

    let over_tls = base64("postgresql://app:s3cret@pg-rw.team:5432/app");
    server.put(
        &format!("{CORE}/secrets/pg-app"),
        json!({ "metadata": { "name": "pg-app" }, "data": { "uri": over_tls } }),
    );
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        condition(&server, "Stalled")["reason"],
        "DatabaseSecretUnusable"
    );
    assert!(message(&server, "Stalled").contains("database.caSecretRef"));

    put_secret(&server, "s3cret");
    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled"));
    assert!(server.object(DEPLOYMENT).is_some());
}

#[tokio::test]
async fn another_password_replaces_the_pods_and_is_shown_nowhere() {
    let (server, context, mut cluster) = running().await;
    let before = template(&server);
    put_secret(&server, "an0ther");

    reconcile(&server, &mut cluster, &context).await;

    let mut after = template(&server);
    let fingerprint = after["metadata"]["annotations"][DATABASE].clone();
    assert!(fingerprint.is_string());
    assert_ne!(fingerprint, before["metadata"]["annotations"][DATABASE]);
    after["metadata"]["annotations"][DATABASE] =
        before["metadata"]["annotations"][DATABASE].clone();
    assert_eq!(after, before, "nothing else changes");
    let secret = format!("{CORE}/secrets/");
    for (path, object) in server.objects() {
        let text = object.to_string();
        let is_secret = path.starts_with(&secret);
        assert!(is_secret || !text.contains("an0ther"), "{path}: {text}");
    }
}

#[tokio::test]
async fn what_a_new_operator_would_change_waits_for_the_policy() {
    let (server, _, mut cluster) = running().await;
    let before = template(&server);
    cluster.spec.upgrade.policy = UpgradePolicy::Manual;
    let newer = server.context_with("opensecureconf-node:newer");

    reconcile(&server, &mut cluster, &newer).await;

    assert_eq!(template(&server), before);
    let pending = server.object(STATUS).unwrap()["status"]["pendingRollout"].clone();
    assert_eq!(pending["reason"], "Manual", "{pending}");
    let changes = pending["changes"].to_string();
    assert!(changes.contains("opensecureconf-node:newer"), "{changes}");
    assert_eq!(pending["pods"].as_array().unwrap().len(), 3);

    cluster.spec.image = Some("mine:2".to_owned());
    cluster.metadata.generation = Some(2);
    reconcile(&server, &mut cluster, &newer).await;
    let pod = template(&server)["spec"].clone();
    assert_eq!(
        pod["containers"][0]["image"], "mine:2",
        "a user asked for it"
    );
    assert_eq!(pod["initContainers"][0]["image"], "mine:2");
}

#[tokio::test]
async fn an_environment_that_is_set_by_hand_is_taken_out_of_the_pod_template_again() {
    let (server, context, mut cluster) = running().await;
    let before = template(&server);
    let node = "k:{\"name\":\"node\"}";
    let foo = json!({ "k:{\"name\":\"FOO\"}": { ".": {}, "f:name": {}, "f:value": {} } });
    let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": { node: { "f:env": foo } } } } } });
    change(&server, DEPLOYMENT, "kubectl-set", &fields, |deployment| {
        let env = &mut deployment["spec"]["template"]["spec"]["containers"][0]["env"];
        let foo = json!({ "name": "FOO", "value": "bar" });
        env.as_array_mut().unwrap().push(foo);
    });

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(template(&server), before);
    let words = "corrected Deployment demo: kubectl-set had changed spec.template.spec.containers[node].env[FOO]";
    let notes = server.notes();
    assert!(notes.iter().any(|note| note.contains(words)), "{notes:?}");
}

#[tokio::test]
async fn a_new_operator_that_finds_no_record_restarts_nothing() {
    let (server, _, mut cluster) = running().await;
    let before = template(&server);
    server.remove(&format!("{CORE}/configmaps/demo-template"));
    cluster.spec.upgrade.policy = UpgradePolicy::Manual;
    let newer = server.context_with("opensecureconf-node:newer");
    reconcile(&server, &mut cluster, &newer).await;
    assert_eq!(template(&server), before);
}

#[tokio::test]
async fn nodes_sleep_and_wake_and_nothing_has_to_be_proved_for_it() {
    let (server, context, mut cluster) = running().await;
    cluster.spec.hibernate = true;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(DEPLOYMENT).unwrap()["spec"]["replicas"], 0);
    assert_eq!(condition(&server, "Ready")["reason"], "Hibernating");
    for name in ["demo-7f9c-24567", "demo-7f9c-xk2lp", "demo-7f9c-zzzzz"] {
        server.remove(&format!("{CORE}/pods/{name}"));
    }
    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("True"), &json!("Hibernated"))
    );
    assert_eq!(
        condition(&server, "DatabaseReachable")["reason"],
        "Hibernated"
    );
    cluster.spec.hibernate = false;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(DEPLOYMENT).unwrap()["spec"]["replicas"], 3);
}

#[tokio::test]
async fn no_second_salt_is_made_where_nodes_have_run() {
    for without_deployment in [false, true] {
        let (server, context, mut cluster) = running().await;
        let salt = format!("{CORE}/secrets/demo-salt");
        let before = server.object(&salt).unwrap();
        server.remove(&salt);
        if without_deployment {
            server.remove(DEPLOYMENT);
        }

        reconcile(&server, &mut cluster, &context).await;

        assert!(server.object(&salt).is_none());
        assert_eq!(condition(&server, "Stalled")["reason"], "SaltMissing");
        let told = message(&server, "Stalled");
        assert!(
            told.contains("kubectl create secret generic demo-salt -n team"),
            "{told}"
        );

        server.put(&salt, before);
        reconcile(&server, &mut cluster, &context).await;
        assert!(!has_condition(&server, "Stalled"));
        assert!(server.object(DEPLOYMENT).is_some());
    }
}

#[tokio::test]
async fn changes_of_a_paused_resource_wait() {
    let (server, context, mut cluster) = running().await;
    cluster.spec.paused = true;
    cluster.spec.replicas = 5;
    cluster.metadata.generation = Some(2);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(DEPLOYMENT).unwrap()["spec"]["replicas"], 3);
    let told = message(&server, "Paused");
    assert!(told.contains("Deployment demo (spec.replicas)"), "{told}");
}

#[tokio::test]
async fn what_belongs_to_another_owner_is_left_alone() {
    let (server, context) = ApiServer::start();
    put_secret(&server, "s3cret");
    let other = json!({ "metadata": { "name": "demo", "uid": "theirs" }, "spec": {} });
    server.put(DEPLOYMENT, other.clone());
    let mut cluster = resource(SHARED);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(DEPLOYMENT), Some(other));
    assert_eq!(condition(&server, "Stalled")["reason"], "NameTaken");

    let (server, context) = ApiServer::start();
    put_secret(&server, "s3cret");
    let theirs = json!({ "metadata": { "name": "demo-database" }, "data": {} });
    let path = format!("{CORE}/secrets/demo-database");
    server.put(&path, theirs.clone());
    reconcile(&server, &mut resource(SHARED), &context).await;
    assert_eq!(server.object(&path), Some(theirs));
    assert!(message(&server, "Stalled").contains("Secret demo-database"));
}

#[tokio::test]
async fn nodes_of_another_mode_are_not_run_beside_these() {
    let (server, context) = ApiServer::start();
    put_secret(&server, "s3cret");
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    let before = server.object(STATEFUL_SET);
    reconcile(&server, &mut resource(SHARED), &context).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "ModeChanged");
    assert!(server.object(DEPLOYMENT).is_none());
    assert_eq!(server.object(STATEFUL_SET), before);
}

#[tokio::test]
async fn nodes_with_volumes_are_not_run_beside_those_that_share_a_database() {
    let (server, context, _) = running().await;
    let before = server.object(DEPLOYMENT);
    reconcile(&server, &mut resource(ONE_NODE), &context).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "ModeChanged");
    let told = message(&server, "Stalled");
    assert!(told.contains("kubectl delete deployment demo"), "{told}");
    assert!(server.object(STATEFUL_SET).is_none());
    assert_eq!(server.object(DEPLOYMENT), before);
}

#[tokio::test]
async fn a_secret_of_another_cluster_is_no_address() {
    let (server, context) = ApiServer::start();
    server.put(
        &format!("{CORE}/secrets/other-api-key"),
        json!({ "metadata": { "name": "other-api-key", "labels": {
            "app.kubernetes.io/managed-by": "opensecureconf-operator", "app.kubernetes.io/instance": "other",
        } }, "data": { "uri": base64("postgres://a@b/c?sslmode=disable") } }),
    );
    let mut cluster = resource(&SHARED.replace("pg-app", "other-api-key"));
    reconcile(&server, &mut cluster, &context).await;
    let told = message(&server, "Stalled");
    assert!(
        told.contains("spec.database.secretRef") && told.contains("cluster other"),
        "{told}"
    );
    assert!(server.object(DEPLOYMENT).is_none());
}

#[tokio::test]
async fn without_the_right_to_run_them_only_these_clusters_stand_still() {
    for verb in ["get", "patch"] {
        let (server, context) = ApiServer::start();
        put_secret(&server, "s3cret");
        server.deny(verb, "deployments");
        let cluster = resource(SHARED);
        reconcile_cluster(&cluster, &context).await.unwrap();
        assert_eq!(
            condition(&server, "Stalled")["reason"],
            "RightsMissing",
            "{verb}"
        );
        assert!(
            message(&server, "Stalled").contains("deployments"),
            "{verb}"
        );

        let (server, context) = ApiServer::start();
        server.deny(verb, "deployments");
        reconcile(&server, &mut resource(ONE_NODE), &context).await;
        assert!(server.object(STATEFUL_SET).is_some(), "{verb}");
    }
}

#[tokio::test]
async fn what_keeps_pods_from_coming_up_is_told() {
    let (server, context, mut cluster) = running().await;
    let mut deployment = server.object(DEPLOYMENT).unwrap();
    deployment["status"]["updatedReplicas"] = json!(1);
    deployment["status"]["conditions"] = json!([
        { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: few" },
    ]);
    server.put(DEPLOYMENT, deployment.clone());
    put_pod(&server, "demo-7f9c-zzzzz", "False");
    reconcile(&server, &mut cluster, &context).await;
    let told = message(&server, "Ready");
    assert!(
        told.contains("2 of 3 nodes serve") && told.contains("exceeded quota: few"),
        "{told}"
    );
    assert_eq!(condition(&server, "Reconciling")["reason"], "NodesStarting");

    deployment["status"]["conditions"] =
        json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }]);
    server.put(DEPLOYMENT, deployment);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(condition(&server, "Ready")["reason"], "RolloutBlocked");
    assert!(!has_condition(&server, "Reconciling"));
}

#[tokio::test]
async fn tables_that_are_not_made_are_the_cause() {
    let (server, context, mut cluster) = running().await;
    let path = format!("{CORE}/pods/demo-7f9c-zzzzz");
    let mut pod = server.object(&path).unwrap();
    pod["status"] = json!({ "initContainerStatuses": [{
        "name": "database-migrate", "image": "", "imageID": "", "ready": false, "restartCount": 3,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 2, "message": "osc-node: the database is the store of cluster 'other'" } },
    }] });
    server.put(&path, pod.clone());
    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert_eq!(ready["reason"], "MigrationFailed", "{ready}");
    let told = message(&server, "DatabaseReachable");
    assert!(told.contains("the store of cluster 'other'"), "{told}");

    // The next try may wait for the database for a while: its predecessor's words are told meanwhile.
    pod["status"]["initContainerStatuses"][0]["state"] = json!({ "running": {} });
    server.put(&path, pod);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(condition(&server, "Ready")["reason"], "MigrationFailed");
    let told = message(&server, "DatabaseReachable");
    assert!(
        told.contains("runs again after: the database is the store of cluster 'other'"),
        "{told}"
    );
}

#[tokio::test]
async fn the_step_before_the_node_waits_for_a_database_that_is_away() {
    let (server, _context, _cluster) = running().await;
    let deployment = server.object(DEPLOYMENT).unwrap();
    let step = &deployment["spec"]["template"]["spec"]["initContainers"][0];
    assert_eq!(
        step["args"],
        json!(["database", "migrate", "--wait", "60"]),
        "{step}"
    );
}
