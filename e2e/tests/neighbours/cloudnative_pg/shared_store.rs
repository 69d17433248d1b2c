//! Nodes without a store of their own, on a PostgreSQL of three instances whose primary goes away under load.

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use opensecureconf_e2e::{Stage, Workload};
use serde_json::json;

use super::{clusters, current_primary, postgresql};
use crate::report;

/// Checks while the primary goes: nodes answer again by themselves, and every node that answers has each acknowledged create.
/// The entry 'load' ends the load.
const LOAD: &str = r"
import json, time

made, refused, longest, since, number = [], 0, 0.0, None, 0
while True:
    try:
        if client.read('load')['value'] == 'off':
            break
        client.create(f'entry-{number}', number)
        made.append(number)
        if since is not None:
            longest, since = max(longest, time.monotonic() - since), None
    except Exception:
        refused += 1
        since = since if since is not None else time.monotonic()
    # The outcome of one that failed is unknown: the next one has another name.
    number += 1
    time.sleep(0.02)
lost = [number for number in made if client.read(f'entry-{number}')['value'] != number]
assert not lost, lost
print(json.dumps({'acknowledged': len(made), 'refused': refused, 'longest': longest}))
";
/// Ends the load, as soon as a node accepts the write.
const OFF: &str = r"
import time

while True:
    try:
        client.update('load', 'off')
        break
    except Exception:
        time.sleep(0.1)
";

#[test]
fn nodes_that_keep_nothing_outlive_the_primary_of_their_database() {
    Stage::tell("shared-store", |stage| async move {
        postgresql(&stage, 3).await?;
        let applied = Instant::now();
        let resource = json!({
            "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster",
            "metadata": { "name": "config" },
            "spec": { "mode": "Shared", "replicas": 3, "database": {
                "secretRef": { "name": "shared-app" }, "caSecretRef": { "name": "shared-ca" },
            } },
        });
        stage.apply_value(&resource).await?;
        for type_ in ["Ready", "DatabaseReachable", "SaltMatches"] {
            stage.until_condition("config", type_, "True").await?;
        }
        report("from apply to three nodes on one database", applied);
        let sets = stage.api::<StatefulSet>().get_opt("config").await?;
        ensure!(sets.is_none(), "there is a StatefulSet");
        stage.api::<Deployment>().get("config").await?;
        let claims = ListParams::default().labels("app.kubernetes.io/instance=config");
        let claims = stage.api::<PersistentVolumeClaim>().list(&claims).await?;
        ensure!(claims.items.is_empty(), "nodes have volumes: {claims:?}");

        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        workload.run("client.create('load', 'on')").await?;
        let load = workload.start(LOAD).await?;
        let clusters = clusters(&stage);
        let found = clusters.get("shared").await?;
        let primary = current_primary(&found).context("no primary")?;
        let killed = Instant::now();
        let pods = stage.api::<Pod>();
        pods.delete(primary, &DeleteParams::default()).await?;
        let another = |found: Option<&DynamicObject>| {
            let now = found.and_then(current_primary);
            now.is_some_and(|now| now != primary)
        };
        stage
            .until(clusters, "shared", "another primary", another)
            .await?;
        report("another primary", killed);
        workload.run(OFF).await?;
        let told = load.end().await?;
        report(&format!("the primary went away: {}", told.trim()), killed);
        stage.until_condition("config", "Ready", "True").await?;
        Ok(())
    });
}
