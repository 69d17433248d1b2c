//! Stories on a real cluster, as users live them. `make e2e` sets up the cluster and runs them two at a time.

mod api_key;
mod containers;
mod day_two;
mod load;
mod platforms;
mod recovery;
mod refusals;
mod replication;
mod rolling;
mod schema;
mod tls;

use std::{collections::BTreeMap, io::Write, time::Instant};

use anyhow::{Context, ensure};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions},
};
use opensecureconf_e2e::{Stage, Workload, condition};
use serde_json::json;

/// Where the operator notes which node bootstrapped a cluster.
const BOOTSTRAP: &str = "opensecureconf.io/bootstrap-incarnation";
/// The annotation that keeps Argo CD from deleting an object.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// The first work of a present-day client; `survivor` stays.
const FIRST_WORK: &str = "
created = client.create('db', {'host': 'db.internal', 'port': 5432}, 'database')
assert created['value']['port'] == 5432, created
assert client.read('db')['category'] == 'database'
assert client.update('db', {'port': 5433})['value'] == {'port': 5433}
assert [entry['key'] for entry in client.list_all()] == ['db']
client.delete('db')
assert client.list_all() == []
client.create('survivor', {'answer': 42})
print('all of it works')
";
const SURVIVES: &str = "print(client.read('survivor')['value'])";

fn report(what: &str, since: Instant) {
    let _ = writeln!(
        std::io::stderr(),
        "[story] {what}: {:.1} s",
        since.elapsed().as_secs_f64()
    );
}

#[test]
fn one_resource_becomes_a_store_that_outlives_its_pods_and_itself() {
    Stage::tell("one-node", |stage| async move {
        let applied = Instant::now();
        stage.apply_sample("one-node.yaml").await?;
        let cluster = stage.until_condition("demo", "Ready", "True").await?;
        report("from apply to Ready", applied);
        ensure!(cluster.data.pointer("/status/nodesReady") == Some(&json!("1/1")));
        ensure!(condition(&cluster, "Replicated").is_some_and(|(status, ..)| status == "True"));

        let workload = Workload {
            stage: &stage,
            cluster: "demo",
        };
        let printed = workload.run(FIRST_WORK).await?;
        ensure!(printed.trim() == "all of it works", "{printed}");

        let killed = Instant::now();
        replace_pod(&stage, "demo-0").await?;
        report("a deleted pod serves again", killed);
        ensure!(workload.run(SURVIVES).await?.contains("'answer': 42"));

        // As an earlier release made the object; the operator restores the annotations at its next reconcile.
        let annotations = json!({ SYNC_OPTIONS: null, "argocd.argoproj.io/compare-options": null });
        let without = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        stage
            .api::<PersistentVolumeClaim>()
            .patch("data-demo-0", &PatchParams::default(), &without)
            .await?;
        comes_back::<Service>(&stage, "demo").await?;
        comes_back::<ConfigMap>(&stage, "demo-nodes").await?;
        let before = stage.api::<Pod>().get("demo-0").await?.uid();
        comes_back::<StatefulSet>(&stage, "demo").await?;
        // The old pod and the old status are still there for a moment.
        until_replaced(&stage, "demo-0", before).await?;
        stage.until_condition("demo", "Ready", "True").await?;
        ensure!(workload.run(SURVIVES).await?.contains("'answer': 42"));

        let keys = secrets(&stage).await?;
        comes_back::<Secret>(&stage, "demo-salt").await?;
        ensure!(
            secrets(&stage).await? == keys,
            "the salt is not what it was"
        );
        let marked = |found: Option<&Secret>| {
            let mark = |secret: &Secret| secret.annotations().get(BOOTSTRAP).cloned();
            found.and_then(mark).is_some()
        };
        stage
            .until(stage.api(), "demo-salt", "marked", marked)
            .await?;
        ensure!(workload.run(SURVIVES).await?.contains("'answer': 42"));

        stage
            .clusters()
            .delete("demo", &DeleteParams::default())
            .await?;
        stage
            .until(stage.api::<StatefulSet>(), "demo", "gone", |found| {
                found.is_none()
            })
            .await?;
        stage
            .until(stage.api::<Service>(), "demo", "gone", |found| {
                found.is_none()
            })
            .await?;
        stage
            .until(stage.api::<Pod>(), "demo-0", "gone", |found| {
                found.is_none()
            })
            .await?;
        // An application of this name, whose objects are all gone from git.
        prune::<Secret>(&stage).await?;
        prune::<PersistentVolumeClaim>(&stage).await?;
        ensure!(
            stage
                .api::<PersistentVolumeClaim>()
                .get_opt("data-demo-0")
                .await?
                .is_some(),
            "the volume is gone"
        );
        ensure!(
            secrets(&stage).await? == keys,
            "the Secrets are not what they were"
        );

        // Now only the volume has the salt.
        stage
            .api::<Secret>()
            .delete("demo-salt", &DeleteParams::default())
            .await?;
        stage.apply_sample("one-node.yaml").await?;
        stage.until_condition("demo", "Ready", "True").await?;
        ensure!(
            secrets(&stage).await? == keys,
            "the Secrets are not what they were"
        );
        ensure!(workload.run(SURVIVES).await?.contains("'answer': 42"));
        Ok(())
    });
}

