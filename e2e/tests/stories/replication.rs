//! Several nodes: a write to one reaches all, whatever happens to pods, volumes and the number of replicas.

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use opensecureconf_e2e::{Stage, Workload, condition};
use serde_json::json;

use crate::{replace_pod, report, until_replaced};

/// The functions with which scripts talk to single nodes.
const NODES: &str = "
from urllib.parse import urlsplit
def node(ordinal):
    name, namespace = urlsplit(os.environ['ENDPOINT']).hostname.split('.')[:2]
    return connect(f'http://{name}-{ordinal}.{name}-nodes.{namespace}.svc:9000')
";

pub(crate) async fn run(stage: &Stage, script: &str) -> anyhow::Result<String> {
    run_with(stage, "config", script).await
}

async fn run_with(stage: &Stage, cluster: &str, script: &str) -> anyhow::Result<String> {
    let workload = Workload { stage, cluster };
    workload.run(&format!("{NODES}{script}")).await
}

pub(crate) async fn three_nodes(stage: &Stage) -> anyhow::Result<DynamicObject> {
    let applied = Instant::now();
    stage.apply_sample("three-nodes.yaml").await?;
    let cluster = stage.until_condition("config", "Ready", "True").await?;
    report("from apply to three nodes Ready", applied);
    Ok(cluster)
}

#[test]
fn what_is_written_to_one_node_is_read_from_each_and_a_killed_pod_catches_up() {
    Stage::tell("three-nodes", |stage| async move {
        let cluster = three_nodes(&stage).await?;
        ensure!(condition(&cluster, "Replicated").is_some_and(|(status, ..)| status == "True"));
        let members = cluster
            .data
            .pointer("/status/members")
            .and_then(|members| members.as_array().cloned())
            .context("no members")?;
        let salt = cluster
            .data
            .pointer("/status/saltFingerprint")
            .context("no fingerprint")?;
        ensure!(
            members.len() == 3
                && members
                    .iter()
                    .all(|member| &member["saltFingerprint"] == salt),
            "{members:?}"
        );

        run(
            &stage,
            "
for writer in range(3):
    node(writer).create(f'from-{writer}', {'n': writer})
    for reader in range(3):
        assert node(reader).read(f'from-{writer}')['value'] == {'n': writer}, (writer, reader)
node(0).update('from-1', {'n': 'changed'})
assert node(2).read('from-1')['value'] == {'n': 'changed'}
node(1).delete('from-2')
assert [entry['key'] for entry in node(0).list_all()] == ['from-0', 'from-1']
",
        )
        .await?;

        replace_pod(&stage, "config-1").await?;
        run(&stage, "client.create('while-it-was-away', {'n': 1})").await?;
        // Kubernetes sends it clients only once it has caught up, so it must have everything.
        stage.until_condition("config", "Ready", "True").await?;
        run(
            &stage,
            "
for ordinal in range(3):
    keys = [entry['key'] for entry in node(ordinal).list_all()]
    assert keys == ['from-0', 'from-1', 'while-it-was-away'], (ordinal, keys)
",
        )
        .await?;
        Ok(())
    });
}

#[test]
fn a_node_that_lost_its_volume_joins_again_with_the_same_salt() {
    Stage::tell("lost-volume", |stage| async move {
        let before = three_nodes(&stage).await?;
        run(&stage, "client.create('kept', {'n': 1})").await?;

        let lost = Instant::now();
        let (pods, claims) = (stage.api::<Pod>(), stage.api::<PersistentVolumeClaim>());
        let (pod, claim) = (
            pods.get("config-2").await?.uid(),
            claims.get("data-config-2").await?.uid(),
        );
        claims
            .delete("data-config-2", &DeleteParams::default())
            .await?;
        pods.delete("config-2", &DeleteParams::default()).await?;
        stage
            .until(claims, "data-config-2", "another one", |found| {
                found.is_some_and(|found| found.uid() != claim)
            })
            .await?;
        until_replaced(&stage, "config-2", pod).await?;
        let after = stage.until_condition("config", "Ready", "True").await?;
        report("from a lost volume to Ready", lost);

        let salt = "/status/saltFingerprint";
        ensure!(after.data.pointer(salt) == before.data.pointer(salt));
        run(&stage, "assert node(2).read('kept')['value'] == {'n': 1}").await?;
        Ok(())
    });
}

