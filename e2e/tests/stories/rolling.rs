//! Every pod is replaced while clients read and write, and no client notices.

use std::{collections::BTreeMap, pin::pin, time::Instant};

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use opensecureconf_e2e::{RunningScript, Stage, Workload};
use serde::Deserialize;
use serde_json::json;

use crate::{
    replication::{lives, run, three_nodes},
    report, serves, touch,
};

/// One client that keeps its connection and one that makes a new one for each request, until the entry 'load' says so.
/// Each request is tried once; of those that fail the first are kept.
pub(crate) const LOAD: &str = "
import json, threading, time

seconds, failures, acknowledged = [], [], {'kept': 0, 'fresh': 0}

def attempt(what, *arguments):
    begun = time.monotonic()
    try:
        return what(*arguments)
    except Exception as failure:
        failures.append(f'{time.strftime(\"%T\")} {what.__name__} {arguments}: {failure!r}')
    finally:
        seconds.append(time.monotonic() - begun)

def load(name, api):
    n = 0
    while (attempt(api().read, 'load') or {}).get('value') != 'off':
        key = f'{name}-{n}'
        if attempt(api().create, key, n):
            found = attempt(api().read, key)
            if found and found['value'] != n:
                failures.append(f'{key} is {found}')
        if attempt(api().update, name, n):
            acknowledged[name] = n + 1
        n += 1
        time.sleep(0.05)

kept = connect(enable_retry=False)
clients = {'kept': lambda: kept, 'fresh': lambda: connect(enable_retry=False)}
for name in clients:
    client.create(name, 0)
threads = [threading.Thread(target=load, args=each) for each in clients.items()]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({
    'requests': len(seconds), 'slowest': max(seconds), 'failed': len(failures), 'failures': failures[:20],
    'acknowledged': acknowledged}))
";

/// What was acknowledged is on each node: every entry that was created, and the last update.
const NOTHING_IS_LOST: &str = "
for ordinal in range(3):
    held = {entry['key']: entry['value'] for entry in node(ordinal).list_all()}
    for name, count in acknowledged.items():
        assert [held.get(f'{name}-{n}') for n in range(count)] == list(range(count)), (ordinal, name)
        assert held[name] == count - 1, (ordinal, name, held[name])
";

/// How many entries each client of a load made.
pub(crate) type Acknowledged = BTreeMap<String, u64>;

/// What a load says of itself.
#[derive(Deserialize)]
struct Outcome {
    requests: u64,
    slowest: f64,
    failed: u64,
    acknowledged: Acknowledged,
}

/// What `kubectl rollout restart` writes.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

#[test]
fn pods_are_replaced_one_at_a_time_while_no_request_fails() {
    Stage::tell("rolling", |stage| async move {
        three_nodes(&stage).await?;
        run(&stage, "client.create('load', 'on')").await?;
        let loaded = Instant::now();
        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        let load = workload.start(LOAD).await?;

        tokio::select! {
            watched = one_away_at_most(&stage) => watched?,
            replaced = replace_all_twice(&stage) => replaced?,
        }

        let acknowledged = end_load(&stage, load, loaded, 100).await?;
        nothing_is_lost(&stage, &acknowledged).await?;
        Ok(())
    });
}

/// Ends a load of which no request may have failed; how many entries each of its clients made, at least so many.
pub(crate) async fn end_load(
    stage: &Stage,
    load: RunningScript<'_>,
    begun: Instant,
    least: u64,
) -> anyhow::Result<Acknowledged> {
    run(stage, "client.update('load', 'off')").await?;
    let printed = load.end().await?;
    // The client says itself what it met.
    let last = printed.lines().last().unwrap_or_default();
    let Outcome {
        requests,
        slowest,
        failed,
        acknowledged,
    } = serde_json::from_str(last).context("no outcome")?;
    ensure!(failed == 0, "{printed}");
    let was_load = ["kept", "fresh"].map(|client| acknowledged.get(client) >= Some(&least));
    ensure!(was_load == [true; 2], "that was no load: {printed}");
    report(
        &format!("{requests} requests, none failed, the slowest took {slowest:.2} s"),
        begun,
    );
    Ok(acknowledged)
}

/// Looks for every entry of a load on each node.
pub(crate) async fn nothing_is_lost(
    stage: &Stage,
    acknowledged: &Acknowledged,
) -> anyhow::Result<()> {
    let acknowledged = json!(acknowledged);
    let script = format!("acknowledged = {acknowledged}\n{NOTHING_IS_LOST}");
    run(stage, &script).await.map(drop)
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

    // The operator writes the StatefulSet again, and what is not its own stays.
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

/// Ends only with an error: when two nodes are away at once, or nobody can tell.
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
