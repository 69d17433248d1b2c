//! A cluster with clients, in which a node fails and comes back.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use opensecureconf_e2e::{PodLimit, Stage, Workload};
use serde_json::json;

/// Clients that read more than they write, in waves; some are wrong about keys and names, two write the same entry at once.
const CLIENTS: &str = "
import math, random, threading, time
from opensecureconf_client import OpenSecureConfClient
from urllib.parse import urlsplit
host = urlsplit(os.environ['ENDPOINT']).hostname
name, namespace = host.split('.')[:2]
def node(ordinal):
    return connect(f'http://{name}-{ordinal}.{name}-nodes.{namespace}.svc:9000')
end = time.monotonic() + SECONDS
def trying(what):
    try:
        what()
    except Exception:
        pass
def pause(rate):
    wave = 1 + 0.8 * math.sin(time.monotonic() / 25)
    time.sleep(random.expovariate(rate * wave))
def reader():
    own = connect()
    while time.monotonic() < end:
        trying(lambda: own.read(f'entry-{random.randrange(100)}'))
        pause(12)
def writer(number):
    own, round = connect(), 0
    while time.monotonic() < end:
        key = f'entry-{number}-{round}'
        trying(lambda: own.create(key, {'round': round, 'text': 'x' * random.randrange(2000)}))
        trying(lambda: own.update(f'entry-{random.randrange(100)}', {'round': round}))
        if round % 3 == 0:
            trying(lambda: own.delete(key))
        if round % 5 == 0:
            trying(own.list_all)
        round += 1
        pause(4)
def together():
    first, second = node(0), node(1)
    while time.monotonic() < end:
        both = [threading.Thread(target=trying, args=(lambda one=one: one.update('entry-0', {'by': str(one)}),)) for one in (first, second)]
        for one in both: one.start()
        for one in both: one.join()
        pause(1)
def stranger():
    while time.monotonic() < end:
        other = OpenSecureConfClient(
            base_url=os.environ['ENDPOINT'], user_key=f'a-guess-{random.random()}', api_key=os.environ['API_KEY'])
        trying(lambda: other.read('entry-1'))
        trying(lambda: client.create('entry-1', {'twice': True}))
        pause(0.2)
for number in range(100):
    trying(lambda: client.create(f'entry-{number}', {'number': number}, 'load'))
threads = [threading.Thread(target=reader) for _ in range(4)]
threads += [threading.Thread(target=writer, args=(number,)) for number in range(2)]
threads += [threading.Thread(target=together), threading.Thread(target=stranger)]
for thread in threads: thread.start()
for thread in threads: thread.join()
";

/// Makes the cluster and keeps it under load for this time; for a fifth of it one node is away.
pub(crate) async fn run(stage: &Stage, time: Duration) -> anyhow::Result<()> {
    let cluster = json!({
        "apiVersion": "opensecureconf.io/v1alpha1",
        "kind": "OpenSecureConfCluster",
        "metadata": { "name": "config" },
        "spec": { "replicas": 3, "monitoring": { "serviceMonitor": { "interval": "5s" } } },
    });
    stage.apply_value(&cluster).await?;
    stage.until_condition("config", "Ready", "True").await?;
    let workload = Workload {
        stage,
        cluster: "config",
    };
    let script = CLIENTS.replace("SECONDS", &time.as_secs().to_string());
    let clients = workload.start(&script).await?;

    tokio::time::sleep(time * 2 / 5).await;
    // No room for another pod: the node that goes stays away. The clients are the third pod then.
    let limit = PodLimit::set(stage, 3).await?;
    stage
        .api::<Pod>()
        .delete("config-2", &DeleteParams::default())
        .await?;
    tokio::time::sleep(time / 5).await;
    limit.lift().await?;
    tokio::time::sleep(time * 2 / 5).await;
    drop(clients);
    Ok(())
}
