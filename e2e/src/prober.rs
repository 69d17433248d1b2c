//! Pods that probe again and again which ports are open to them, and report in their logs.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{Stage, workload::IMAGE};

const CONTAINER: &str = "prober";

/// A round takes as long as a refusal does: packets that a policy refuses get no answer.
const SCRIPT: &str = "
import json, os, signal, socket, time
from concurrent.futures import ThreadPoolExecutor
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
host, ports = os.environ['TARGET'], [int(port) for port in os.environ['PORTS'].split()]
def reaches(port):
    try:
        socket.create_connection((host, port), timeout=1.5).close()
        return True
    except OSError:
        return False
with ThreadPoolExecutor(len(ports)) as at_once:
    while True:
        print(json.dumps([port for port, reached in zip(ports, at_once.map(reaches, ports)) if reached]), flush=True)
        time.sleep(0.3)
";

/// The open ports that one source found in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The source that probed.
    pub source: &'static str,
    /// The ports that were open to it.
    pub open: BTreeSet<u16>,
}

/// The addresses and ports that probers try.
#[derive(Debug, Clone)]
pub struct Target {
    /// An IP address.
    pub address: String,
    /// TCP ports.
    pub ports: Vec<u16>,
}

/// Where a prober runs.
#[derive(Debug)]
pub enum Place<'a> {
    /// In a pod with these labels.
    Pod(Vec<(&'static str, &'static str)>),
    /// On a machine of the cluster, with its address.
    Machine(&'a str),
    /// In a pod that is there already, with its address.
    Beside(&'a str),
}

/// A prober that runs until its namespace goes.
#[derive(Debug)]
pub struct Prober {
    reader: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Prober {
    /// Starts a prober. Its findings go to `rounds`, from the first round on.
    pub async fn start(
        stage: &Stage,
        source: &'static str,
        place: Place<'_>,
        target: &Target,
        rounds: mpsc::UnboundedSender<Round>,
    ) -> anyhow::Result<Self> {
        let pods = stage.api::<Pod>();
        let ports: Vec<_> = target.ports.iter().map(u16::to_string).collect();
        let container = json!({
            "name": CONTAINER,
            "image": IMAGE,
            "command": ["/usr/bin/python3", "-c", SCRIPT],
            // As restricted namespaces ask for it.
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" },
            },
            "env": [{ "name": "TARGET", "value": target.address }, { "name": "PORTS", "value": ports.join(" ") }],
        });
        let pod = match place {
            Place::Pod(labels) => {
                let labels: serde_json::Map<_, _> = labels
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect();
                let spec = json!({ "containers": [container] });
                create(stage, &labels.into(), spec).await?
            }
            Place::Machine(node) => {
                let spec =
                    json!({ "containers": [container], "hostNetwork": true, "nodeName": node });
                create(stage, &json!({}), spec).await?
            }
            Place::Beside(pod) => {
                let more = json!({ "spec": { "ephemeralContainers": [container] } });
                pods.patch_ephemeral_containers(
                    pod,
                    &PatchParams::default(),
                    &Patch::Strategic(more),
                )
                .await?;
                pod.to_owned()
            }
        };
        stage
            .until(pods.clone(), &pod, "probing", |found| {
                found.is_some_and(runs)
            })
            .await?;
        let follow = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            ..LogParams::default()
        };
        let mut lines = pods.log_stream(&pod, &follow).await?.lines();
        let reader = tokio::spawn(async move {
            while let Some(line) = lines.try_next().await? {
                let open =
                    serde_json::from_str(&line).with_context(|| format!("{source}: {line}"))?;
                if rounds.send(Round { source, open }).is_err() {
                    return Ok(());
                }
            }
            bail!("{source}: the prober has ended")
        });
        Ok(Self { reader })
    }
}

/// A pod that belongs to the story's namespace, wherever it is.
async fn create(stage: &Stage, labels: &Value, spec: Value) -> anyhow::Result<String> {
    let mut pod: Pod = serde_json::from_value(json!({
        "metadata": { "generateName": "prober-", "labels": labels, "ownerReferences": [stage.owner().await?] },
        "spec": spec,
    }))?;
    let spec = pod.spec.get_or_insert_default();
    spec.automount_service_account_token = Some(false);
    spec.termination_grace_period_seconds = Some(0);
    let pods = stage.api::<Pod>();
    let made = pods.create(&PostParams::default(), &pod).await?;
    made.metadata.name.context("a pod without a name")
}

fn runs(pod: &Pod) -> bool {
    let Some(status) = &pod.status else {
        return false;
    };
    let own = status.container_statuses.iter().flatten();
    let mut all = own.chain(status.ephemeral_container_statuses.iter().flatten());
    all.any(|container| {
        container.name == CONTAINER
            && container
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
    })
}
