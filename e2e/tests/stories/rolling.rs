//! Every pod is replaced while clients read and write, and no client notices.

use std::{collections::BTreeMap, pin::pin, time::Instant};

use anyhow::{bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use opensecureconf_e2e::Stage;
use serde_json::json;

use crate::{
    load::{Load, nothing_is_lost},
    replication::{lives, three_nodes},
    report, serves, touch,
};

/// The annotation that `kubectl rollout restart` writes.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

#[test]
fn pods_are_replaced_one_at_a_time_while_no_request_fails() {
    Stage::tell("rolling", |stage| async move {
        three_nodes(&stage).await?;
        let load = Load::begin(&stage).await?;

        tokio::select! {
            watched = one_away_at_most(&stage) => watched?,
            replaced = replace_all_twice(&stage) => replaced?,
        }

        let acknowledged = load.end(100).await?;
        nothing_is_lost(&stage, &acknowledged).await?;
        Ok(())
    });
}

/// Once by a change of the resource, once as `kubectl rollout restart` does it.
async fn replace_all_twice(stage: &Stage) -> anyhow::Result<()> {
    let before = lives(stage).await?;
    let begun = Instant::now();
    let change = json!({ "spec": { "syncIntervalSeconds": 31 } });
    stage
        .clusters()
        .patch("config", &PatchParams::default(), &Patch::Merge(&change))
        .await?;
    stage.until_condition("config", "Ready", "True").await?;
    report("three nodes replaced by a changed resource", begun);
    let changed = lives(stage).await?;
    all_replaced(&before, &changed)?;

    let begun = Instant::now();
    let restart = json!({ "spec": { "template": { "metadata": { "annotations": { RESTARTED_AT: "2026-01-01T00:00:00Z" } } } } });
    let restarted = stage
        .api::<StatefulSet>()
        .patch("config", &PatchParams::default(), &Patch::Merge(&restart))
        .await?;
    let rolled_out = |found: Option<&StatefulSet>| {
        found
            .and_then(|set| set.status.as_ref())
            .is_some_and(|status| {
                status.observed_generation >= restarted.metadata.generation
                    && status.updated_replicas == Some(3)
                    && status.ready_replicas == Some(3)
            })
    };
    stage
        .until(
            stage.api::<StatefulSet>(),
            "config",
            "rolled out",
            rolled_out,
        )
        .await?;
    report("three nodes replaced by a rollout restart", begun);
    let restarted = lives(stage).await?;
    all_replaced(&changed, &restarted)?;

    // The operator writes the StatefulSet again, and keeps the fields of others.
    touch(stage, "config").await?;
    stage.until_condition("config", "Ready", "True").await?;
    let set = stage.api::<StatefulSet>().get("config").await?;
    let annotations = set
        .spec
        .and_then(|spec| spec.template.metadata?.annotations);
    ensure!(
        annotations.is_some_and(|found| found.contains_key(RESTARTED_AT)),
        "the operator took the restart back"
    );
    ensure!(
        lives(stage).await? == restarted,
        "a pod was replaced once more"
    );
    Ok(())
}

type Lives = Vec<(Option<String>, Vec<i32>)>;

fn all_replaced(before: &Lives, after: &Lives) -> anyhow::Result<()> {
    let kept = before
        .iter()
        .zip(after)
        .any(|((old, _), (new, _))| old == new);
    ensure!(!kept, "not every pod was replaced: {before:?}, {after:?}");
    Ok(())
}

/// Ends only with an error: when two nodes are away at once, or the API server does not answer.
async fn one_away_at_most(stage: &Stage) -> anyhow::Result<()> {
    let nodes = watcher::Config::default()
        .labels("app.kubernetes.io/instance=config,app.kubernetes.io/component=node");
    let mut events = pin!(watcher(stage.api::<Pod>(), nodes).default_backoff());
    let mut away = BTreeMap::new();
    while let Some(event) = events.try_next().await? {
        let (pod, is_away) = match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                let is_away = pod.metadata.deletion_timestamp.is_some() || !serves(&pod);
                (pod, is_away)
            }
            watcher::Event::Delete(pod) => (pod, true),
            watcher::Event::Init | watcher::Event::InitDone => continue,
        };
        away.insert(pod.name_any(), is_away);
        let names: Vec<_> = away
            .iter()
            .filter(|(_, is_away)| **is_away)
            .map(|(name, _)| name)
            .collect();
        ensure!(names.len() < 2, "{names:?} are away at the same time");
    }
    bail!("the watch ended")
}
