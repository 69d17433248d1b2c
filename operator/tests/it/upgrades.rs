//! A new operator renders other pods: none restarts before the resource allows it, and then one cluster follows the other.

use std::{collections::BTreeMap, sync::Arc};

use http::{Method, StatusCode};
use opensecureconf_operator::cluster::{
    context::Context,
    reconcile::reconcile_cluster,
    resource::{ClusterStatus, OpenSecureConfCluster, UpgradePolicy, UpgradeWindow},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::{ApiServer, taken_away},
    looking::show,
    reconcile::CORE,
    resource,
    rollout::{ready, revision},
    serving::answered,
};

const OLD: &str = "node:1";
pub(crate) const NEW: &str = "node:2";
const ACCEPT: &str = "opensecureconf.io/accept-template";

pub(crate) fn stateful_set(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/team/statefulsets/{name}")
}

pub(crate) fn pod_path(name: &str, ordinal: usize) -> String {
    format!("{CORE}/pods/{name}-{ordinal}")
}

fn config_map(name: &str) -> String {
    format!("{CORE}/configmaps/{name}-template")
}

/// Clusters of three nodes each, made by an operator with the old image.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) context: Arc<Context>,
    pub(crate) clusters: BTreeMap<&'static str, OpenSecureConfCluster>,
}

impl World {
    pub(crate) async fn begin(names: &[&'static str], policy: UpgradePolicy) -> Self {
        let server = ApiServer::default();
        let context = Arc::new(answered(server.context_with(OLD)));
        let clusters = names.iter().map(|name| {
            let mut cluster = resource(ONE_NODE);
            cluster.metadata.name = Some((*name).to_owned());
            cluster.metadata.uid = Some(format!("uid of {name}"));
            cluster.spec.replicas = 3;
            cluster.spec.upgrade.policy = policy;
            (*name, cluster)
        });
        let mut world = Self {
            clusters: clusters.collect(),
            server,
            context,
        };
        world.turns(names, 4).await;
        assert_eq!(world.deleted(), Vec::<String>::new());
        for name in names {
            assert_eq!(world.pending(name), None);
            assert_eq!(world.status(name)["image"], OLD);
        }
        world
    }

    /// The operator ends, and an operator with this image begins.
    pub(crate) fn replace_operator(&mut self, image: &str) {
        self.context = Arc::new(answered(self.server.context_with(image)));
    }

    pub(crate) async fn operate(&mut self, name: &str) {
        self.try_to_operate(name).await.unwrap();
    }

    async fn try_to_operate(
        &mut self,
        name: &str,
    ) -> Result<(), opensecureconf_operator::cluster::reconcile::Error> {
        let cluster = self.clusters.get_mut(name).unwrap();
        reconcile_cluster(cluster, &self.context).await?;
        let status = self.server.object(&status_path(name)).unwrap()["status"].clone();
        cluster.status = Some(serde_json::from_value::<ClusterStatus>(status).unwrap());
        Ok(())
    }

    /// One step of the operator, then of Kubernetes, for one cluster after the other.
    pub(crate) async fn turns(&mut self, names: &[&str], count: usize) {
        for _ in 0..count {
            for name in names {
                self.operate(name).await;
                self.kubernetes(name);
            }
        }
    }

    /// The work of the StatefulSet controller and of kubelets.
    pub(crate) fn kubernetes(&self, name: &str) {
        let mut set = self.set(name);
        let revision = revision(&set["spec"]["template"]);
        let mut updated = 0;
        for ordinal in 0..3 {
            let path = pod_path(name, ordinal);
            let pod = self.server.object(&path).unwrap_or_else(|| {
                let labels =
                    json!({ "app.kubernetes.io/instance": name, "controller-revision-hash": revision });
                let pod = json!({
                    "metadata": { "name": format!("{name}-{ordinal}"), "uid": format!("{ordinal} of {revision}"), "resourceVersion": "1",
                                  "labels": labels },
                    "status": ready(true),
                });
                self.server.put(&path, pod.clone());
                pod
            });
            let label = &pod["metadata"]["labels"]["controller-revision-hash"];
            updated += u64::from(*label == *revision);
        }
        let generation = set["metadata"]["generation"].as_i64().unwrap_or(1);
        set["metadata"]["generation"] = generation.into();
        set["status"] = json!({ "observedGeneration": generation, "replicas": 3, "updatedReplicas": updated, "updateRevision": revision });
        self.server.put(&stateful_set(name), set);
    }

    fn set(&self, name: &str) -> Value {
        self.server.object(&stateful_set(name)).unwrap()
    }

    pub(crate) fn image(&self, name: &str) -> String {
        let containers = self.set(name)["spec"]["template"]["spec"]["containers"].clone();
        containers[0]["image"].as_str().unwrap().to_owned()
    }

    pub(crate) fn status(&self, name: &str) -> Value {
        self.server.object(&status_path(name)).unwrap()["status"].clone()
    }

    fn pending(&self, name: &str) -> Option<Value> {
        self.status(name).get("pendingRollout").cloned()
    }

    pub(crate) fn waits_for(&self, name: &str) -> String {
        let pending = self.pending(name).unwrap();
        let reason = pending["reason"].as_str().unwrap();
        let line = format!("name=\"{name}\",namespace=\"team\",reason=\"{reason}\"}} 1");
        let page = self.context.metrics().page().unwrap();
        assert!(page.contains(&line), "{page}");
        reason.to_owned()
    }

    /// The pods that were deleted since the last call.
    pub(crate) fn deleted(&self) -> Vec<String> {
        let writes = self.server.writes();
        let prefix = format!("{CORE}/pods/");
        let deleted = writes
            .iter()
            .filter_map(|write| taken_away(write)?.strip_prefix(&prefix));
        deleted.map(str::to_owned).collect()
    }

    fn told(&self, words: &str) -> usize {
        let notes = self.server.notes();
        notes.iter().filter(|note| note.contains(words)).count()
    }

    /// A user accepts the waiting template.
    fn accept(&mut self, name: &str, number: &str) {
        let metadata = &mut self.clusters.get_mut(name).unwrap().metadata;
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(ACCEPT.to_owned(), number.to_owned());
    }
}

pub(crate) fn status_path(name: &str) -> String {
    format!("/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/{name}/status")
}

#[tokio::test]
async fn what_a_person_lets_in_waits_for_him_and_the_cluster_is_ready_meanwhile() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Manual).await;
    world.replace_operator(NEW);
    world.turns(&["demo"], 4).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    assert_eq!(world.image("demo"), OLD);
    let pending = world.pending("demo").unwrap();
    let change = json!({ "field": "spec.containers[node].image", "from": OLD, "to": NEW });
    assert_eq!(pending["changes"], json!([change]));
    assert_eq!(pending["pods"], json!(["demo-2", "demo-1", "demo-0"]));
    assert_eq!(pending["reason"], "Manual");
    assert_eq!(world.status("demo")["image"], OLD, "what runs");
    let conditions = world.status("demo")["conditions"].to_string();
    assert!(!conditions.contains("Reconciling") && !conditions.contains("Stalled"));
    assert_eq!(world.told("spec.containers[node].image would change"), 1);

    let number = pending["accept"].as_str().unwrap().to_owned();
    assert!(pending["message"].as_str().unwrap().contains(&number));
    world.accept("demo", "another one");
    world.turns(&["demo"], 2).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    world.accept("demo", &number);
    world.turns(&["demo"], 8).await;
    assert_eq!(world.deleted(), ["demo-2", "demo-1", "demo-0"]);
    assert_eq!(world.pending("demo"), None);
    assert_eq!(world.status("demo")["image"], NEW);
    assert_eq!(
        world.told("let in what waited: spec.containers[node].image: node:1 -> node:2"),
        1
    );

    // The accepted number stands in git, and accepts nothing else.
    world.replace_operator("node:3");
    world.turns(&["demo"], 4).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    assert_eq!(world.waits_for("demo"), "Manual");
}

