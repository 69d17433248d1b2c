//! States that stop a cluster until a user acts: what its status reports then, and what the operator leaves alone.

use http::{Method, StatusCode};
use k8s_openapi::ByteString;
use kube::core::error_boundary::InvalidObject;
use opensecureconf_contract::Salt;
use opensecureconf_operator::{
    cluster::{
        context::Context,
        reconcile::{reconcile_cluster, reconcile_malformed},
        resource::OpenSecureConfCluster,
    },
    pki::{Authority, Certificate, Leaf, StoredPki},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    node_contract::{API_KEY, CLUSTER_KEY, RunningNode},
    reconcile::{CORE, SERVICE_MONITOR, STATEFUL_SET, STATUS, condition, has_condition, reconcile},
    resource,
};

/// A cluster that was reconciled once, and whose pod serves.
async fn running() -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    server.put(
        &format!("{CORE}/pods/demo-0"),
        json!({
            "metadata": { "name": "demo-0" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        }),
    );
    server.writes();
    (server, context, cluster)
}

/// The certificates that the Secrets hold.
pub(crate) fn stored_pki(server: &ApiServer) -> StoredPki {
    let entry = |secret: &str, entry: &str| {
        let secret = server.object(&format!("{CORE}/secrets/{secret}")).unwrap();
        let data: ByteString = serde_json::from_value(secret["data"][entry].clone()).unwrap();
        String::from_utf8(data.0).unwrap()
    };
    let (ca, tls) = ("demo-node-ca", "demo-node-tls");
    StoredPki {
        authority: Authority::read(entry(ca, "tls.crt").as_bytes(), &entry(ca, "tls.key")),
        previous: None,
        leaf: Leaf::read(entry(tls, "tls.crt").as_bytes(), &entry(tls, "tls.key")),
        bundle: Certificate::read_all(entry(tls, "ca.crt").as_bytes()),
    }
}

pub(crate) fn message(condition: &Value) -> &str {
    condition["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_lost_salt_is_never_replaced_while_volumes_exist() {
    let (server, context, mut cluster) = running().await;
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({ "metadata": { "name": "data-demo-0" } }),
    );
    server.remove(&format!("{CORE}/secrets/demo-salt"));
    cluster.spec.image = Some("node:2".to_owned());

    reconcile(&server, &mut cluster, &context).await;

    let writes = server.writes();
    assert!(
        !writes.iter().any(|write| write.contains("/secrets")),
        "{writes:?}"
    );
    // Nodes that start bring theirs.
    assert!(writes.contains(&format!("PATCH {STATEFUL_SET}")));
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["status"], "True");
    assert_eq!(stalled["reason"], "SaltMissing");
    let restoring = "kubectl create secret generic demo-salt -n team --from-file=salt=salt";
    let restoring = message(&stalled).find(restoring).unwrap();
    let deletion = message(&stalled)
        .find("then delete the OpenSecureConfCluster")
        .unwrap();
    assert!(
        message(&stalled)[restoring..deletion].contains(". "),
        "what loses data has a sentence of its own: {stalled}"
    );
    // The cluster's node serves all the same, and the status reports it.
    assert_eq!(condition(&server, "Available")["status"], "True");
    let status = server.object(STATUS).unwrap();
    assert_eq!(status["status"]["nodesReady"], "1/1");
}

#[tokio::test]
async fn a_lost_salt_is_put_back_from_a_member_and_nobody_else() {
    let (server, context, mut cluster) = running().await;
    let set_key = |secret: &str, entry: &str, key: &str| {
        let path = format!("{CORE}/secrets/{secret}");
        let mut secret = server.object(&path).unwrap();
        secret["data"][entry] = json!(ByteString(key.into()));
        server.put(&path, secret);
    };
    set_key("demo-api-key", "api-key", API_KEY);
    set_key("demo-cluster-key", "cluster-key", CLUSTER_KEY);
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({ "metadata": { "name": "data-demo-0" } }),
    );
    // All pods have the same port, so each process uses a loopback address of its own.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.77.{high}.{low}");
    let pki = stored_pki(&server);
    let node = RunningNode::pod(&address, &pki);
    let pod = |owner: &str| {
        json!({
            "metadata": { "name": "demo-0", "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo", "uid": owner },
            ] },
            "status": { "podIP": address },
        })
    };
    let pod_path = format!("{CORE}/pods/demo-0");
    let secret = format!("{CORE}/secrets/demo-salt");
    let made = server.object(&secret).unwrap();
    server.remove(&secret);

    server.put(&pod_path, pod(&format!("uid of {STATEFUL_SET}")));
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(&secret), None, "it belongs to no cluster");
    assert_eq!(condition(&server, "Stalled")["reason"], "SaltMissing");

    let incarnation = node.bootstrap().await;
    server.put(&pod_path, pod("somebody else's"));
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.object(&secret), None, "the pod is not the cluster's");

    server.put(&pod_path, pod(&format!("uid of {STATEFUL_SET}")));
    reconcile(&server, &mut cluster, &context).await;
    let restored = server.object(&secret).unwrap();
    let data: ByteString = serde_json::from_value(restored["data"]["salt"].clone()).unwrap();
    assert_eq!(data.0, Salt::new([7; 64]).bytes());
    assert_eq!(restored["immutable"], true);
    assert_eq!(restored["metadata"]["labels"], made["metadata"]["labels"]);
    let marked = &restored["metadata"]["annotations"]["opensecureconf.io/bootstrap-incarnation"];
    assert_eq!(*marked, incarnation);
    let told = "restored Secret demo-salt with the salt of demo-0";
    let notes = server.notes();
    assert!(notes.iter().any(|note| note == told), "{notes:?}");

    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled"));
    node.stop().await;
}

