//! Volumes as file systems of their own, whose size is real: one fills up and grows; a machine starts again.

use std::{process::Command, time::Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use opensecureconf_e2e::{Stage, Workload, condition};
use serde_json::json;

use crate::report;

/// For how many seconds writes are refused until the operator has looked meanwhile: it does every 30 s.
const AFTER_A_LOOK: u32 = 35;

/// The first lines of every script: entries of 600 kB, whose values follow from their keys.
const ENTRIES: &str = "
import hashlib, http.client, json, time
headers = {'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY'], 'Content-Type': 'application/json'}
nodes = [f'demo-{index}.demo-nodes.' + os.environ['ENDPOINT'].split('.')[1] + '.svc' for index in (0, 1)]
def ask(node, method, path, body=None):
    connection = http.client.HTTPConnection(node, 9000, timeout=30)
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
def value(key):
    return hashlib.shake_256(key.encode()).hexdigest(300_000)
def create(node, key):
    return ask(node, 'POST', '/configs', {'key': key, 'value': value(key)})
def fill(node, prefix, refused_for=2):
    number = 0
    while True:
        status, answer = create(node, f'{prefix}{number}')
        if status == 201:
            number += 1
            continue
        assert (status, answer['detail']) == (507, 'The disk is full; nothing was written'), (status, answer)
        assert ask(node, 'GET', f'/configs/{prefix}{number}')[0] == 404
        # SQLite's log gives back what it took later, on a busy machine seconds later; then there may be room for one more.
        if not takes(node, refused_for):
            return number
