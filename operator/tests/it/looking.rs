//! Reconciles without changes: the operator requests nothing from the API server, and decides from its own watches.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{Resource, core::PartialObjectMeta, runtime::watcher};
use opensecureconf_operator::{
    certificate::Certificate,
    cluster::{context::Context, resource::OpenSecureConfCluster, watched::Watched},
    service_monitor::ServiceMonitor,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, DISRUPTION_BUDGET, STATEFUL_SET, STATUS, condition, reconcile},
    resource, volumes,
};

type Event<K> = Result<watcher::Event<K>, watcher::Error>;

/// Passes the API server's present objects to the watches.
pub(crate) fn show(server: &ApiServer, context: &Context) {
    fn metadata<K>(server: &ApiServer, watched: &Watched)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let listed: Vec<PartialObjectMeta<K>> = list::<K, _>(server);
        tell(listed, |event| watched.note(event));
    }
    let watched = &context.watch(None);
    metadata::<Service>(server, watched);
    metadata::<ConfigMap>(server, watched);
    metadata::<ServiceAccount>(server, watched);
    metadata::<NetworkPolicy>(server, watched);
    metadata::<PodDisruptionBudget>(server, watched);
    metadata::<ServiceMonitor>(server, watched);
    metadata::<Certificate>(server, watched);
    metadata::<Secret>(server, watched);
    metadata::<PersistentVolumeClaim>(server, watched);
    tell(list::<StatefulSet, _>(server), |event| {
        watched.note_stateful_set(event);
    });
    tell(list::<Deployment, _>(server), |event| {
        watched.note_deployment(event);
    });
    tell(list::<Pod, _>(server), |event| watched.note_pod(event));
    tell(clusters(server), |event| watched.note_cluster(event));
}

/// The clusters that have a status.
fn clusters(server: &ApiServer) -> Vec<OpenSecureConfCluster> {
    let paths = server.objects().into_keys();
    let names = paths.filter_map(|path| {
        let resource = path.strip_suffix("/status")?;
        let (_, name) = resource.split_once("/namespaces/team/opensecureconfclusters/")?;
        Some(name.to_owned())
    });
    let named = names.map(|name| {
        let mut cluster = resource(ONE_NODE);
        cluster.metadata.name = Some(name);
        cluster
    });
    named.collect()
}

/// The objects of one kind, each with a version that changes with its content.
fn list<K, T>(server: &ApiServer) -> Vec<T>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    T: DeserializeOwned,
{
    let kind = format!("/namespaces/team/{}/", K::plural(&()));
    let objects = server.objects().into_iter();
    let ours = objects.filter(|(path, _)| path.contains(&kind));
    ours.map(|(_, mut object)| {
        let mut hasher = DefaultHasher::new();
        object.hash(&mut hasher);
        object["metadata"]["namespace"] = json!("team");
        object["metadata"]["resourceVersion"] = json!(hasher.finish().to_string());
        serde_json::from_value(object).unwrap()
    })
    .collect()
}

fn tell<K>(objects: Vec<K>, note: impl Fn(&Event<K>)) {
    note(&Ok(watcher::Event::Init));
    for object in objects {
        note(&Ok(watcher::Event::InitApply(object)));
    }
    note(&Ok(watcher::Event::InitDone));
}

/// A cluster that was read as a whole once there was nothing to do, and whose pod exists.
async fn settled(yaml: &str) -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(yaml);
    let pod = json!({ "metadata": { "name": "demo-0", "labels": { "app.kubernetes.io/instance": "demo" } } });
    server.put(&format!("{CORE}/pods/demo-0"), pod);
    reconcile(&server, &mut cluster, &context).await;
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    server.requests();
    (server, context, cluster)
}

const NOTHING: Vec<String> = Vec::new();

#[tokio::test]
async fn an_unchanged_cluster_costs_the_api_server_nothing() {
    let (server, context, mut cluster) = settled(ONE_NODE).await;
    for _ in 0..5 {
        reconcile(&server, &mut cluster, &context).await;
    }
    assert_eq!(server.requests(), NOTHING);
}

#[tokio::test]
async fn volumes_that_grow_are_waited_for_without_a_request_and_taken_up_at_once() {
    let (server, context, mut cluster) = volumes::three_nodes(|_| {}).await;
    cluster.spec.storage.size = "2Gi".to_owned();
    for ordinal in 0..3 {
        let pod = format!("{CORE}/pods/demo-{ordinal}");
        volumes::change(&server, &pod, |pod| {
            pod["metadata"]["labels"] = json!({ "app.kubernetes.io/instance": "demo" });
        });
    }
    for _ in 0..3 {
        show(&server, &context);
        reconcile(&server, &mut cluster, &context).await;
    }
    server.requests();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.requests(), NOTHING);
    assert_eq!(
        condition(&server, "Reconciling")["reason"],
        "VolumesGrowing"
    );

    for ordinal in 0..3 {
        volumes::change(&server, &volumes::claim(ordinal), |claim| {
            claim["status"]["capacity"]["storage"] = json!("2Gi");
        });
    }
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert!(
        server
            .requests()
            .contains(&format!("DELETE {STATEFUL_SET}"))
    );
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.requests().contains(&format!("PATCH {STATEFUL_SET}")));
}