#[tokio::test]
async fn somebody_elses_object_is_left_alone() {
    let (server, context) = ApiServer::start();
    let theirs = json!({ "metadata": { "name": "demo", "labels": { "app": "another" } } });
    server.put(STATEFUL_SET, theirs.clone());

    reconcile(&server, &mut resource(ONE_NODE), &context).await;

    assert_eq!(
        server.writes(),
        [format!("PATCH {STATUS}")],
        "only the status"
    );
    assert_eq!(server.object(STATEFUL_SET), Some(theirs));
    assert_eq!(condition(&server, "Stalled")["reason"], "NameTaken");
}

#[tokio::test]
async fn no_child_of_somebody_elses_is_applied_over() {
    for path in [
        SERVICE_MONITOR.to_owned(),
        format!("{CORE}/configmaps/demo-ca"),
    ] {
        let (server, context) = ApiServer::start();
        let theirs = json!({ "metadata": { "name": path.rsplit('/').next(), "labels": { "app": "another" } } });
        server.put(&path, theirs.clone());

        reconcile(&server, &mut resource(ONE_NODE), &context).await;

        assert_eq!(server.writes(), [format!("PATCH {STATUS}")], "{path}");
        assert_eq!(server.object(&path), Some(theirs));
        assert_eq!(condition(&server, "Stalled")["reason"], "NameTaken");
    }
}

#[tokio::test]
async fn a_key_of_somebody_elses_is_neither_used_nor_changed() {
    let (server, context) = ApiServer::start();
    let secret = format!("{CORE}/secrets/demo-api-key");
    let theirs = json!({ "metadata": { "name": "demo-api-key" }, "data": { "api-key": "aw==" } });
    server.put(&secret, theirs.clone());
    let mut cluster = resource(ONE_NODE);

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    assert_eq!(server.object(&secret), Some(theirs.clone()));
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "NameTaken");
    assert!(
        message(&stalled).contains("kubectl label secret demo-api-key"),
        "{stalled}"
    );

    // The remedy in the message works.
    let mut adopted = theirs;
    adopted["metadata"]["labels"] = json!({
        "app.kubernetes.io/managed-by": "opensecureconf-operator",
        "app.kubernetes.io/instance": "demo",
    });
    server.put(&secret, adopted.clone());
    reconcile(&server, &mut cluster, &context).await;
    let key = server.object(&secret).unwrap();
    assert_eq!(key["data"], adopted["data"]);
    assert!(server.object(STATEFUL_SET).is_some());
    assert!(!has_condition(&server, "Stalled"));
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::UNPROCESSABLE_ENTITY,
    ] {
        let (server, context, mut cluster) = running().await;
        cluster.spec.image = Some("node:2".to_owned());
        server.refuse(Method::PATCH, STATEFUL_SET, status);

        reconcile(&server, &mut cluster, &context).await;

        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "Rejected", "{status}");
        let words = "the API server refused to apply StatefulSet demo: scripted. Correct the field";
        assert!(message(&stalled).starts_with(words), "{stalled}");
        assert_eq!(condition(&server, "Ready")["status"], "False");
        assert_eq!(condition(&server, "Available")["status"], "True");

        reconcile(&server, &mut cluster, &context).await;
        assert!(!has_condition(&server, "Stalled"), "{status}");
    }
}

