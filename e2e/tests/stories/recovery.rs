//! States that only a person can end, by the commands that the status itself names.

mod cluster_uid;

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use opensecureconf_e2e::{IMAGE, Stage, condition, over_volume};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    replication::{run, three_nodes},
    report,
};

const WRITES: &str = "client.create('kept', {'n': 42})";
const READS: &str = "
for ordinal in range(3):
    assert node(ordinal).read('kept')['value'] == {'n': 42}, ordinal
";
const DATABASE: &str = "/data/configurations.db";

/// Where commands leave and find files.
struct Desk(TempDir);

impl Desk {
    fn open() -> anyhow::Result<Self> {
        Ok(Self(TempDir::new()?))
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.0.path().join(file)
    }

    /// Runs a command as a person types it.
    fn run(&self, command: &str) -> anyhow::Result<()> {
        let folder: &Path = self.0.path();
        // A command that never ends fails here, and not only when the run of all stories times out.
        let mut shell = Command::new("timeout");
        let ran = shell
            .args(["180", "bash", "-c", command])
            .current_dir(folder)
            .output()
            .with_context(|| format!("no shell for {command}"))?;
        let told = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "{command}\n{told}");
        Ok(())
    }
}

/// The commands in a condition's message, in their order, each once.
fn commands(message: &str) -> Vec<String> {
    let quoted = message.split('`').skip(1).step_by(2);
    let mut found = Vec::new();
    for command in quoted.filter(|text| text.starts_with("kubectl ")) {
        if !found.iter().any(|other| other == command) {
            found.push(command.to_owned());
        }
    }
    found
}

/// That command which does this.
fn command(message: &str, what: &str) -> anyhow::Result<String> {
    let mut found = commands(message).into_iter();
    found
        .find(|command| command.contains(what))
        .with_context(|| format!("no command with {what} in: {message}"))
}