def takes(node, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ask(node, 'GET', '/health')[1]['writes'] == 'accepted':
            return True
        time.sleep(0.1)
    return False
def hold(keys):
    for node in nodes:
        for key in keys:
            status, answer = ask(node, 'GET', f'/configs/{key}')
            assert status == 200 and answer['value'] == value(key), (node, key, status)
";

#[test]
fn a_full_volume_refuses_writes_until_it_has_space_again() {
    Stage::tell("volumes", |stage| async move {
        let applied = Instant::now();
        stage
            .apply(
                "
apiVersion: opensecureconf.io/v1alpha1
kind: OpenSecureConfCluster
metadata: {name: demo}
spec: {replicas: 2, storage: {size: 128Mi}}
",
            )
            .await?;
        for node in [0, 1] {
            let bound = until_capacity(&stage, node, "128Mi").await?;
            ensure!(kind(&stage, &bound).await? == "file-system");
        }
        report("two volumes are bound", applied);
        stage.until_condition("demo", "Ready", "True").await?;
        report("from apply to Ready", applied);
        let before = restarts(&stage).await?;
        let workload = Workload {
            stage: &stage,
            cluster: "demo",
        };
        let run = async |script: &str| workload.run(&format!("{ENTRIES}{script}")).await;

        let begun = Instant::now();
        let printed = run(&format!("print(fill(nodes[0], 'first', {AFTER_A_LOOK}))")).await?;
        let first: u32 = printed.trim().parse()?;
        report(&format!("{first} entries of 600 kB fill a volume"), begun);
        ensure!(
            (50..128 * 1024 / 600).contains(&first),
            "{first} entries in 128Mi"
        );
        let refuses = |found: Option<&DynamicObject>| {
            found
                .and_then(|cluster| condition(cluster, "Ready"))
                .is_some_and(|(status, reason, _)| (status, reason) == ("False", "WritesRefused"))
        };
        stage
            .until(stage.clusters(), "demo", "WritesRefused", refuses)
            .await?;
        report("until the status tells", begun);

        // Reads and deletes go on, and deletes make room.
        run(&format!(
            "
hold(f'first{{number}}' for number in range({first}))
for number in range(5):
    assert ask(nodes[0], 'DELETE', f'/configs/first{{number}}')[0] == 200
# Deletes take space in SQLite's log at first, which is emptied once nobody writes.
assert takes(nodes[0], 10)
assert create(nodes[0], 'again')[0] == 201
fill(nodes[0], 'more')
"
        ))
        .await?;

        let grown = Instant::now();
        for node in [0, 1] {
            request(&stage, node, "256Mi").await?;
        }
        for node in [0, 1] {
            until_capacity(&stage, node, "256Mi").await?;
        }
        report("two volumes have grown", grown);
        let kept =
            format!("hold(['again', *(f'first{{number}}' for number in range(5, {first}))])\n");
        run(&format!(
            "
for node in nodes:
    assert create(node, f'grown-{{node}}')[0] == 201, node
{kept}
hold(f'grown-{{node}}' for node in nodes)
"
        ))
        .await?;
        stage.until_condition("demo", "Ready", "True").await?;
        ensure!(restarts(&stage).await? == before, "a pod was restarted");

        // The restart of a machine loses none of this, and no node begins with an empty folder.
        let machine = machine(&stage, 1).await?;
        let restarted = Instant::now();
        let docker = Command::new("docker")
            .args(["restart", &machine])
            .output()?;
        ensure!(docker.status.success(), "{docker:?}");
        let again = |found: Option<&Pod>| {
            found.is_some_and(|pod| pod_restarts(pod) > before[1] && is_ready(pod))
        };
        stage
            .until(stage.api(), "demo-1", "started again", again)
            .await?;
        report("a machine starts again", restarted);
        run(&format!(
            "{kept}hold(f'grown-{{node}}' for node in nodes)\n"
        ))
        .await?;
        Ok(())
    });
}

#[test]
fn a_volume_that_cannot_grow_says_so() {
    Stage::tell("volumes-fixed", |stage| async move {
        let cluster = |name: &str, class: &str| {
            json!({
                "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster", "metadata": { "name": name },
                "spec": { "replicas": 1, "storage": { "size": "64Mi", "storageClassName": class } },
            })
        };
        stage.apply_value(&cluster("demo", "fixed-size")).await?;
        until_capacity(&stage, 0, "64Mi").await?;
        let refusal = request(&stage, 0, "128Mi")
            .await
            .err()
            .context("accepted")?;
        let refusal = format!("{refusal:?}");
        ensure!(refusal.contains("must support resize"), "{refusal}");

        stage.apply_value(&cluster("other", "standard")).await?;
        let claims = stage.api::<PersistentVolumeClaim>();
        let bound =
            |found: Option<&PersistentVolumeClaim>| found.is_some_and(|it| capacity(it) == "64Mi");
        stage
            .until(claims.clone(), "data-other-0", "bound", bound)
            .await?;
        grow(&stage, "data-other-0", "1Ti").await?;
        let failed = |found: Option<&PersistentVolumeClaim>| {
            let mut conditions = found
                .and_then(|claim| claim.status.as_ref())
                .into_iter()
                .flat_map(|status| status.conditions.iter().flatten());
            conditions.any(|condition| condition.type_ == "ControllerResizeError")
        };
        let found = stage
            .until(claims.clone(), "data-other-0", "refused", failed)
            .await?;
        ensure!(found.is_some_and(|claim| capacity(&claim) == "64Mi"));
        // Grows again, as far as the volume can.
        grow(&stage, "data-other-0", "96Mi").await?;
        let grown = |found: Option<&PersistentVolumeClaim>| {
            found.is_some_and(|claim| capacity(claim) == "96Mi") && !failed(found)
        };
        stage.until(claims, "data-other-0", "grown", grown).await?;
        Ok(())
    });
}

async fn request(stage: &Stage, node: u32, size: &str) -> anyhow::Result<()> {
    grow(stage, &format!("data-demo-{node}"), size).await
}

async fn grow(stage: &Stage, claim: &str, size: &str) -> anyhow::Result<()> {
    let change =
        Patch::Merge(json!({ "spec": { "resources": { "requests": { "storage": size } } } }));
    let claims = stage.api::<PersistentVolumeClaim>();
    claims
        .patch(claim, &PatchParams::default(), &change)
        .await?;
    Ok(())
}

/// Waits until a node's claim has this much.
async fn until_capacity(
    stage: &Stage,
    node: u32,
    size: &str,
) -> anyhow::Result<PersistentVolumeClaim> {
    let has = |found: Option<&PersistentVolumeClaim>| found.is_some_and(|it| capacity(it) == size);
    let name = format!("data-demo-{node}");
    let claim = stage.until(stage.api(), &name, size, has).await?;
    claim.context("the claim is gone")
}

fn capacity(claim: &PersistentVolumeClaim) -> &str {
    claim
        .status
        .as_ref()
        .and_then(|status| status.capacity.as_ref()?.get("storage"))
        .map_or("", |size| size.0.as_str())
}

/// The kind of storage behind a volume.
async fn kind(stage: &Stage, claim: &PersistentVolumeClaim) -> anyhow::Result<String> {
    let volumes: Api<PersistentVolume> = Api::all(stage.client.clone());
    let name = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref());
    let volume = volumes.get(name.context("not bound")?).await?;
    let mut annotations = volume.metadata.annotations.unwrap_or_default();
    annotations
        .remove("opensecureconf.io/volume-kind")
        .context("a volume of another kind")
}

async fn machine(stage: &Stage, node: u32) -> anyhow::Result<String> {
    let pod = stage.api::<Pod>().get(&format!("demo-{node}")).await?;
    pod.spec
        .and_then(|spec| spec.node_name)
        .context("no machine")
}

async fn restarts(stage: &Stage) -> anyhow::Result<Vec<i32>> {
    let mut all = Vec::new();
    for name in ["demo-0", "demo-1"] {
        all.push(pod_restarts(&stage.api::<Pod>().get(name).await?));
    }
    Ok(all)
}

fn pod_restarts(pod: &Pod) -> i32 {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