#[test]
fn nodes_come_and_go_without_a_restart_and_without_a_loss() {
    Stage::tell("scaling", |stage| async move {
        three_nodes(&stage).await?;
        let first = lives(&stage).await?;
        run(
            &stage,
            "for n in range(20): client.create(f'early-{n}', {'n': n})",
        )
        .await?;

        let scaled = Instant::now();
        scale(&stage, "config", 5).await?;
        report("from 3 to 5 nodes", scaled);
        // Each request goes to the node that answers, also to those that are about to leave.
        run(
            &stage,
            "for n in range(20): node(n % 5).create(f'late-{n}', {'n': n})",
        )
        .await?;

        let scaled = Instant::now();
        scale(&stage, "config", 3).await?;
        stage
            .until(
                stage.api::<StatefulSet>(),
                "config",
                "three nodes",
                |found| {
                    found.is_some_and(|set| {
                        set.spec.as_ref().and_then(|spec| spec.replicas) == Some(3)
                            && set.status.as_ref().map(|status| status.replicas) == Some(3)
                    })
                },
            )
            .await?;
        report("from 5 to 3 nodes", scaled);
        run(
            &stage,
            "
for ordinal in range(3):
    assert len(node(ordinal).list_all()) == 40, ordinal
",
        )
        .await?;
        ensure!(lives(&stage).await? == first, "a pod was restarted");

        // Their volumes are still there, with databases that were removed from the cluster.
        let scaled = Instant::now();
        scale(&stage, "config", 5).await?;
        report("from 3 to 5 nodes, with the volumes of before", scaled);
        run(
            &stage,
            "
for ordinal in range(5):
    assert len(node(ordinal).list_all()) == 40, ordinal
",
        )
        .await?;
        Ok(())
    });
}

#[test]
fn a_federated_value_lives_on_one_node_is_served_by_all_and_moves_when_its_node_leaves() {
    Stage::tell("federated", |stage| async move {
        let applied = Instant::now();
        stage.apply_sample("federated.yaml").await?;
        stage.until_condition("federated", "Ready", "True").await?;
        report("from apply to three federated nodes Ready", applied);
        run_with(
            &stage,
            "federated",
            "
for owner in range(3):
    node(owner).create(f'from-{owner}', {'n': owner})
    for reader in range(3):
        assert node(reader).read(f'from-{owner}')['value'] == {'n': owner}, (owner, reader)
node(0).update('from-2', {'n': 'changed elsewhere'})
node(1).delete('from-0')
for reader in range(3):
    assert [entry['key'] for entry in node(reader).list_all()] == ['from-1', 'from-2'], reader
",
        )
        .await?;

        let scaled = Instant::now();
        scale(&stage, "federated", 2).await?;
        report("from 3 to 2 federated nodes", scaled);
        run_with(
            &stage,
            "federated",
            "
for reader in range(2):
    assert node(reader).read('from-2')['value'] == {'n': 'changed elsewhere'}, reader
",
        )
        .await?;
        Ok(())
    });
}

/// Scales, and waits until nodes have come or gone: while some leave, the others stay ready.
async fn scale(stage: &Stage, cluster: &str, replicas: i32) -> anyhow::Result<()> {
    let patch = json!({ "spec": { "replicas": replicas } });
    stage
        .clusters()
        .patch(cluster, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    let settled = |found: Option<&DynamicObject>| {
        found.is_some_and(|found| {
            condition(found, "Reconciling").is_none()
                && condition(found, "Ready").is_some_and(|(status, _, generation)| {
                    status == "True" && generation == found.metadata.generation
                })
        })
    };
    stage
        .until(stage.clusters(), cluster, "scaled", settled)
        .await?;
    Ok(())
}

/// The first three pods: which they are, and how often their containers were restarted.
pub(crate) async fn lives(stage: &Stage) -> anyhow::Result<Vec<(Option<String>, Vec<i32>)>> {
    let mut lives = Vec::new();
    for ordinal in 0..3 {
        let pod = stage.api::<Pod>().get(&format!("config-{ordinal}")).await?;
        let restarts = pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
            .map(|container| container.restart_count)
            .collect();
        lives.push((pod.uid(), restarts));
    }
    Ok(lives)
}
