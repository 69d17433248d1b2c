//! The operator alone replaces pods, one after the other, and only for a change that a user asked for.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use http::{Method, StatusCode};
use opensecureconf_operator::{
    cluster::{
        context::Context, reconcile::reconcile_cluster, resource::OpenSecureConfCluster,
        validate::Installation,
    },
    node::{ClientCertificate, NodeTls},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::{ApiServer, taken_away},
    corrections::change,
    looking::show,
    reconcile::{CORE, STATEFUL_SET, condition, reconcile},
    resource,
    serving::{answered, answered_with},
};

pub(crate) mod budget;
mod by_hand;
mod judged;
mod record;
mod waits;

/// Three nodes that serve, and an operator without work.
struct Story {
    server: ApiServer,
    context: Context,
    cluster: OpenSecureConfCluster,
    /// Pods whose template contains one of these texts never serve.
    bad: Vec<&'static str>,
}

impl Story {
    async fn begin() -> Self {
        Self::begin_with(answered).await
    }

    async fn begin_with(answered: impl Fn(Context) -> Context) -> Self {
        let (server, context) = ApiServer::start();
        let context = answered(context);
        let mut cluster = resource(ONE_NODE);
        cluster.spec.replicas = 3;
        let mut story = Self {
            server,
            context,
            cluster,
            bad: Vec::new(),
        };
        story.turns(3).await;
        assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
        story
    }

    /// The operator, then Kubernetes, then both again.
    async fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.operate().await;
            self.kubernetes();
        }
    }

    async fn operate(&mut self) {
        reconcile(&self.server, &mut self.cluster, &self.context).await;
    }

    /// The work of the StatefulSet controller that replaces no pods, and of kubelets.
    fn kubernetes(&self) {
        let mut set = self.set();
        let template = set["spec"]["template"].clone();
        let revision = revision(&template);
        let is_bad = self
            .bad
            .iter()
            .any(|bad| template.to_string().contains(bad));
        let replicas = set["spec"]["replicas"].as_u64().unwrap();
        let mut updated = 0;
        for ordinal in 0..replicas {
            let path = pod_path(ordinal);
            let pod = self.server.object(&path).unwrap_or_else(|| {
                let pod = pod(ordinal, &revision, !is_bad);
                self.server.put(&path, pod.clone());
                pod
            });
            updated += u64::from(revision_of(&pod) == revision);
        }
        let generation = set["metadata"]["generation"].as_i64().unwrap_or(1);
        set["metadata"]["generation"] = generation.into();
        set["status"] = json!({ "observedGeneration": generation, "replicas": replicas, "updatedReplicas": updated, "updateRevision": revision,
            "currentRevision": "the first one, for ever" });
        self.server.put(STATEFUL_SET, set);
    }

    fn set(&self) -> Value {
        self.server.object(STATEFUL_SET).unwrap()
    }

    fn pod(&self, ordinal: u64) -> Value {
        self.server.object(&pod_path(ordinal)).unwrap()
    }

    /// Changes a pod as kubelets do.
    fn set_pod(&self, ordinal: u64, how: impl Fn(&mut Value)) {
        let mut pod = self.pod(ordinal);
        how(&mut pod);
        self.server.put(&pod_path(ordinal), pod);
    }

    /// Somebody changes the StatefulSet by hand.
    fn by_hand(&self, manager: &str, fields: &Value, how: impl Fn(&mut Value)) {
        change(&self.server, STATEFUL_SET, manager, fields, |set| {
            how(set);
            let generation = set["metadata"]["generation"].as_i64().unwrap();
            set["metadata"]["generation"] = (generation + 1).into();
        });
    }

    /// The ordinals of the pods that were taken away since the last call.
    fn ordinals_deleted(&self) -> Vec<usize> {
        let writes = self.server.writes();
        let prefix = format!("{CORE}/pods/demo-");
        writes
            .iter()
            .filter_map(|write| taken_away(write)?.strip_prefix(&prefix)?.parse().ok())
            .collect()
    }

    fn told(&self, words: &str) -> usize {
        let notes = self.server.notes();
        notes.iter().filter(|note| note.contains(words)).count()
    }

    fn all_current(&self) -> bool {
        let revision = revision(&self.set()["spec"]["template"]);
        (0..3).all(|ordinal| revision_of(&self.pod(ordinal)) == revision)
    }
}

