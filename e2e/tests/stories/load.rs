//! Clients that read and write until the story ends them, and the writes that the nodes must have afterwards.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, ensure};
use opensecureconf_e2e::{RunningScript, Stage, Workload};
use serde::Deserialize;
use serde_json::json;

use crate::{replication::run, report};

/// One client that keeps its connection and one that opens a new one for each request, until the entry 'load' ends them. Each
/// request is tried once; the first failures are kept.
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

/// Every acknowledged write is on each node: every created entry, and the last update.
const NOTHING_IS_LOST: &str = "
for ordinal in range(3):
    held = {entry['key']: entry['value'] for entry in node(ordinal).list_all()}
    for name, count in acknowledged.items():
        assert [held.get(f'{name}-{n}') for n in range(count)] == list(range(count)), (ordinal, name)
        assert held[name] == count - 1, (ordinal, name, held[name])
";

/// How many entries each client of a load made.
pub(crate) type Acknowledged = BTreeMap<String, u64>;

/// The final report of a load.
#[derive(Deserialize)]
struct Outcome {
    requests: u64,
    slowest: f64,
    failed: u64,
    acknowledged: Acknowledged,
}

/// A load that is under way.
#[derive(Debug)]
pub(crate) struct Load<'s> {
    stage: &'s Stage,
    script: RunningScript<'s>,
    begun: Instant,
}

impl<'s> Load<'s> {
    /// Begins it on the cluster of three nodes.
    pub(crate) async fn begin(stage: &'s Stage) -> anyhow::Result<Self> {
        run(stage, "client.create('load', 'on')").await?;
        let begun = Instant::now();
        let workload = Workload {
            stage,
            cluster: "config",
        };
        let script = workload.start(LOAD).await?;
        Ok(Self {
            stage,
            script,
            begun,
        })
    }

    /// Ends the load; no request may have failed. Gives how many entries each of its clients made, at least `least`.
    pub(crate) async fn end(self, least: u64) -> anyhow::Result<Acknowledged> {
        run(self.stage, "client.update('load', 'off')").await?;
        let printed = self.script.end().await?;
        // The client itself reports the failures.
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
            self.begun,
        );
        Ok(acknowledged)
    }
}

/// Reads every entry of a load on each node.
pub(crate) async fn nothing_is_lost(
    stage: &Stage,
    acknowledged: &Acknowledged,
) -> anyhow::Result<()> {
    let acknowledged = json!(acknowledged);
    let script = format!("acknowledged = {acknowledged}\n{NOTHING_IS_LOST}");
    run(stage, &script).await.map(drop)
}