#[tokio::test]
async fn a_paused_cluster_costs_the_api_server_nothing_and_says_what_waits() {
    let (server, context, mut cluster) = settled(ONE_NODE).await;
    cluster.spec.paused = true;
    cluster.spec.replicas = 2;
    cluster.metadata.generation = Some(2);
    for _ in 0..2 {
        reconcile(&server, &mut cluster, &context).await;
    }
    server.requests();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.requests(), NOTHING);
    let stalled = condition(&server, "Stalled");
    assert_eq!(stalled["reason"], "Paused");
    assert!(
        stalled["message"]
            .as_str()
            .unwrap()
            .contains("spec.replicas"),
        "{stalled}"
    );
}

#[tokio::test]
async fn what_pods_do_is_told_from_the_watch_alone() {
    let (server, context, mut cluster) = settled(ONE_NODE).await;
    let refused = json!({ "metadata": { "name": "demo-0", "labels": { "app.kubernetes.io/instance": "demo" } },
        "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room" }] } });
    server.put(&format!("{CORE}/pods/demo-0"), refused);
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.requests(), [format!("PATCH {STATUS}")]);
    let ready = condition(&server, "Ready");
    assert_eq!(
        ready["message"],
        "0 of 1 nodes serve; pod demo-0: Unschedulable: no room"
    );
}

type Change = fn(&mut Value);

#[tokio::test]
async fn whatever_changes_of_a_cluster_is_seen_and_corrected() {
    let changes: [(&str, Change); 4] = [
        (STATEFUL_SET, |set| set["spec"]["replicas"] = json!(0)),
        (DISRUPTION_BUDGET, |budget| {
            budget["spec"]["maxUnavailable"] = json!(3);
        }),
        ("/api/v1/namespaces/team/services/demo", |service| {
            service["metadata"]["labels"] = json!({});
        }),
        ("/api/v1/namespaces/team/configmaps/demo-nodes", |map| {
            map["data"] = json!({});
        }),
    ];
    for (path, change) in changes {
        let (server, context, mut cluster) = settled(ONE_NODE).await;
        let before = server.object(path).unwrap();
        let mut object = before.clone();
        change(&mut object);
        server.put(path, object);
        reconcile(&server, &mut cluster, &context).await;
        assert_eq!(server.requests(), NOTHING, "no watch has told of it yet");

        show(&server, &context);
        reconcile(&server, &mut cluster, &context).await;
        assert_eq!(server.object(path).unwrap(), before);
        assert!(server.writes().contains(&format!("PATCH {path}")), "{path}");
    }
}

#[tokio::test]
async fn what_a_watch_has_missed_is_never_acted_on() {
    // The watch still shows the earlier state: the StatefulSet is gone, and the salt with it.
    let (server, context, mut cluster) = settled(ONE_NODE).await;
    let salt = format!("{CORE}/secrets/demo-salt");
    server.remove(STATEFUL_SET);
    cluster.metadata.generation = Some(2);
    server.remove(&salt);
    server.put(
        &format!("{CORE}/persistentvolumeclaims/data-demo-0"),
        json!({ "metadata": { "name": "data-demo-0" } }),
    );
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(
        server.object(&salt),
        None,
        "there is a volume, which no watch has shown"
    );
    assert!(server.object(STATEFUL_SET).is_some());
}

#[tokio::test]
async fn a_deleted_child_and_a_lost_secret_are_seen() {
    let (server, context, mut cluster) = settled(ONE_NODE).await;
    let service = format!("{CORE}/services/demo");
    server.remove(&service);
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(&service).is_some());

    let key = format!("{CORE}/secrets/demo-api-key");
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    server.remove(&key);
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(&key).is_some());
}

#[tokio::test]
async fn a_secret_of_the_users_own_is_read_again_when_it_changes() {
    let yaml = format!("{ONE_NODE}  apiKey: {{ secretRef: {{ name: mine, key: key }} }}\n");
    let (server, context, mut cluster) = settled(&yaml).await;
    assert_eq!(condition(&server, "Stalled")["reason"], "ApiKeyMissing");
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(server.requests(), NOTHING);

    server.put(
        &format!("{CORE}/secrets/mine"),
        json!({ "metadata": { "name": "mine" }, "data": { "key": "a2V5a2V5a2V5a2V5a2V5" } }),
    );
    show(&server, &context);
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.object(STATEFUL_SET).is_some());
}

#[tokio::test]
async fn where_a_kind_is_not_watched_everything_is_read() {
    let (server, context, mut cluster) = settled(ONE_NODE).await;
    let forbidden = json!({ "code": 403, "reason": "Forbidden", "message":
        "pods is forbidden: User \"o\" cannot watch resource \"pods\" in API group \"\" at the cluster scope" });
    let refused = watcher::Error::WatchStartFailed(kube::Error::Api(
        serde_json::from_value(forbidden).unwrap(),
    ));
    context.watch(None).note_pod(&Err(refused));
    reconcile(&server, &mut cluster, &context).await;
    assert!(server.requests().len() > 10);
}