fn message(cluster: &DynamicObject, type_: &str) -> String {
    let conditions = cluster.data.pointer("/status/conditions");
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let told = conditions.find(|condition| condition["type"] == type_);
    told.and_then(|told| told["message"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Waits until a condition has this reason, and gives its message.
async fn told(stage: &Stage, type_: &str, reason: &str) -> anyhow::Result<String> {
    let is = |found: Option<&DynamicObject>| {
        let told = found.and_then(|cluster| condition(cluster, type_));
        told.is_some_and(|(_, told, _)| told == reason)
    };
    let what = format!("{type_}: {reason}");
    let cluster = stage.until(stage.clusters(), "config", &what, is).await?;
    Ok(message(&cluster.context("the cluster is gone")?, type_))
}

/// Waits until the message of condition `Ready` contains these words, and gives all of it.
async fn told_of(stage: &Stage, words: &str) -> anyhow::Result<String> {
    let says = |found: Option<&DynamicObject>| {
        found.is_some_and(|cluster| message(cluster, "Ready").contains(words))
    };
    let what = format!("telling of '{words}'");
    let cluster = stage.until(stage.clusters(), "config", &what, says).await?;
    Ok(message(&cluster.context("the cluster is gone")?, "Ready"))
}

async fn want(stage: &Stage, spec: Value) -> anyhow::Result<()> {
    let change = Patch::Merge(json!({ "spec": spec }));
    let parameters = PatchParams::default();
    stage
        .clusters()
        .patch("config", &parameters, &change)
        .await?;
    Ok(())
}

async fn ready(stage: &Stage) -> anyhow::Result<DynamicObject> {
    stage.until_condition("config", "Ready", "True").await
}

async fn sleep(stage: &Stage) -> anyhow::Result<()> {
    want(stage, json!({ "hibernate": true })).await?;
    told(stage, "Ready", "Hibernated").await.map(drop)
}

/// Each volume goes, as if its machine had burnt.
fn lose_all_volumes(stage: &Stage, desk: &Desk) -> anyhow::Result<()> {
    let namespace = &stage.namespace;
    desk.run(&format!(
        "kubectl delete pvc data-config-0 data-config-1 data-config-2 -n {namespace} --wait=false && \
         kubectl delete pod config-0 config-1 config-2 -n {namespace} --grace-period=1 --wait=false"
    ))
}

/// The backups of a careful user.
fn back_up(stage: &Stage, desk: &Desk) -> anyhow::Result<()> {
    let namespace = &stage.namespace;
    desk.run(&format!(
        "kubectl exec config-0 -n {namespace} -c node -- osc-node backup --output - > backup.db"
    ))
}

/// From `BootstrapNodeLost` to entries that are read again.
async fn begin_anew(stage: &Stage, desk: &Desk) -> anyhow::Result<()> {
    let lost = told(stage, "Stalled", "BootstrapNodeLost").await?;
    desk.run(&command(&lost, "annotate")?)?;
    ready(stage).await?;
    desk.run(&command(&lost, "osc-node import")?)?;
    ready(stage).await?;
    run(stage, READS).await.map(drop)
}

#[test]
fn a_cluster_that_lost_all_its_disks_begins_anew_with_a_backup() {
    Stage::tell("disks-lost", |stage| async move {
        let desk = Desk::open()?;
        three_nodes(&stage).await?;
        run(&stage, WRITES).await?;
        back_up(&stage, &desk)?;

        let lost = Instant::now();
        lose_all_volumes(&stage, &desk)?;
        begin_anew(&stage, &desk).await?;
        report("from all disks lost to the entries of a backup", lost);
        Ok(())
    });
}

#[test]
fn a_lost_salt_comes_back_from_volumes_that_sleep_and_from_a_backup() {
    Stage::tell("salt-lost", |stage| async move {
        let desk = Desk::open()?;
        let before = three_nodes(&stage).await?;
        let fingerprint = before.data.pointer("/status/saltFingerprint").cloned();
        run(&stage, WRITES).await?;
        back_up(&stage, &desk)?;
        let forget = format!(
            "kubectl delete secret config-salt -n {} --wait=false",
            stage.namespace
        );

        let lost = Instant::now();
        sleep(&stage).await?;
        desk.run(&forget)?;
        let missing = told(&stage, "Stalled", "SaltMissing").await?;
        desk.run(&command(&missing, "hibernate")?)?;
        let after = ready(&stage).await?;
        ensure!(after.data.pointer("/status/saltFingerprint").cloned() == fingerprint);
        run(&stage, READS).await?;
        report("from a lost salt to the one of a volume", lost);

        let lost = Instant::now();
        lose_all_volumes(&stage, &desk)?;
        told(&stage, "Stalled", "BootstrapNodeLost").await?;
        desk.run(&forget)?;
        let missing = told(&stage, "Stalled", "SaltMissing").await?;
        desk.run(&command(&missing, "salt export --from -")?)?;
        desk.run(&command(&missing, "create secret")?)?;
        let after = ready(&stage).await?;
        ensure!(after.data.pointer("/status/saltFingerprint").cloned() == fingerprint);
        desk.run(&format!(
            "kubectl exec -i config-0 -n {} -c node -- osc-node import --from - < backup.db",
            stage.namespace
        ))?;
        ready(&stage).await?;
        run(&stage, READS).await?;
        report("from a lost salt and lost disks to those of a backup", lost);
        Ok(())
    });
}

#[test]
fn nodes_that_are_all_fenced_are_copied_and_begin_anew() {
    Stage::tell("all-fenced", |stage| async move {
        let desk = Desk::open()?;
        let cluster = three_nodes(&stage).await?;
        run(&stage, WRITES).await?;
        let image = cluster.data.pointer("/status/image").cloned();

        // Somebody restores each volume from a copy, and leaves out that their cluster is gone.
        for ordinal in 0..3 {
            desk.run(&format!(
                "kubectl exec config-{ordinal} -n {} -c node -- osc-node backup --output /var/lib/opensecureconf/copy.db",
                stage.namespace
            ))?;
        }
        sleep(&stage).await?;
        for ordinal in 0..3 {
            let restore = json!({
                "image": image,
                "args": ["restore", "--input", "/data/copy.db", "--force", "--database-path", DATABASE, "--salt-file-path",
                    "/data/encryption.salt", "--cluster-node-id", format!("config-{ordinal}")],
            });
            over_volume(&stage, &format!("data-config-{ordinal}"), restore).await?;
        }
        want(&stage, json!({ "hibernate": false })).await?;

        let fenced = Instant::now();
        let stalled = told(&stage, "Stalled", "AllNodesFenced").await?;
        desk.run(&command(&stalled, "osc-node backup")?)?;
        std::fs::copy(desk.path("config-0.db"), desk.path("backup.db"))?;
        desk.run(&command(&stalled, "delete pvc")?)?;
        begin_anew(&stage, &desk).await?;
        report("from fenced nodes to their entries", fenced);
        Ok(())
    });
}

#[test]
fn volumes_of_another_day_bring_the_salt_that_they_were_written_with() {
    Stage::tell("other-day", |stage| async move {
        let desk = Desk::open()?;
        let before = three_nodes(&stage).await?;
        let fingerprint = before.data.pointer("/status/saltFingerprint").cloned();
        run(&stage, WRITES).await?;

        // The cluster was made anew meanwhile, and so has another salt than the volumes that come back.
        let namespace = &stage.namespace;
        desk.run(&format!("kubectl delete osc config -n {namespace}"))?;
        for ordinal in 0..3 {
            let pod = format!("config-{ordinal}");
            let is_gone = |found: Option<&Pod>| found.is_none();
            stage.until(stage.api(), &pod, "gone", is_gone).await?;
        }
        desk.run(&format!(
            "kubectl delete secret config-salt -n {namespace} --wait=false && head -c 64 /dev/urandom > other && \
             kubectl create secret generic config-salt -n {namespace} --from-file=salt=other"
        ))?;
        stage.apply_sample("three-nodes.yaml").await?;

        let refused = Instant::now();
        let said = told_of(&stage, "kubectl delete secret config-salt").await?;
        desk.run(&command(&said, "kubectl get secret")?)?;
        desk.run(&command(&said, "kubectl delete secret")?)?;
        let after = ready(&stage).await?;
        ensure!(after.data.pointer("/status/saltFingerprint").cloned() == fingerprint);
        ensure!(desk.path("config-salt.yaml").exists());
        run(&stage, READS).await?;
        report("from volumes of another day to their salt", refused);
        Ok(())
    });
}

#[test]
fn a_node_is_rebuilt_once_by_wish_and_once_because_its_database_is_damaged() {
    Stage::tell("rebuild", |stage| async move {
        let desk = Desk::open()?;
        let cluster = three_nodes(&stage).await?;
        run(&stage, WRITES).await?;
        let first = life(&cluster, 2)?;

        let asked = Instant::now();
        let claims = claims(&stage).await?;
        let entry = json!({ "name": "config-2", "incarnation": first });
        want(&stage, json!({ "rebuildMembers": [entry] })).await?;
        until_another_claim(&stage, claims.get(2)).await?;
        let cluster = ready(&stage).await?;
        let second = life(&cluster, 2)?;
        ensure!(second != first, "the same life goes on");
        run(&stage, READS).await?;
        report("a node is rebuilt", asked);

        // The entry is still there.
        sleep(&stage).await?;
        let before = self::claims(&stage).await?;
        let garbage = format!("open('{DATABASE}', 'r+b').write(b'no database ' * 4096)");
        let python = json!({ "image": IMAGE, "command": ["/usr/bin/python3", "-c", garbage] });
        over_volume(&stage, "data-config-2", python).await?;
        want(&stage, json!({ "hibernate": false })).await?;

        let damaged = Instant::now();
        let said = told_of(&stage, "rebuildMembers").await?;
        ensure!(said.contains(&second), "{said}");
        ensure!(
            self::claims(&stage).await? == before,
            "a claim went without a word"
        );
        desk.run(&command(&said, "rebuildMembers")?)?;
        until_another_claim(&stage, before.get(2)).await?;
        ready(&stage).await?;
        run(&stage, READS).await?;
        report("a damaged node is rebuilt", damaged);
        let after = self::claims(&stage).await?;
        ensure!(after.first() == before.first() && after.get(1) == before.get(1));
        Ok(())
    });
}

fn life(cluster: &DynamicObject, ordinal: usize) -> anyhow::Result<String> {
    let life = cluster
        .data
        .pointer(&format!("/status/members/{ordinal}/incarnation"))
        .and_then(Value::as_str);
    life.map(str::to_owned).context("no incarnation")
}

async fn claims(stage: &Stage) -> anyhow::Result<Vec<Option<String>>> {
    let claims = stage.api::<PersistentVolumeClaim>();
    let found = claims.list_metadata(&ListParams::default()).await?;
    Ok(found.items.iter().map(ResourceExt::uid).collect())
}

/// Waits until a new volume has the name of the last one.
async fn until_another_claim(stage: &Stage, before: Option<&Option<String>>) -> anyhow::Result<()> {
    let before = before.cloned().flatten();
    let is_another =
        |found: Option<&PersistentVolumeClaim>| found.is_some_and(|claim| claim.uid() != before);
    stage
        .until(stage.api(), "data-config-2", "another one", is_another)
        .await?;
    let serves = |found: Option<&Pod>| found.is_some_and(crate::serves);
    stage
        .until(stage.api(), "config-2", "serving", serves)
        .await?;
    Ok(())
}
