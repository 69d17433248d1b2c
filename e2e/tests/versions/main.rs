//! A cluster of another revision is upgraded to this one and taken back, while clients write: `make e2e-versions REV=...`.
//! docs/upgrades.md has the promises.

mod later_database;
mod release;

use std::{io::Write, time::Instant};

use anyhow::ensure;
use kube::api::{DynamicObject, Patch, PatchParams};
use opensecureconf_e2e::{Clients, Stage, condition};
use release::Release;
use serde_json::{Value, json};

/// The name of the cluster.
const CLUSTER: &str = "config";

#[test]
fn operator_and_nodes_change_their_version_both_ways_and_lose_nothing() {
    Stage::tell("versions", |stage| async move {
        let (other, this) = (Release::other()?, Release::this()?);
        other.install().await?;
        stage.apply(&cluster()).await?;
        other.has_taken_over(&stage).await?;
        let machine = stage.control_plane().await?;
        let clients = Clients::start(&stage, CLUSTER, &machine).await?;

        let pods = release::pods(&stage).await?;
        let begun = Instant::now();
        this.install().await?;
        if this.takes_over_or_refuses(&stage).await? {
            report(&format!("from {other} to {this}"), begun);
            let begun = Instant::now();
            other.install().await?;
            other.has_taken_over(&stage).await?;
            report(&format!("back to {other}"), begun);
            let begun = Instant::now();
            this.install().await?;
            this.has_taken_over(&stage).await?;
            report(&format!("to {this} again"), begun);
            later_database::stops_a_rollout_at_its_first_pod(&stage, &other).await?;
        } else {
            // Another layout: the operator touches nothing, and the operator that made the cluster goes on with it.
            report(&format!("{this} refuses what {other} made"), begun);
            ensure!(release::pods(&stage).await? == pods, "a pod was touched");
            other.install().await?;
            other.has_taken_over(&stage).await?;
        }

        let met = clients.end().await?;
        let all = met.all();
        report(
            &format!(
                "{} requests, {} failed, the slowest took {:.2} s; {} acknowledged writes, {} lost",
                all.requests, all.failed, all.slowest, met.summary.acknowledged, all.lost
            ),
            begun,
        );
        ensure!(all.lost == 0, "{:?}", met.losses);
        Ok(())
    });
}

/// Only fields of the resource's first release.
fn cluster() -> String {
    format!(
        "
apiVersion: opensecureconf.io/v1alpha1
kind: OpenSecureConfCluster
metadata: {{name: {CLUSTER}}}
spec: {{replicas: 3}}
"
    )
}

/// Changes the spec, as `kubectl patch --type merge` does it.
async fn want(stage: &Stage, spec: Value) -> anyhow::Result<()> {
    let change = Patch::Merge(json!({ "spec": spec }));
    let parameters = PatchParams::default();
    stage
        .clusters()
        .patch(CLUSTER, &parameters, &change)
        .await?;
    Ok(())
}

/// Whether the status of the current generation reports that all nodes serve.
fn is_ready(cluster: &DynamicObject) -> bool {
    condition(cluster, "Ready").is_some_and(|(status, _, generation)| {
        status == "True" && generation == cluster.metadata.generation
    })
}

fn report(what: &str, since: Instant) {
    let _ = writeln!(
        std::io::stderr(),
        "[story] {what}: {:.1} s",
        since.elapsed().as_secs_f64()
    );
}
