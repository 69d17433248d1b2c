//! How much memory the operator keeps for a cluster that rests: what goes when its state is dropped, counted by the allocator.

use allocation_counter::measure;
use kube::{core::DeserializeGuard, runtime::watcher};
use opensecureconf_operator::cluster::{
    context::Context, reconcile::reconcile_cluster, resource::OpenSecureConfCluster,
};
use serde_json::{Value, json};

use crate::{THREE_NODES, api_server::ApiServer, looking::show, reconcile::CORE, resource};

/// At most so many bytes. A thousand clusters are to have 120 MiB, of which the program takes 30, and the allocator and the driver half
/// as much again as what is counted here.
const MOST: u64 = 44 << 10;

const SETS: &str = "/apis/apps/v1/namespaces/team/statefulsets";
const RESOURCES: &str = "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters";

/// A pod of a StatefulSet as a kubelet and the API server describe it while it serves.
fn pod(set: &Value, ordinal: usize) -> Value {
    let mut pod = set["spec"]["template"].clone();
    let name = format!("{}-{ordinal}", set["metadata"]["name"].as_str().unwrap());
    let metadata = &mut pod["metadata"];
    metadata["name"] = json!(name);
    metadata["generateName"] = json!("demo-");
    metadata["uid"] = json!(format!("5f0c8a51-7f0e-4b0e-8d5e-{name:0>12}"));
    metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    metadata["labels"]["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
    metadata["labels"]["controller-revision-hash"] = json!("demo-5c8d4f7b9");
    metadata["labels"]["statefulset.kubernetes.io/pod-name"] = json!(name);
    metadata["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set["metadata"]["name"],
        "uid": "7d0c8a51-7f0e-4b0e-8d5e-000000000001", "controller": true, "blockOwnerDeletion": true }]);
    let spec = &mut pod["spec"];
    spec["nodeName"] = json!("worker-1.example");
    spec["hostname"] = json!(name);
    spec["subdomain"] = json!("demo-nodes");
    spec["dnsPolicy"] = json!("ClusterFirst");
    spec["restartPolicy"] = json!("Always");
    spec["schedulerName"] = json!("default-scheduler");
    spec["preemptionPolicy"] = json!("PreemptLowerPriority");
    spec["priority"] = json!(0);
    spec["tolerations"] = ["not-ready", "unreachable"].map(|key| {
        json!({ "key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 })
    }).into();
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(|type_| {
        json!({ "type": type_, "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z", "observedGeneration": 1 })
    });
    pod["status"] = json!({
        "phase": "Running", "qosClass": "Burstable", "startTime": "2026-01-01T00:00:01Z", "conditions": conditions,
        "hostIP": "192.0.2.1", "hostIPs": [{ "ip": "192.0.2.1" }], "observedGeneration": 1,
        "containerStatuses": [{ "name": "node", "ready": true, "started": true, "restartCount": 0,
            "image": "registry.example/opensecureconf-node:0.1.0",
            "imageID": format!("registry.example/opensecureconf-node@sha256:{:064}", 7),
            "containerID": format!("containerd://{:064}", ordinal),
            "state": { "running": { "startedAt": "2026-01-01T00:00:04Z" } }, "lastState": {},
            "resources": spec_of(set)["resources"], "volumeMounts": spec_of(set)["volumeMounts"],
            "user": { "linux": { "uid": 65532, "gid": 65532, "supplementalGroups": [65532] } } }],
    });
    pod
}

/// The node's container.
fn spec_of(set: &Value) -> &Value {
    &set["spec"]["template"]["spec"]["containers"][0]
}

fn cluster(number: usize) -> OpenSecureConfCluster {
    let mut cluster = resource(THREE_NODES);
    cluster.metadata.name = Some(format!("c{number}"));
    cluster.metadata.uid = Some(format!("0f4e9b1c-0000-4000-8000-{number:012}"));
    cluster
}

async fn reconcile(server: &ApiServer, cluster: &mut OpenSecureConfCluster, context: &Context) {
    reconcile_cluster(cluster, context).await.unwrap();
    let name = cluster.metadata.name.as_deref().unwrap();
    let told = server.object(&format!("{RESOURCES}/{name}/status"));
    cluster.status = told.map(|told| serde_json::from_value(told["status"].clone()).unwrap());
}

/// An operator with so many clusters that rest.
async fn at_rest(clusters: usize) -> (ApiServer, Context) {
    let (server, context) = ApiServer::start();
    let mut all: Vec<_> = (0..clusters).map(cluster).collect();
    for cluster in &mut all {
        reconcile(&server, cluster, &context).await;
        let name = cluster.metadata.name.as_deref().unwrap();
        let set = server.object(&format!("{SETS}/{name}")).unwrap();
        for ordinal in 0..3 {
            let claim = format!("data-{name}-{ordinal}");
            server.put(
                &format!("{CORE}/persistentvolumeclaims/{claim}"),
                json!({ "metadata": { "name": claim } }),
            );
            server.put(&format!("{CORE}/pods/{name}-{ordinal}"), pod(&set, ordinal));
        }
    }
    for _ in 0..3 {
        show(&server, &context);
        for cluster in &mut all {
            reconcile(&server, cluster, &context).await;
        }
    }
    server.requests();
    for cluster in &mut all {
        reconcile(&server, cluster, &context).await;
    }
    assert_eq!(server.requests(), Vec::<String>::new(), "they rest");
    for cluster in all {
        let event = watcher::Event::Apply(DeserializeGuard(Ok(cluster)));
        context.watch(None).keep_cluster(&Ok(event));
    }
    (server, context)
}

/// The bytes that the operator keeps for so many clusters.
fn kept(clusters: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Kept until the end: what the server has does not count.
    let (_server, context) = runtime.block_on(at_rest(clusters));
    let change = measure(|| drop(context)).bytes_current;
    u64::try_from(-change).unwrap()
}

#[test]
fn a_cluster_that_rests_takes_few_bytes_of_the_operators_memory() {
    let each = (kept(9) - kept(1)) / 8;
    println!("[memory] {each} bytes for a cluster that rests");
    assert!(each <= MOST, "{each} bytes for each cluster");
}