#[tokio::test]
async fn one_cluster_follows_the_other() {
    let names = ["a", "b", "c"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    let mut order = Vec::new();
    for _ in 0..30 {
        world.turns(&names, 1).await;
        order.extend(world.deleted());
        let waiting = names.iter().filter(|name| world.pending(name).is_some());
        for name in waiting {
            let pending = world.pending(name).unwrap();
            assert_eq!(pending["reason"], "OtherCluster", "{pending}");
            let message = pending["message"].as_str().unwrap();
            assert!(message.contains("pods of cluster team/"), "{message}");
        }
    }
    let all = [
        "a-2", "a-1", "a-0", "b-2", "b-1", "b-0", "c-2", "c-1", "c-0",
    ];
    assert_eq!(order, all);
    for name in names {
        assert_eq!(world.image(name), NEW);
        assert_eq!(world.pending(name), None);
    }
    world.turns(&names, 2).await;
    assert_eq!(world.server.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn as_many_clusters_as_somebody_says_are_rolled_out_at_a_time() {
    let names = ["a", "b", "c"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    let context = answered(world.server.context_with(NEW));
    world.context = Arc::new(context.rolling_out_at_once(2));
    world.turns(&names, 1).await;
    let images = names.map(|name| world.image(name));
    assert_eq!(images, [NEW, NEW, OLD]);
}

#[tokio::test]
async fn an_operator_that_takes_over_lets_the_first_one_finish() {
    let names = ["a", "b"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    world.turns(&["b"], 2).await;
    assert_eq!(world.deleted(), ["b-2"]);

    world.replace_operator(NEW);
    // The new operator's watches have shown nothing yet.
    world.context.watch(None);
    world.operate("a").await;
    assert_eq!(world.waits_for("a"), "Starting");
    show(&world.server, &world.context);
    world.operate("a").await;
    assert_eq!(world.waits_for("a"), "OtherCluster");
    for _ in 0..10 {
        show(&world.server, &world.context);
        world.turns(&["a", "b"], 1).await;
    }
    assert_eq!(world.deleted(), ["b-1", "b-0", "a-2", "a-1", "a-0"]);
}

#[tokio::test]
async fn an_operator_that_stops_before_the_template_is_applied_is_continued() {
    let names = ["a", "b"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    let refused = stateful_set("b");
    world
        .server
        .refuse(Method::PATCH, &refused, StatusCode::INTERNAL_SERVER_ERROR);
    world.try_to_operate("b").await.unwrap_err();
    assert_eq!(world.image("b"), OLD);
    world.operate("a").await;
    assert_eq!(world.waits_for("a"), "OtherCluster");

    world.replace_operator(NEW);
    world.turns(&["b"], 8).await;
    assert_eq!(world.deleted(), ["b-2", "b-1", "b-0"]);
    assert_eq!(
        world.set("b")["metadata"]["annotations"].get("opensecureconf.io/rolling-out"),
        None
    );
}

#[tokio::test]
async fn a_turn_that_comes_to_nothing_is_another_clusters() {
    let names = ["a", "b"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    let refused = config_map("a");
    world
        .server
        .refuse(Method::PATCH, &refused, StatusCode::INTERNAL_SERVER_ERROR);
    world.try_to_operate("a").await.unwrap_err();
    // From now on it stands still.
    world.clusters.get_mut("a").unwrap().spec.replicas = 99;
    world.operate("a").await;
    world.turns(&["b"], 1).await;
    assert_eq!(world.waits_for("b"), "OtherCluster");
    world.clusters.get_mut("a").unwrap().spec.replicas = 3;
    world.clusters.get_mut("a").unwrap().spec.upgrade.policy = UpgradePolicy::Manual;
    world.operate("a").await;
    world.turns(&["b"], 1).await;
    assert_eq!(world.image("b"), NEW);
}

#[tokio::test]
async fn nobody_waits_for_a_cluster_that_is_paused_in_the_middle_and_it_goes_on_afterwards() {
    let names = ["a", "b"];
    let mut world = World::begin(&names, UpgradePolicy::Automatic).await;
    world.replace_operator(NEW);
    world.turns(&["a"], 2).await;
    assert_eq!(world.deleted(), ["a-2"]);
    world.clusters.get_mut("a").unwrap().spec.paused = true;
    world.turns(&names, 8).await;
    assert_eq!(world.deleted(), ["b-2", "b-1", "b-0"]);
    world.clusters.get_mut("a").unwrap().spec.paused = false;
    world.turns(&names, 6).await;
    assert_eq!(world.deleted(), ["a-1", "a-0"]);
}

#[tokio::test]
async fn a_window_that_closes_ends_no_rollout_and_one_that_is_closed_begins_none() {
    let window = |schedule: &str, duration: &str| UpgradeWindow {
        schedule: schedule.to_owned(),
        duration: duration.to_owned(),
        time_zone: "UTC".to_owned(),
    };
    // Open for ever, and for a minute in four years.
    let (open, closed) = (window("* * * * *", "1h"), window("0 0 29 2 *", "1m"));
    let mut world = World::begin(&["demo"], UpgradePolicy::Automatic).await;
    let spec = |world: &mut World, window: &UpgradeWindow| {
        let spec = &mut world.clusters.get_mut("demo").unwrap().spec.upgrade;
        spec.policy = UpgradePolicy::Window;
        spec.window = Some(window.clone());
    };
    spec(&mut world, &closed);
    world.replace_operator(NEW);
    world.turns(&["demo"], 3).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    let pending = world.pending("demo").unwrap();
    assert_eq!(pending["reason"], "Window");
    let opens = pending["opensAt"].as_str().unwrap();
    assert!(opens.ends_with("-02-29T00:00:00Z"), "{opens}");

    spec(&mut world, &open);
    world.turns(&["demo"], 2).await;
    assert_eq!(world.deleted(), ["demo-2"]);
    spec(&mut world, &closed);
    world.turns(&["demo"], 6).await;
    assert_eq!(world.deleted(), ["demo-1", "demo-0"]);
}

#[tokio::test]
async fn what_a_field_asks_for_enters_at_once_and_alone() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Manual).await;
    world.replace_operator(NEW);
    world.turns(&["demo"], 2).await;
    let number = world.pending("demo").unwrap()["accept"].clone();
    let cluster = world.clusters.get_mut("demo").unwrap();
    cluster.spec.restarted_at = Some("2026-01-31T12:00:00Z".to_owned());
    cluster.metadata.generation = Some(2);
    world.turns(&["demo"], 8).await;
    assert_eq!(world.deleted(), ["demo-2", "demo-1", "demo-0"]);
    assert_eq!(world.image("demo"), OLD);
    assert_eq!(
        world.pending("demo").unwrap()["accept"],
        number,
        "the same waits"
    );
    assert_eq!(world.status("demo")["observedGeneration"], 2);

    world.clusters.get_mut("demo").unwrap().spec.image = Some("mine:7".to_owned());
    world.turns(&["demo"], 8).await;
    assert_eq!(world.deleted(), ["demo-2", "demo-1", "demo-0"]);
    assert_eq!(world.image("demo"), "mine:7");
    assert_eq!(world.pending("demo"), None, "the image is the user's");
}

#[tokio::test]
async fn what_waits_while_a_resource_is_paused_waits_for_that() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Automatic).await;
    world.clusters.get_mut("demo").unwrap().spec.paused = true;
    world.replace_operator(NEW);
    world.turns(&["demo"], 3).await;
    assert_eq!(world.waits_for("demo"), "Paused");
    assert_eq!(world.image("demo"), OLD);
    let conditions = world.status("demo")["conditions"].to_string();
    assert!(!conditions.contains("Stalled"), "{conditions}");
    world.clusters.get_mut("demo").unwrap().spec.paused = false;
    world.turns(&["demo"], 8).await;
    assert_eq!(world.deleted(), ["demo-2", "demo-1", "demo-0"]);
}

#[tokio::test]
async fn where_no_config_map_tells_what_runs_is_what_was_accepted() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Manual).await;
    let before = world.set("demo")["spec"].clone();
    world.server.remove(&config_map("demo"));
    world.replace_operator(NEW);
    world.turns(&["demo"], 3).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    assert_eq!(world.set("demo")["spec"], before);
    assert!(world.server.object(&config_map("demo")).is_some());
    assert_eq!(world.waits_for("demo"), "Manual");
}

#[tokio::test]
async fn what_somebody_writes_into_the_config_map_makes_no_pod() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Manual).await;
    let before = world.server.object(&config_map("demo")).unwrap();
    let mut forged = before.clone();
    let template = forged["data"]["template"]
        .as_str()
        .unwrap()
        .replace(OLD, "theirs:1");
    forged["data"]["template"] = template.into();
    world.server.put(&config_map("demo"), forged);
    world.turns(&["demo"], 3).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    assert_eq!(world.image("demo"), OLD);
    assert_eq!(
        world.server.object(&config_map("demo")).unwrap()["data"],
        before["data"]
    );
}

