//! Faults of machines, pods, operators and disks. Each function gives its observations once all nodes serve again.

use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DeleteParams};
use opensecureconf_e2e::{Stage, Workload, command};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    CLUSTER,
    cluster::{recovered, serves, until_pod, until_ready_tells, want},
    machines::{Frozen, machine_of, until_machine, worker_with_one_node},
    operators::{kill, leader, spread, until_all_run, until_another_leads},
};

/// How long a failed part stays away after the cluster has noticed.
const AWAY: Duration = Duration::from_secs(20);

/// Fills the volumes through one node until it refuses for lack of space, and prints the number of entries.
const FILL: &str = "
import http.client, json
from urllib.parse import urlsplit
name, namespace = urlsplit(os.environ['ENDPOINT']).hostname.split('.')[:2]
headers = {'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY'], 'Content-Type': 'application/json'}
def ask(method, number, body=None):
    connection = http.client.HTTPConnection(f'{name}-0.{name}-nodes.{namespace}.svc', 9000, timeout=30)
    connection.request(method, f'/configs/fill-{number}?upsert=true' if body else f'/configs/fill-{number}', body and json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status
number = 0
while (status := ask('PUT', number, {'value': 'x' * 600_000})) in (200, 201):
    number += 1
assert status == 507, status
print(number)
";
/// Removes those entries; runs after the lines before `number = 0` of the script above.
const EMPTY: &str = "
for number in range(FILLED):
    status = ask('DELETE', number)
    assert status == 200, (number, status)
";

/// A machine is drained for maintenance, and comes back.
pub(crate) async fn drain(stage: &Stage) -> anyhow::Result<String> {
    let (machine, _) = worker_with_one_node(stage).await?;
    let arguments = [
        "drain",
        &machine,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=240s",
    ];
    command("kubectl", &arguments).await?;
    until_ready_tells(stage, None).await?;
    sleep(AWAY).await;
    command("kubectl", &["uncordon", &machine]).await?;
    recovered(stage).await?;
    Ok(format!("{machine} was drained"))
}

/// The pod of a node is killed.
pub(crate) async fn kill_pod(stage: &Stage) -> anyhow::Result<String> {
    let (_, pod) = worker_with_one_node(stage).await?;
    let before = stage.api::<Pod>().get(&pod).await?.uid();
    let at_once = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    let killed = Instant::now();
    stage.api::<Pod>().delete(&pod, &at_once).await?;
    let is_another = |found: &Pod| found.uid() != before && serves(found);
    until_pod(stage, &pod, "another one that serves", is_another).await?;
    let after = killed.elapsed().as_secs_f64();
    recovered(stage).await?;
    Ok(format!("{pod} served again after {after:.1} s"))
}

/// A machine loses its power with everything on it, and starts again once Kubernetes has missed it.
pub(crate) async fn kill_machine(stage: &Stage) -> anyhow::Result<String> {
    let (machine, pod) = worker_with_one_node(stage).await?;
    command("docker", &["kill", &machine]).await?;
    until_machine(stage, &machine, false).await?;
    sleep(AWAY).await;
    let started = Instant::now();
    command("docker", &["start", &machine]).await?;
    until_machine(stage, &machine, true).await?;
    until_pod(stage, &pod, "serving", serves).await?;
    let after = started.elapsed().as_secs_f64();
    until_all_run(stage).await?;
    recovered(stage).await?;
    Ok(format!("{pod} served {after:.1} s after {machine} started"))
}

/// The operator that leads is killed.
pub(crate) async fn kill_operator(stage: &Stage) -> anyhow::Result<String> {
    let pod = leader(stage).await?.name_any();
    let killed = Instant::now();
    kill(stage, &pod).await?;
    let seen = until_another_leads(stage, &pod, killed).await?;
    // No child object depends on this field: an observed generation shows that the next leader works.
    let interval = json!({ "monitoring": { "serviceMonitor": { "interval": "31s" } } });
    want(stage, interval).await?;
    recovered(stage).await?;
    until_all_run(stage).await?;
    Ok(seen)
}

/// The machine of the operator that leads stands still, with the node on it, and goes on later.
pub(crate) async fn freeze_leader(stage: &Stage) -> anyhow::Result<String> {
    let leads = Box::pin(spread(stage)).await?;
    let pod = leads.name_any();
    let machine = machine_of(&leads).unwrap_or_default();
    ensure!(
        machine != stage.control_plane().await?,
        "{pod} runs beside the API server"
    );
    let since = Instant::now();
    let frozen = Frozen::freeze(&machine).await?;
    let seen = until_another_leads(stage, &pod, since).await?;
    until_ready_tells(stage, None).await?;
    let told = since.elapsed().as_secs_f64();
    sleep(AWAY).await;
    frozen.thaw().await?;
    until_machine(stage, &machine, true).await?;
    recovered(stage).await?;
    until_all_run(stage).await?;
    Ok(format!(
        "{seen}, Ready was no longer True after {told:.1} s"
    ))
}

/// The volumes fill up, and are emptied again.
pub(crate) async fn fill_disks(stage: &Stage) -> anyhow::Result<String> {
    let workload = Workload {
        stage,
        cluster: CLUSTER,
    };
    let filled = workload.run(FILL).await?;
    let filled = filled.trim();
    until_ready_tells(stage, Some("WritesRefused")).await?;
    sleep(AWAY).await;
    let definitions = FILL.split("number = 0\n").next().unwrap_or_default();
    let script = format!("{definitions}{}", EMPTY.replace("FILLED", filled));
    workload.run(&script).await?;
    recovered(stage).await?;
    Ok(format!("{filled} entries of 600 kB filled a volume"))
}
