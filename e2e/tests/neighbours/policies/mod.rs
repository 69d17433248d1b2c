//! Network policies, enforced: which source reaches which port of a node, before and after there is a policy.

mod doors;

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use opensecureconf_e2e::Stage;
use serde_json::{Value, json};

use doors::{
    CLIENT, Doors, ELSEWHERE, FALSE_NODE, FALSE_OPERATOR, MACHINE, NODE, OPERATOR, OTHER_CLUSTER,
    OUTSIDE, PORTS, PROMETHEUS, SELF_STYLED, Table, UNLISTED,
};

#[test]
fn each_port_is_open_to_whom_it_is_meant_for() {
    Stage::tell("policies", |stage| async move {
        let monitoring = stage.beside("monitoring").await?;
        stage
            .apply(
                "
apiVersion: opensecureconf.io/v1alpha1
kind: OpenSecureConfCluster
metadata: {name: demo}
spec: {replicas: 2, networkPolicy: {enabled: false}}
",
            )
            .await?;
        stage.until_condition("demo", "Ready", "True").await?;
        let before = readiness(&stage).await?;
        let mut doors = Doors::open(&stage, &monitoring).await?;

        // Without a policy every source gets through, so every refusal below comes from the policy.
        let everything = set(&PORTS);
        let pods = doors.sources.iter().filter(|source| **source != OUTSIDE);
        let all = pods.map(|source| (*source, everything.clone())).collect();
        doors.until("no policy", all).await?;

        change(&stage, &json!({ "networkPolicy": { "enabled": true } })).await?;
        let clients: &[u16] = &[9000, 9443];
        let any = |more: &[u16]| set(&[clients, more].concat());
        let mut by_default = Table::from([
            (NODE, any(&[9001])),
            (OPERATOR, any(&[9001])),
            (PROMETHEUS, any(&[9002])),
            (SELF_STYLED, any(&[9002])),
        ]);
        for source in [
            CLIENT,
            UNLISTED,
            OTHER_CLUSTER,
            ELSEWHERE,
            FALSE_OPERATOR,
            FALSE_NODE,
        ] {
            by_default.insert(source, any(&[]));
        }
        doors.until("nothing named", by_default.clone()).await?;

        let listed = json!({ "podSelector": { "matchLabels": { "role": "client" } } });
        let metrics = json!([{
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": monitoring.namespace } },
            "podSelector": { "matchLabels": { "app.kubernetes.io/name": "prometheus" } },
        }]);
        let named = json!({ "networkPolicy": { "clients": [listed], "metrics": metrics } });
        change(&stage, &named).await?;
        let few = Table::from([
            (NODE, set(&[9001])),
            (OPERATOR, set(&[9001])),
            (CLIENT, set(clients)),
            (PROMETHEUS, set(&[9002])),
        ]);
        doors
            .until("clients and metrics named", few.clone())
            .await?;

        change(
            &stage,
            &json!({ "service": { "type": "NodePort", "exposePlainHttp": true } }),
        )
        .await?;
        doors.enter_by_node_ports(&stage).await?;
        doors
            .until("a node port, clients named", few.clone())
            .await?;

        // A connection through a node port has only its address, which stays the same where the machine runs a node of its own.
        let address = format!("{}/32", doors.own_address().await?);
        let block = json!({ "ipBlock": { "cidr": address } });
        let outside = json!({
            "networkPolicy": { "clients": [listed, block] }, "service": { "externalTrafficPolicy": "Local" },
        });
        change(&stage, &outside).await?;
        let mut with_outside = few;
        with_outside.insert(OUTSIDE, set(clients));
        doors
            .until("a node port, the address outside named", with_outside)
            .await?;

        let open = json!({
            "networkPolicy": { "clients": [], "metrics": [] }, "service": { "externalTrafficPolicy": null },
        });
        change(&stage, &open).await?;
        let mut by_node_port = by_default;
        for source in [MACHINE, OUTSIDE] {
            by_node_port.insert(source, set(clients));
        }
        doors
            .until("a node port, nothing named", by_node_port)
            .await?;

        // Probes have passed all along, and no node lost a peer.
        ensure!(
            readiness(&stage).await? == before,
            "a pod was not ready for a while"
        );
        stage.until_condition("demo", "Replicated", "True").await?;
        stage.until_condition("demo", "Ready", "True").await?;
        Ok(())
    });
}

/// When each pod became ready, and how often it was restarted.
async fn readiness(stage: &Stage) -> anyhow::Result<Value> {
    let mut all = serde_json::Map::new();
    for name in ["demo-0", "demo-1"] {
        let status = stage
            .api::<Pod>()
            .get(name)
            .await?
            .status
            .context("no status")?;
        let ready = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready")
            .map(|condition| json!([condition.status, condition.last_transition_time]));
        let restarts = status
            .container_statuses
            .iter()
            .flatten()
            .map(|container| container.restart_count);
        all.insert(
            name.to_owned(),
            json!([ready, restarts.collect::<Vec<_>>()]),
        );
    }
    Ok(all.into())
}

async fn change(stage: &Stage, spec: &Value) -> anyhow::Result<()> {
    let change = Patch::Merge(json!({ "spec": spec }));
    stage
        .clusters()
        .patch("demo", &PatchParams::default(), &change)
        .await?;
    Ok(())
}

fn set(ports: &[u16]) -> BTreeSet<u16> {
    ports.iter().copied().collect()
}
