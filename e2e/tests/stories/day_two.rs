//! A cluster that has run for a while: its volumes grow under load, a user changes objects by hand, and it sleeps.

use std::time::Instant;

use anyhow::ensure;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use opensecureconf_e2e::{Stage, condition};
use serde_json::{Value, json};

use crate::{
    load::{Load, nothing_is_lost},
    replication::{lives, three_nodes},
    report,
};

#[test]
fn volumes_grow_and_changes_by_hand_are_put_back_without_a_restart_and_what_sleeps_keeps_everything()
 {
    Stage::tell("day-two", |stage| async move {
        three_nodes(&stage).await?;
        let load = Load::begin(&stage).await?;
        let before = lives(&stage).await?;

        grow(&stage).await?;
        change_by_hand(&stage).await?;
        take_back_a_growth_that_fails(&stage).await?;

        ensure!(lives(&stage).await? == before, "a pod was restarted");
        let acknowledged = load.end(20).await?;
        sleep_and_wake(&stage).await?;
        nothing_is_lost(&stage, &acknowledged).await
    });
}

async fn want(stage: &Stage, spec: Value) -> anyhow::Result<()> {
    let change = json!({ "spec": spec });
    let (clusters, parameters) = (stage.clusters(), PatchParams::default());
    let change = Patch::Merge(&change);
    clusters.patch("config", &parameters, &change).await?;
    Ok(())
}

async fn grow(stage: &Stage) -> anyhow::Result<()> {
    let begun = Instant::now();
    want(stage, json!({ "storage": { "size": "2Gi" } })).await?;
    let size = Some(Quantity("2Gi".to_owned()));
    for ordinal in 0..3 {
        let has_grown = |claim: Option<&PersistentVolumeClaim>| {
            let status = claim.and_then(|claim| claim.status.as_ref());
            let capacity = status.and_then(|status| status.capacity.as_ref());
            capacity.and_then(|capacity| capacity.get("storage")) == size.as_ref()
        };
        let claim = format!("data-config-{ordinal}");
        stage.until(stage.api(), &claim, "2Gi", has_grown).await?;
    }
    let follows = |set: Option<&StatefulSet>| {
        let spec = set.and_then(|set| set.spec.as_ref());
        let templates = spec.and_then(|spec| spec.volume_claim_templates.as_deref());
        templates.is_some_and(|templates| {
            let first = templates.first().and_then(|claim| claim.spec.as_ref());
            let request = first.and_then(|spec| spec.resources.as_ref());
            let requests = request.and_then(|request| request.requests.as_ref());
            requests.and_then(|requests| requests.get("storage")) == size.as_ref()
        })
    };
    stage
        .until(stage.api(), "config", "of 2Gi", follows)
        .await?;
    stage.until_condition("config", "Ready", "True").await?;
    report("three volumes have grown, and their set follows", begun);
    Ok(())
}

/// As `kubectl set env` does it.
async fn change_by_hand(stage: &Stage) -> anyhow::Result<()> {
    let begun = Instant::now();
    let sets = stage.api::<StatefulSet>();
    let env = json!([{ "name": "FOO", "value": "bar" }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "node", "env": env }] } } } });
    let parameters = PatchParams {
        field_manager: Some("kubectl-set".to_owned()),
        ..PatchParams::default()
    };
    let change = Patch::Strategic(&change);
    let changed = sets.patch("config", &parameters, &change).await?;
    ensure!(names_of_env(&changed).contains(&"FOO".to_owned()));
    let is_put_back = |set: Option<&StatefulSet>| {
        set.is_some_and(|set| !names_of_env(set).contains(&"FOO".to_owned()))
    };
    stage.until(sets, "config", "put back", is_put_back).await?;
    report("a variable that was set by hand is gone", begun);
    Ok(())
}

fn names_of_env(set: &StatefulSet) -> Vec<String> {
    let pod = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.iter().flat_map(|pod| &pod.containers);
    let env = containers.flat_map(|container| container.env.iter().flatten());
    env.map(|variable| variable.name.clone()).collect()
}

async fn take_back_a_growth_that_fails(stage: &Stage) -> anyhow::Result<()> {
    let begun = Instant::now();
    want(stage, json!({ "storage": { "size": "2Ti" } })).await?;
    let fails = |found: Option<&DynamicObject>| {
        let stalled = found.and_then(|cluster| condition(cluster, "Stalled"));
        stalled.is_some_and(|(_, reason, _)| reason == "VolumeGrowthFailed")
    };
    stage
        .until(stage.clusters(), "config", "refused", fails)
        .await?;
    want(stage, json!({ "storage": { "size": "2Gi" } })).await?;
    stage.until_condition("config", "Ready", "True").await?;
    report("a growth that cannot be is told of, and taken back", begun);
    Ok(())
}

async fn sleep_and_wake(stage: &Stage) -> anyhow::Result<()> {
    let claims = uids_of_claims(stage).await?;
    let begun = Instant::now();
    want(stage, json!({ "hibernate": true })).await?;
    let sleeps = |found: Option<&DynamicObject>| {
        let ready = found.and_then(|cluster| condition(cluster, "Ready"));
        ready.is_some_and(|(status, reason, _)| (status, reason) == ("True", "Hibernated"))
    };
    stage
        .until(stage.clusters(), "config", "asleep", sleeps)
        .await?;
    report("all nodes sleep", begun);
    let nodes = ListParams::default()
        .labels("app.kubernetes.io/instance=config,app.kubernetes.io/component=node");
    let pods = stage.api::<Pod>().list_metadata(&nodes).await?;
    ensure!(pods.items.is_empty(), "{} pods are left", pods.items.len());
    ensure!(uids_of_claims(stage).await? == claims, "a claim is gone");

    let begun = Instant::now();
    want(stage, json!({ "hibernate": false })).await?;
    stage.until_condition("config", "Ready", "True").await?;
    report("all nodes are awake", begun);
    ensure!(
        uids_of_claims(stage).await? == claims,
        "a claim is another one"
    );
    Ok(())
}

async fn uids_of_claims(stage: &Stage) -> anyhow::Result<Vec<Option<String>>> {
    let claims = stage.api::<PersistentVolumeClaim>();
    let found = claims.list_metadata(&ListParams::default()).await?;
    Ok(found.items.iter().map(ResourceExt::uid).collect())
}
