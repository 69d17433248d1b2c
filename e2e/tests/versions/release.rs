//! One of the two releases: installs its operator, and finds its nodes.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams},
};
use opensecureconf_e2e::{Stage, command, condition};
use serde_json::Value;

use crate::{CLUSTER, is_ready};

/// Longest wait for an operator to exchange three nodes, one after the other.
const ROLLOUT: Duration = Duration::from_mins(10);
const NODES: &str = "app.kubernetes.io/instance=config,app.kubernetes.io/component=node";

/// A release whose images every machine has.
#[derive(Debug)]
pub(crate) struct Release {
    /// The file that installs it.
    manifest: String,
    tag: String,
}

impl Display for Release {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)
    }
}

impl Release {
    /// The release that was built apart.
    pub(crate) fn other() -> anyhow::Result<Self> {
        Self::of_environment("VERSIONS_OTHER")
    }

    /// This checkout.
    pub(crate) fn this() -> anyhow::Result<Self> {
        Self::of_environment("VERSIONS_THIS")
    }

    fn of_environment(variable: &str) -> anyhow::Result<Self> {
        let read = |variable: &str| {
            std::env::var(variable)
                .with_context(|| format!("{variable} is not set; make e2e-versions sets it"))
        };
        Ok(Self {
            manifest: read(variable)?,
            tag: read(&format!("{variable}_TAG"))?,
        })
    }

    /// Its image of the node.
    pub(crate) fn node_image(&self) -> String {
        format!("opensecureconf-node:{}", self.tag)
    }

    /// Installs its definition, rights and operator over those of the other release, and waits for the operator.
    pub(crate) async fn install(&self) -> anyhow::Result<()> {
        let apply = "apply --server-side --force-conflicts -f";
        kubectl(apply, &self.manifest).await?;
        let established = "wait --for=condition=Established --timeout=60s";
        kubectl(established, "crd/opensecureconfclusters.opensecureconf.io").await?;
        let rolled_out = "rollout status -n opensecureconf-system --timeout=180s";
        kubectl(rolled_out, "deployment/opensecureconf-operator").await
    }

    /// Waits until every node runs its image, and all nodes serve.
    pub(crate) async fn has_taken_over(&self, stage: &Stage) -> anyhow::Result<()> {
        let is = |cluster: &DynamicObject| self.serves(cluster);
        self.until(stage, is).await?;
        self.is_settled(stage).await
    }

    /// Waits until every node runs its image (true), or its operator reports an unknown layout of the cluster (false).
    pub(crate) async fn takes_over_or_refuses(&self, stage: &Stage) -> anyhow::Result<bool> {
        let is = |cluster: &DynamicObject| refuses(cluster) || self.serves(cluster);
        let cluster = self.until(stage, is).await?;
        if refuses(&cluster) {
            return Ok(false);
        }
        self.is_settled(stage).await?;
        Ok(true)
    }

    /// Whether the status reports that its nodes serve.
    fn serves(&self, cluster: &DynamicObject) -> bool {
        let shown = cluster
            .data
            .pointer("/status/image")
            .and_then(Value::as_str);
        shown == Some(self.node_image().as_str()) && is_ready(cluster) && !refuses(cluster)
    }

    async fn until(
        &self,
        stage: &Stage,
        wanted: impl Fn(&DynamicObject) -> bool + Send + Sync,
    ) -> anyhow::Result<DynamicObject> {
        let is = |found: Option<&DynamicObject>| found.is_some_and(&wanted);
        let what = format!("of {self}");
        let found = stage
            .until_within(ROLLOUT, stage.clusters(), CLUSTER, &what, is)
            .await?;
        found.context("the cluster is gone")
    }

    /// Waits until each pod has its image, and no change is under way.
    async fn is_settled(&self, stage: &Stage) -> anyhow::Result<()> {
        let image = self.node_image();
        for ordinal in 0..3 {
            let runs =
                |pod: Option<&Pod>| pod.is_some_and(|pod| node_image(pod) == Some(image.as_str()));
            let name = format!("{CLUSTER}-{ordinal}");
            stage
                .until_within(ROLLOUT, stage.api(), &name, &image, runs)
                .await?;
        }
        let is = |cluster: &DynamicObject| {
            self.serves(cluster) && condition(cluster, "Reconciling").is_none()
        };
        self.until(stage, is).await.map(drop)
    }
}

async fn kubectl(what: &str, of: &str) -> anyhow::Result<()> {
    let arguments: Vec<_> = what.split(' ').chain([of]).collect();
    command("kubectl", &arguments).await
}

fn refuses(cluster: &DynamicObject) -> bool {
    condition(cluster, "Stalled").is_some_and(|(_, reason, _)| reason == "UnsupportedLayout")
}

/// The pods of the nodes: their names, and which they are.
pub(crate) async fn pods(stage: &Stage) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let nodes = ListParams::default().labels(NODES);
    let found = stage.api::<Pod>().list_metadata(&nodes).await?;
    let found = found.items.iter();
    Ok(found.map(|pod| (pod.name_any(), pod.uid())).collect())
}

/// The image of a node.
pub(crate) fn node_image(pod: &Pod) -> Option<&str> {
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let node = containers.find(|container| container.name == "node")?;
    node.image.as_deref()
}
