//! A workload of the cluster: a pod that runs Python with the published client.

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, LogParams, PostParams};
use serde_json::{Value, json};

use crate::Stage;

/// The image with Python and the published client.
pub const IMAGE: &str = "opensecureconf-e2e/python-client:2.3.1-1";

/// The first lines of every script.
const PRELUDE: &str = "
import os
from opensecureconf_client import OpenSecureConfClient
def connect(base_url=os.environ['ENDPOINT'], **options):
    return OpenSecureConfClient(
        base_url=base_url, user_key=os.environ['USER_KEY'], api_key=os.environ['API_KEY'], **options)
client = connect()
";

/// A script that talks to one cluster.
#[derive(Debug)]
pub struct Workload<'a> {
    /// Where it runs.
    pub stage: &'a Stage,
    /// The cluster that it talks to.
    pub cluster: &'a str,
}

impl<'a> Workload<'a> {
    /// The user key of every script.
    pub const USER_KEY: &'static str = "correct-horse-battery";

    /// Runs a script to its end and returns its output; fails when the script does.
    pub async fn run(&self, script: &str) -> anyhow::Result<String> {
        self.start(script).await?.end().await
    }

    /// Starts a script and leaves it running. Only the script ends itself, so it should look for a word in the store.
    pub async fn start(&self, script: &str) -> anyhow::Result<RunningScript<'a>> {
        RunningScript::start(self.stage, self.pod(script)).await
    }

    /// Starts a script on a machine of the cluster, even on one that otherwise accepts no pods.
    pub async fn start_on(&self, machine: &str, script: &str) -> anyhow::Result<RunningScript<'a>> {
        let mut pod = self.pod(script);
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("nodeName".to_owned(), machine.into());
        }
        RunningScript::start(self.stage, pod).await
    }

    fn pod(&self, script: &str) -> Value {
        let Self { stage, cluster } = self;
        json!({
            "metadata": { "generateName": "workload-" },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "python",
                    "image": IMAGE,
                    "command": ["/usr/bin/python3", "-c", format!("{PRELUDE}{script}")],
                    "env": [
                        { "name": "ENDPOINT", "value": format!("http://{cluster}.{}.svc:9000", stage.namespace) },
                        { "name": "USER_KEY", "value": Self::USER_KEY },
                        { "name": "API_KEY", "valueFrom": { "secretKeyRef": { "name": format!("{cluster}-api-key"), "key": "api-key" } } },
                    ],
                    "volumeMounts": [{ "name": "ca", "mountPath": "/etc/config-ca" }],
                }],
                "volumes": [{ "name": "ca", "configMap": { "name": format!("{cluster}-ca"), "optional": true } }],
            },
        })
    }
}

/// A script that was started.
#[derive(Debug)]
pub struct RunningScript<'a> {
    stage: &'a Stage,
    pod: String,
}

impl<'a> RunningScript<'a> {
    /// Starts a pod whose program ends by itself.
    pub async fn start(stage: &'a Stage, pod: Value) -> anyhow::Result<Self> {
        let pods = stage.api::<Pod>();
        let pod: Pod = serde_json::from_value(pod)?;
        let made = pods.create(&PostParams::default(), &pod).await?;
        let pod = made.metadata.name.context("a pod without a name")?;
        stage
            .until(pods, &pod, "started", |found| {
                found.is_none_or(|pod| !["", "Pending"].contains(&phase(pod)))
            })
            .await?;
        Ok(Self { stage, pod })
    }

    /// The output so far.
    pub async fn printed(&self) -> anyhow::Result<String> {
        let pods = self.stage.api::<Pod>();
        Ok(pods.logs(&self.pod, &LogParams::default()).await?)
    }

    /// Waits for the end and returns the output; fails when the script does.
    pub async fn end(self) -> anyhow::Result<String> {
        let Self { stage, pod: name } = self;
        let pods = stage.api::<Pod>();
        let ended = |found: Option<&Pod>| {
            found.is_none_or(|pod| ["Succeeded", "Failed"].contains(&phase(pod)))
        };
        let pod = stage
            .until(pods.clone(), &name, "ended", ended)
            .await?
            .context("the workload is gone")?;
        let output = pods.logs(&name, &LogParams::default()).await?;
        if phase(&pod) != "Succeeded" {
            bail!("the workload failed:\n{output}");
        }
        pods.delete(&name, &DeleteParams::default()).await?;
        Ok(output)
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}
