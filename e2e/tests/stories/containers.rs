//! Containers that users add to the pod: some run first, some beside the node, one begins first and goes on (a native sidecar).

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{
    ResourceExt,
    api::{LogParams, Patch, PatchParams},
};
use opensecureconf_e2e::{IMAGE, Stage, Workload};
use serde_json::{Value, json};

use crate::report;

/// The work of a container until it is stopped gracefully.
const STAYS: &str = "
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('here')
sys.stdout.flush()
signal.pause()
";

/// A container that meets the restricted Pod Security Standard.
fn container(name: &str, script: &str) -> Value {
    json!({
        "name": name,
        "image": IMAGE,
        "command": ["/usr/bin/python3", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    })
}

#[test]
fn containers_of_the_users_own_run_before_and_beside_a_node() {
    Stage::tell("containers", |stage| async move {
        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        let mut native = container("native", STAYS);
        native["restartPolicy"] = json!("Always");
        let additions = json!({
            "initContainers": [native, container("first", "print('done')")],
            "sidecars": [container("beside", STAYS)],
        });
        let applied = Instant::now();
        stage
            .apply_value(&json!({
                "apiVersion": "opensecureconf.io/v1alpha1",
                "kind": "OpenSecureConfCluster",
                "metadata": { "name": "config" },
                "spec": { "replicas": 3, "podTemplate": additions },
            }))
            .await?;
        stage.until_condition("config", "Ready", "True").await?;
        report(
            "from apply to Ready, three nodes with containers of the user's",
            applied,
        );
        workload.run("client.create('db', {'port': 5432})").await?;

        let pods = stage.api::<Pod>();
        let before = pods.get("config-0").await?;
        for (name, runs) in [
            ("native", true),
            ("first", false),
            ("beside", true),
            ("node", true),
        ] {
            let status = status(&before, name)?;
            ensure!(is_running(status) == runs, "{status:?}");
            ensure!(status.restart_count == 0, "{status:?}");
        }
        // `kubectl logs` without a name means the node.
        let spec = before.spec.as_ref().context("no spec")?;
        ensure!(
            spec.containers
                .first()
                .is_some_and(|first| first.name == "node")
        );
        let of_node = LogParams {
            container: Some("node".to_owned()),
            ..LogParams::default()
        };
        ensure!(
            pods.logs("config-0", &of_node)
                .await?
                .contains("node_started")
        );

        // Another sidecar enters pod by pod, and no entry is lost.
        let changed = Instant::now();
        let mut other = container("beside", STAYS);
        other["env"] = json!([{ "name": "AGAIN", "value": "1" }]);
        let patch = json!({ "spec": { "podTemplate": { "sidecars": [other] } } });
        stage
            .clusters()
            .patch("config", &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        for ordinal in 0..3 {
            let name = format!("config-{ordinal}");
            let is_anew = |found: Option<&Pod>| {
                found.is_some_and(|pod| {
                    let beside = pod.spec.iter().flat_map(|spec| &spec.containers);
                    let mut anew = beside.filter(|container| container.name == "beside");
                    anew.any(|container| container.env.as_ref().is_some_and(|all| !all.is_empty()))
                })
            };
            stage
                .until(pods.clone(), &name, "with another sidecar", is_anew)
                .await?;
        }
        stage.until_condition("config", "Ready", "True").await?;
        report("three nodes have another sidecar", changed);
        let read = workload.run("print(client.read('db')['value'])").await?;
        ensure!(read.contains("5432"), "{read}");
        let after = pods.get("config-0").await?;
        ensure!(after.uid() != before.uid());
        // A node ends first, and a native sidecar after it: neither keeps the pod until it is killed.
        ensure!(is_running(status(&after, "native")?));
        Ok(())
    });
}

fn status<'p>(pod: &'p Pod, name: &str) -> anyhow::Result<&'p ContainerStatus> {
    let status = pod.status.as_ref().context("no status")?;
    let first = status.init_container_statuses.iter().flatten();
    let mut all = first.chain(status.container_statuses.iter().flatten());
    all.find(|container| container.name == name)
        .with_context(|| format!("no container {name}"))
}

fn is_running(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}