#[tokio::test]
async fn a_set_that_is_made_anew_is_the_accepted_one() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Manual).await;
    let before = world.set("demo")["spec"].clone();
    world.replace_operator(NEW);
    world.server.remove(&stateful_set("demo"));
    world.operate("demo").await;
    assert_eq!(world.set("demo")["spec"], before);
    assert_eq!(world.waits_for("demo"), "Manual");
}

#[tokio::test]
async fn while_changes_wait_nothing_is_read_or_written() {
    let mut world = World::begin(&["demo"], UpgradePolicy::Manual).await;
    world.replace_operator(NEW);
    world.turns(&["demo"], 3).await;
    show(&world.server, &world.context);
    world.operate("demo").await;
    world.server.requests();
    world.operate("demo").await;
    assert_eq!(world.server.requests(), Vec::<String>::new());

    // Until a user accepts them, which changes no generation.
    let number = world.pending("demo").unwrap()["accept"].clone();
    world.accept("demo", number.as_str().unwrap());
    world.operate("demo").await;
    assert_eq!(world.image("demo"), NEW);
}

#[tokio::test]
async fn a_cluster_that_begins_is_made_as_this_operator_makes_it() {
    let mut world = World::begin(&[], UpgradePolicy::Manual).await;
    let mut cluster = resource(ONE_NODE);
    cluster.spec.upgrade.policy = UpgradePolicy::Manual;
    world.clusters.insert("demo", cluster);
    world.replace_operator(NEW);
    world.operate("demo").await;
    assert_eq!(world.image("demo"), NEW);
    assert_eq!(world.pending("demo"), None);
}
