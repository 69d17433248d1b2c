//! A volume comes back from before its cluster was bootstrapped anew: two clusters under one name, with one salt.

use std::time::Instant;

use anyhow::ensure;
use opensecureconf_e2e::{IMAGE, Stage, over_volume};
use serde_json::json;

use super::{Desk, READS, WRITES, command, ready, sleep, told, told_of, until_another_claim, want};
use crate::{
    replication::{run, three_nodes},
    report,
};

/// The volume that comes back.
const CLAIM: &str = "data-config-2";
/// Prints everything that a volume holds.
const KEEP: &str = "
import base64, io, tarfile
kept = io.BytesIO()
with tarfile.open(fileobj=kept, mode='w:gz') as archive:
    archive.add('/data', arcname='.')
print(base64.b64encode(kept.getvalue()).decode())
";
/// Puts the older content in the place of the volume's.
const BRING_BACK: &str = "
import base64, io, os, shutil, tarfile
for name in os.listdir('/data'):
    path = os.path.join('/data', name)
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
with tarfile.open(fileobj=io.BytesIO(base64.b64decode('KEPT'))) as archive:
    for file in archive:
        if file.isfile():
            archive.extract(file, '/data')
";

#[test]
fn a_volume_from_before_the_cluster_began_anew_is_copied_given_up_and_brought_in() {
    Stage::tell("cluster-uid", |stage| async move {
        let desk = Desk::open()?;
        three_nodes(&stage).await?;
        run(&stage, WRITES).await?;
        sleep(&stage).await?;
        let kept = python_over(&stage, KEEP).await?;

        // All disks are lost, except for a snapshot of one.
        desk.run(&format!(
            "kubectl delete pvc data-config-0 data-config-1 {CLAIM} -n {}",
            stage.namespace
        ))?;
        want(&stage, json!({ "hibernate": false })).await?;
        let lost = told(&stage, "Stalled", "BootstrapNodeLost").await?;
        desk.run(&command(&lost, "annotate")?)?;
        ready(&stage).await?;
        run(&stage, "client.create('later', {'n': 43})").await?;
        sleep(&stage).await?;
        python_over(&stage, &BRING_BACK.replace("KEPT", kept.trim())).await?;
        want(&stage, json!({ "hibernate": false })).await?;

        let began = Instant::now();
        // Until all have answered, the status has the commands for both ways.
        let said = told_of(&stage, "config-0 and config-1 to cluster").await?;
        ensure!(!said.contains("Decide"), "{said}");
        report("until the status tells of two clusters", began);
        let claims = super::claims(&stage).await?;
        desk.run(&command(&said, "osc-node backup")?)?;
        desk.run(&command(&said, "delete pvc")?)?;
        until_another_claim(&stage, claims.get(2)).await?;
        ready(&stage).await?;
        desk.run(&command(&said, "osc-node import")?)?;
        ready(&stage).await?;
        run(&stage, READS).await?;
        run(
            &stage,
            "
for ordinal in range(3):
    assert node(ordinal).read('later')['value'] == {'n': 43}, ordinal
",
        )
        .await?;
        let after = super::claims(&stage).await?;
        ensure!(after.first() == claims.first() && after.get(1) == claims.get(1));
        report("from two clusters to one with the entries of both", began);
        Ok(())
    });
}

async fn python_over(stage: &Stage, script: &str) -> anyhow::Result<String> {
    let python = json!({ "image": IMAGE, "command": ["/usr/bin/python3", "-c", script] });
    over_volume(stage, CLAIM, python).await
}
