//! The cluster's machines, which are containers, and which pods run on them.

use anyhow::Context;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt, api::ListParams};
use opensecureconf_e2e::{Stage, command};

/// The pods of the cluster's nodes.
pub(crate) const NODES: &str = "app.kubernetes.io/instance=config,app.kubernetes.io/component=node";

/// A worker on which exactly one node of the cluster runs, so that no other node fails with it, and the name of its pod.
pub(crate) async fn worker_with_one_node(stage: &Stage) -> anyhow::Result<(String, String)> {
    let control_plane = stage.control_plane().await?;
    let nodes = ListParams::default().labels(NODES);
    let pods = stage.api::<Pod>().list(&nodes).await?;
    let placed: Vec<_> = pods
        .iter()
        .filter_map(|pod| Some((machine_of(pod)?, pod.name_any())))
        .collect();
    let alone = placed.iter().find(|(machine, _)| {
        *machine != control_plane
            && placed.iter().filter(|(other, _)| other == machine).count() == 1
    });
    alone
        .cloned()
        .with_context(|| format!("no worker has one node: {placed:?}"))
}

/// Where a pod runs.
pub(crate) fn machine_of(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

/// Waits until Kubernetes reports that a machine works, or that it does not.
pub(crate) async fn until_machine(
    stage: &Stage,
    machine: &str,
    is_wanted: bool,
) -> anyhow::Result<()> {
    let machines: Api<Node> = Api::all(stage.client.clone());
    let is = |found: Option<&Node>| {
        let status = found.and_then(|machine| machine.status.as_ref());
        let mut conditions = status
            .into_iter()
            .flat_map(|status| status.conditions.iter().flatten());
        let is_ready =
            conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
        is_ready == is_wanted
    };
    let what = if is_wanted { "ready" } else { "away" };
    stage.until(machines, machine, what, is).await.map(drop)
}

/// A machine that stands still, with everything on it, until this goes.
#[derive(Debug)]
pub(crate) struct Frozen {
    machine: String,
    is_thawed: bool,
}

impl Frozen {
    /// Freezes a machine.
    pub(crate) async fn freeze(machine: &str) -> anyhow::Result<Self> {
        command("docker", &["pause", machine]).await?;
        Ok(Self {
            machine: machine.to_owned(),
            is_thawed: false,
        })
    }

    /// Lets it go on.
    pub(crate) async fn thaw(mut self) -> anyhow::Result<()> {
        command("docker", &["unpause", &self.machine]).await?;
        self.is_thawed = true;
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if !self.is_thawed {
            // After a failure the collection of logs and the removal of the cluster need the machine.
            let _ = std::process::Command::new("docker")
                .args(["unpause", &self.machine])
                .output();
        }
    }
}