pub(crate) fn revision(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.hash(&mut hasher);
    format!("demo-{:x}", hasher.finish())
}

fn revision_of(pod: &Value) -> &str {
    pod["metadata"]["labels"]["controller-revision-hash"]
        .as_str()
        .unwrap()
}

fn pod_path(ordinal: u64) -> String {
    format!("{CORE}/pods/demo-{ordinal}")
}

fn eviction(ordinal: u64) -> String {
    format!("{}/eviction", pod_path(ordinal))
}

fn pod(ordinal: u64, revision: &str, serves: bool) -> Value {
    let labels =
        json!({ "app.kubernetes.io/instance": "demo", "controller-revision-hash": revision });
    json!({
        "metadata": { "name": format!("demo-{ordinal}"), "uid": format!("{ordinal} of {revision}"), "resourceVersion": "1",
                      "labels": labels },
        "status": ready(serves),
    })
}

pub(crate) fn ready(serves: bool) -> Value {
    let status = if serves { "True" } else { "False" };
    let since = jiff::Timestamp::now().to_string();
    let mut pod = json!({ "conditions": [{ "type": "Ready", "status": status, "lastTransitionTime": since }] });
    if serves {
        pod["podIP"] = json!("10.0.0.1");
    }
    pod
}

#[tokio::test]
async fn another_image_replaces_one_pod_after_the_other_from_the_highest_ordinal() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    let mut order = Vec::new();
    for _ in 0..12 {
        story.operate().await;
        let deleted = story.ordinals_deleted();
        assert!(deleted.len() <= 1, "{deleted:?} at once");
        order.extend(deleted);
        // Kubernetes has not made it anew yet.
        story.operate().await;
        assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
        story.kubernetes();
    }
    assert_eq!(order, [2, 1, 0]);
    assert!(story.all_current());
    assert_eq!(
        story.told("replaced pod demo-"),
        3,
        "{:?}",
        story.server.notes()
    );
}

/// A webhook that puts a proxy before the node, as meshes do: in the pod, not in the template that it is made from.
fn inject(pod: &mut Value, runs: bool) {
    let container = |name: &str, state: Value, ready: bool| json!({ "name": name, "image": name, "imageID": "", "ready": ready, "restartCount": 0, "state": state });
    let proxy = if runs {
        json!({ "running": {} })
    } else {
        json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } })
    };
    pod["spec"] = json!({
        "initContainers": [{ "name": "mesh-init" }],
        "containers": [{ "name": "mesh-proxy" }, { "name": "node" }],
    });
    pod["metadata"]["annotations"] = json!({ "mesh.example/status": "injected" });
    pod["status"] = ready(runs);
    pod["status"]["initContainerStatuses"] = json!([container(
        "mesh-init",
        json!({ "terminated": { "exitCode": 0 } }),
        true
    )]);
    pod["status"]["containerStatuses"] = json!([
        container("mesh-proxy", proxy, runs),
        container("node", json!({ "running": {} }), true),
    ]);
}

#[tokio::test]
async fn a_container_that_a_webhook_puts_into_pods_is_no_drift_and_counts_for_their_readiness() {
    let mut story = Story::begin().await;
    let set = story.set();
    for ordinal in 0..3 {
        story.set_pod(ordinal, |pod| inject(pod, true));
    }
    let told = story.server.notes();
    story.turns(3).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    assert_eq!(story.set()["spec"], set["spec"]);
    assert_eq!(story.server.notes(), told);

    // The node runs, but its pod is not ready: no Service leads to it. The status names the container at fault.
    story.set_pod(1, |pod| inject(pod, false));
    story.operate().await;
    let ready = condition(&story.server, "Ready");
    assert_eq!(ready["status"], "False");
    let message = ready["message"].as_str().unwrap();
    assert!(
        message.contains("pod demo-1: container mesh-proxy: CrashLoopBackOff"),
        "{message}"
    );
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    story.set_pod(1, |pod| inject(pod, true));

    // A change of a field replaces such pods like all others.
    story.cluster.spec.image = Some("node:2".to_owned());
    let mut order = Vec::new();
    for _ in 0..12 {
        story.operate().await;
        order.extend(story.ordinals_deleted());
        story.kubernetes();
        for ordinal in 0..3 {
            story.set_pod(ordinal, |pod| inject(pod, true));
        }
    }
    assert_eq!(order, [2, 1, 0]);
    assert!(story.all_current());
}