#[test]
fn an_unchanged_cluster_is_left_alone_and_a_new_operator_restarts_no_node() {
    Stage::tell("unchanged", |stage| async move {
        stage.apply_sample("one-node.yaml").await?;
        stage.until_condition("demo", "Ready", "True").await?;
        let (versions, pods) = (child_versions(&stage).await?, pod_uids(&stage).await?);
        ensure!(versions.len() >= 7, "{versions:?}");

        let operators: Api<Deployment> =
            Api::namespaced(stage.client.clone(), "opensecureconf-system");
        let restart = json!({"spec": {"template": {"metadata": {"annotations": {"story": stage.namespace}}}}});
        let restarted = operators
            .patch(
                "opensecureconf-operator",
                &PatchParams::default(),
                &Patch::Merge(&restart),
            )
            .await?;
        let rolled_out = |found: Option<&Deployment>| {
            found
                .and_then(|deployment| deployment.status.as_ref())
                .is_some_and(|status| {
                    status.observed_generation >= restarted.metadata.generation
                        && status.updated_replicas == Some(2)
                        && status.ready_replicas == Some(2)
                        && status.unavailable_replicas.is_none()
                        && status.replicas == Some(2)
                })
        };
        stage
            .until(
                operators,
                "opensecureconf-operator",
                "rolled out",
                rolled_out,
            )
            .await?;

        // A new operator first reconciles every cluster as a whole; the observed generation of a changed spec shows that it
        // did.
        let cluster = touch(&stage, "demo").await?;
        ensure!(cluster.metadata.generation == Some(2));
        stage.until_condition("demo", "Ready", "True").await?;
        ensure!(
            child_versions(&stage).await? == versions,
            "children were written without need"
        );
        ensure!(pod_uids(&stage).await? == pods, "a pod was replaced");
        Ok(())
    });
}

/// Changes a field that no child depends on, so that a reconcile of the new generation can be awaited.
async fn touch(stage: &Stage, name: &str) -> anyhow::Result<DynamicObject> {
    let patch = json!({"spec": {"monitoring": {"serviceMonitor": {"interval": "31s"}}}});
    Ok(stage
        .clusters()
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?)
}

async fn replace_pod(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let pods = stage.api::<Pod>();
    let before = pods.get(name).await?.uid();
    pods.delete(name, &DeleteParams::default()).await?;
    until_replaced(stage, name, before).await
}

/// Waits until another pod of this name serves.
async fn until_replaced(stage: &Stage, name: &str, before: Option<String>) -> anyhow::Result<()> {
    let another = |found: Option<&Pod>| found.is_some_and(|pod| pod.uid() != before && serves(pod));
    stage
        .until(stage.api::<Pod>(), name, "replaced", another)
        .await
        .map(drop)
}

fn serves(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Deletes a child and waits for a new one of the same name.
async fn comes_back<K>(stage: &Stage, name: &str) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let api = stage.api::<K>();
    let before = api.get(name).await?.uid();
    let same = Preconditions {
        uid: before.clone(),
        resource_version: None,
    };
    api.delete(
        name,
        &DeleteParams {
            preconditions: Some(same),
            ..DeleteParams::default()
        },
    )
    .await?;
    let deleted = Instant::now();
    stage
        .until(api, name, "back", |found| {
            found.is_some_and(|object| object.uid() != before)
        })
        .await?;
    report(&format!("a deleted {} is back", K::kind(&())), deleted);
    Ok(())
}

/// Deletes the objects that Argo CD would take for those of an application with the cluster's name, unless an annotation keeps
/// them.
async fn prune<K>(stage: &Stage) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let labelled = ListParams::default().labels("app.kubernetes.io/instance=demo");
    let found = stage.api::<K>().list(&labelled).await?.items;
    ensure!(!found.is_empty(), "no {} has the label", K::kind(&()));
    for object in found {
        let options = object.annotations().get(SYNC_OPTIONS);
        let has = |option| options.is_some_and(|all| all.split(',').any(|other| other == option));
        let is_kept = has("Prune=false") && has("Delete=false");
        if object.owner_references().is_empty() && !is_kept {
            let api = stage.api::<K>();
            api.delete(&object.name_any(), &DeleteParams::default())
                .await?;
        }
    }
    Ok(())
}

/// Content of the cluster's Secrets, by name.
async fn secrets(stage: &Stage) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for (name, entry) in [
        ("demo-salt", "salt"),
        ("demo-api-key", "api-key"),
        ("demo-cluster-key", "cluster-key"),
        ("demo-node-ca", "tls.crt"),
    ] {
        let secret = stage.api::<Secret>().get(name).await?;
        let content = secret
            .data
            .and_then(|mut data| data.remove(entry))
            .with_context(|| format!("{name} has no {entry}"))?;
        found.insert(name.to_owned(), content.0);
    }
    Ok(found)
}

async fn child_versions(stage: &Stage) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let mut versions = BTreeMap::new();
    collect::<StatefulSet>(stage, &mut versions).await?;
    collect::<Service>(stage, &mut versions).await?;
    collect::<ConfigMap>(stage, &mut versions).await?;
    collect::<ServiceAccount>(stage, &mut versions).await?;
    collect::<NetworkPolicy>(stage, &mut versions).await?;
    collect::<PodDisruptionBudget>(stage, &mut versions).await?;
    collect::<Secret>(stage, &mut versions).await?;
    Ok(versions)
}

async fn collect<K>(
    stage: &Stage,
    versions: &mut BTreeMap<String, Option<String>>,
) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=opensecureconf-operator");
    for object in stage.api::<K>().list(&ours).await? {
        versions.insert(
            format!("{} {}", K::kind(&()), object.name_any()),
            object.resource_version(),
        );
    }
    Ok(())
}

async fn pod_uids(stage: &Stage) -> anyhow::Result<Vec<Option<String>>> {
    Ok(stage
        .api::<Pod>()
        .list(&ListParams::default())
        .await?
        .iter()
        .map(ResourceExt::uid)
        .collect())
}