#[tokio::test]
async fn an_apply_that_will_never_be_taken_is_told_like_a_refusal() {
    let (server, context, mut cluster) = running().await;
    cluster.spec.image = Some("node:2".to_owned());
    let message = "failed to create typed patch object (team/demo; apps/v1, Kind=StatefulSet): errors: duplicate entries for key";
    server.refuse_with(
        Method::PATCH,
        STATEFUL_SET,
        StatusCode::INTERNAL_SERVER_ERROR,
        message,
    );

    reconcile(&server, &mut cluster, &context).await;

    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "Rejected");
    assert!(self::message(&stalled).contains(message), "{stalled}");
    assert!(
        server.notes().iter().any(|note| note.contains(message)),
        "{:?}",
        server.notes()
    );
}

#[tokio::test]
async fn an_object_of_another_layout_is_left_alone() {
    for (path, layout, said) in [
        (STATEFUL_SET.to_owned(), None, "osc-node backup"),
        (
            STATEFUL_SET.to_owned(),
            Some("3"),
            "install an operator of a release that knows layout 3",
        ),
        (
            format!("{CORE}/secrets/demo-salt"),
            Some("1"),
            "osc-node backup",
        ),
    ] {
        let (server, context, mut cluster) = running().await;
        let mut object = server.object(&path).unwrap();
        let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("opensecureconf.io/layout");
        if let Some(layout) = layout {
            annotations.insert("opensecureconf.io/layout".to_owned(), json!(layout));
        }
        server.put(&path, object.clone());

        reconcile(&server, &mut cluster, &context).await;

        assert_eq!(server.writes(), [format!("PATCH {STATUS}")], "{path}");
        assert_eq!(server.object(&path), Some(object));
        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "UnsupportedLayout");
        let text = message(&stalled);
        assert!(
            text.contains(&format!("layout {}", layout.unwrap_or("none")))
                && text.contains("layout 2")
                && text.contains(said),
            "{text}"
        );
        assert_eq!(condition(&server, "Available")["status"], "True");
    }
}

#[tokio::test]
async fn a_pod_template_that_names_another_clusters_secret_is_refused() {
    let (server, context, mut cluster) = running().await;
    let volume = |secret: &str| json!({ "name": "x", "secret": { "secretName": secret } });
    server.put(
        "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/other",
        json!({ "metadata": { "name": "other" } }),
    );
    cluster.spec.pod_template.volumes = vec![volume("other-cluster-key")];

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "InvalidPodTemplate");
    assert!(
        message(&stalled).contains("'other-cluster-key' is part of cluster other"),
        "{stalled}"
    );

    cluster.spec.pod_template.volumes = vec![volume("mine")];
    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled"));
}

#[tokio::test]
async fn a_pod_template_names_no_claim_that_a_deleted_cluster_left() {
    let (server, context, mut cluster) = running().await;
    let name =
        |claim: &str| json!({ "name": "x", "persistentVolumeClaim": { "claimName": claim } });
    let labels = json!({
        "app.kubernetes.io/name": "opensecureconf",
        "app.kubernetes.io/instance": "gone",
        "app.kubernetes.io/component": "node",
    });
    for (claim, labels) in [("data-gone-0", labels), ("data-postgres-0", Value::Null)] {
        server.put(
            &format!("{CORE}/persistentvolumeclaims/{claim}"),
            json!({ "metadata": { "name": claim, "labels": labels }, "status": { "phase": "Bound" } }),
        );
    }
    cluster.spec.pod_template.volumes = vec![name("data-gone-0")];

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "InvalidPodTemplate");
    assert!(
        message(&stalled).contains("'data-gone-0' is part of cluster gone"),
        "{stalled}"
    );

    cluster.spec.pod_template.volumes = vec![name("data-postgres-0")];
    reconcile(&server, &mut cluster, &context).await;
    assert!(!has_condition(&server, "Stalled"));
}

#[tokio::test]
async fn a_refused_service_monitor_keeps_no_node_from_running() {
    let (server, context) = ApiServer::start();
    server.refuse(
        Method::PATCH,
        SERVICE_MONITOR,
        StatusCode::UNPROCESSABLE_ENTITY,
    );

    reconcile(&server, &mut resource(ONE_NODE), &context).await;

    assert!(server.object(STATEFUL_SET).is_some());
    assert_eq!(condition(&server, "Stalled")["reason"], "Rejected");
    assert_eq!(
        condition(&server, "MonitoringReady")["reason"],
        "ServiceMonitorMissing"
    );
}