#[tokio::test]
async fn while_pods_are_replaced_the_status_counts_them_and_nobody_is_alarmed() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    let mut counted = Vec::new();
    for _ in 0..12 {
        story.turns(1).await;
        let said = condition(&story.server, "Ready");
        if said["reason"] == "RollingOut" {
            counted.push(said["message"].as_str().unwrap().to_owned());
        }
    }
    for updated in 0..3 {
        let wanted = format!("{updated} of 3 nodes run the current pod template");
        assert!(
            counted.iter().any(|said| said.starts_with(&wanted)),
            "{counted:?}"
        );
    }
    let objects = story.server.objects();
    let alarms: Vec<_> = objects
        .iter()
        .filter(|(path, _)| path.contains("/events/"))
        .filter(|(_, event)| event["type"] == "Warning")
        .filter(|(_, event)| event["note"].as_str().unwrap().contains("pod template"))
        .collect();
    assert!(alarms.is_empty(), "{alarms:?}");
}

#[tokio::test]
async fn while_pods_are_replaced_what_is_known_of_certificates_stays_known() {
    let clients = Some(ClientCertificate {
        open: true,
        ..ClientCertificate::default()
    });
    let tls = NodeTls {
        clients,
        ..NodeTls::default()
    };
    let mut story = Story::begin_with(|context| answered_with(context, tls.clone())).await;
    assert_eq!(condition(&story.server, "TlsReady")["status"], "True");
    story.cluster.spec.image = Some("node:2".to_owned());
    let mut away = 0;
    for _ in 0..12 {
        story.operate().await;
        // Kubernetes has not made a pod anew yet.
        story.operate().await;
        let told = condition(&story.server, "TlsReady");
        assert_eq!(told["status"], "True", "{told}");
        away += usize::from(told["message"].as_str().unwrap().contains("is away"));
        story.kubernetes();
    }
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    assert_eq!(away, 3);
}

#[tokio::test]
async fn a_restart_that_the_resource_asks_for_replaces_all_pods() {
    let mut story = Story::begin().await;
    story.cluster.spec.restarted_at = Some("2026-01-01T00:00:00Z".to_owned());
    story.turns(10).await;
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    story.turns(3).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
}

#[tokio::test]
async fn a_paused_resource_holds_a_rollout_that_is_under_way() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
    story.kubernetes();

    story.cluster.spec.paused = true;
    story.turns(4).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());

    story.cluster.spec.paused = false;
    story.turns(8).await;
    assert_eq!(story.ordinals_deleted(), [1, 0]);
    assert!(story.all_current());
}

#[tokio::test]
async fn volumes_that_cannot_grow_keep_no_pod_from_its_template() {
    let mut story = Story::begin().await;
    let class = json!({ "metadata": { "name": "fast" }, "provisioner": "p", "allowVolumeExpansion": false });
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    story.server.put(&format!("{classes}/fast"), class);
    for ordinal in 0..3 {
        let claim = json!({
            "metadata": { "name": format!("data-demo-{ordinal}"), "uid": format!("claim {ordinal}") },
            "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } },
        });
        let path = format!("{CORE}/persistentvolumeclaims/data-demo-{ordinal}");
        story.server.put(&path, claim);
    }
    story.cluster.spec.storage.size = "2Gi".to_owned();
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(12).await;
    let stalled = condition(&story.server, "Stalled");
    assert_eq!(stalled["reason"], "VolumesCannotGrow", "{stalled}");
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    assert!(story.all_current());
}

#[tokio::test]
async fn nodes_that_sleep_are_replaced_by_waking() {
    let mut story = Story::begin().await;
    story.cluster.spec.hibernate = true;
    story.cluster.spec.image = Some("node:2".to_owned());
    for _ in 0..6 {
        story.operate().await;
        let replicas = story.set()["spec"]["replicas"].as_u64().unwrap();
        for ordinal in replicas..3 {
            let path = pod_path(ordinal);
            if story.server.object(&path).is_some() {
                story.server.remove(&path);
            }
        }
        story.kubernetes();
    }
    story.ordinals_deleted();
    assert_eq!(story.set()["spec"]["replicas"], 0);
    assert_eq!(condition(&story.server, "Ready")["reason"], "Hibernated");

    story.cluster.spec.hibernate = false;
    story.turns(6).await;
    assert!(story.all_current());
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    assert_eq!(story.set()["spec"]["replicas"], 3);
}