#[tokio::test]
async fn a_pod_template_that_is_none_does_not_hide_the_nodes() {
    let (server, context, mut cluster) = running().await;
    cluster.spec.pod_template.env = vec![json!({ "name": "OSC_API_KEY", "value": "x" })];

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    assert_eq!(
        condition(&server, "Stalled")["reason"],
        "InvalidPodTemplate"
    );
    assert_eq!(condition(&server, "Available")["status"], "True");
}

#[tokio::test]
async fn a_resource_that_does_not_parse_is_told_so_once() {
    let (server, context, cluster) = running().await;
    let path = STATUS.strip_suffix("/status").unwrap();
    let invalid = InvalidObject {
        error: "spec.replicas: expected i32".to_owned(),
        metadata: cluster.metadata.clone(),
    };
    server.put(
        path,
        json!({ "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster",
                "metadata": { "name": "demo" }, "spec": { "replicas": "many" } }),
    );

    reconcile_malformed(&invalid, &context).await.unwrap();

    assert_eq!(server.writes(), [format!("PATCH {STATUS}")]);
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "Malformed");
    assert!(
        message(&stalled).contains("spec.replicas: expected i32"),
        "{stalled}"
    );

    let mut told = server.object(path).unwrap();
    told["status"] = server.object(STATUS).unwrap()["status"].clone();
    server.put(path, told);
    reconcile_malformed(&invalid, &context).await.unwrap();
    assert_eq!(
        server.writes(),
        Vec::<String>::new(),
        "nothing new to be told"
    );
}

#[tokio::test]
async fn a_claim_that_finds_no_class_is_told_of_until_it_is_bound() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    let claim = |phase: &str| {
        json!({
            "metadata": { "name": "data-demo-0" },
            "spec": { "storageClassName": "fast" },
            "status": { "phase": phase },
        })
    };
    let path = format!("{CORE}/persistentvolumeclaims/data-demo-0");
    reconcile(&server, &mut cluster, &context).await;
    server.put(&path, claim("Pending"));
    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert!(
        message(&ready)
            .contains("volume data-demo-0 names StorageClass 'fast', which does not exist"),
        "{ready}"
    );

    server.put(&path, claim("Bound"));
    reconcile(&server, &mut cluster, &context).await;
    let ready = condition(&server, "Ready");
    assert!(!message(&ready).contains("StorageClass"), "{ready}");
}

#[tokio::test]
async fn a_cluster_on_volumes_without_a_class_is_looked_at_while_it_waits_for_one() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.storage.storage_class_name = Some(String::new());
    reconcile(&server, &mut cluster, &context).await;
    let template = server.object(STATEFUL_SET).unwrap();
    let template = &template["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(template["storageClassName"], "");
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({
            "metadata": { "name": "data-demo-0" },
            "spec": { "storageClassName": "" },
            "status": { "phase": "Pending" },
        }),
    );

    reconcile(&server, &mut cluster, &context).await;

    let ready = condition(&server, "Ready");
    assert!(
        message(&ready).contains("waits for a PersistentVolume without a class"),
        "{ready}"
    );
}

#[tokio::test]
async fn a_reference_that_names_nothing_is_told_of_and_reaches_no_request() {
    for name in ["", "x/../y", "x?watch=true&z="] {
        let (server, context) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        cluster.spec.api_key.secret_ref =
            Some(serde_json::from_value(json!({ "name": name })).unwrap());

        reconcile(&server, &mut cluster, &context).await;

        let stalled = condition(&server, "Stalled");
        assert_eq!(stalled["reason"], "InvalidSpec", "{name}");
        assert!(
            message(&stalled).contains("spec.apiKey.secretRef.name"),
            "{stalled}"
        );
        assert_eq!(cluster.status.unwrap().observed_generation, Some(1));
    }
}

#[tokio::test]
async fn a_reconcile_that_fails_three_times_in_a_row_is_told_of() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    for failures in 1..=3 {
        server.refuse_with(
            Method::GET,
            &format!("{CORE}/secrets/demo-salt"),
            StatusCode::INTERNAL_SERVER_ERROR,
            "the disk is full",
        );
        let failed = reconcile_cluster(&cluster, &context).await;
        assert!(failed.is_err());
        assert_eq!(server.object(STATUS).is_some(), failures == 3, "{failures}");
    }
    let ready = condition(&server, "Ready");
    assert_eq!(ready["reason"], "ReconcileFailed");
    assert_eq!(ready["observedGeneration"], 1);
    assert!(message(&ready).contains("the disk is full"), "{ready}");

    reconcile(&server, &mut cluster, &context).await;

    assert_ne!(condition(&server, "Ready")["reason"], "ReconcileFailed");
}
