//! A workload of the cluster: a pod that runs Python with the published client.

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, LogParams, PostParams};
use serde_json::json;

use crate::Stage;

const IMAGE: &str = "opensecureconf-e2e/python-client:2.3.1-1";

/// What every script begins with.
const PRELUDE: &str = "
import os
from opensecureconf_client import OpenSecureConfClient
client = OpenSecureConfClient(
    base_url=os.environ['ENDPOINT'], user_key=os.environ['USER_KEY'], api_key=os.environ['API_KEY'])
";

/// A script that talks to one cluster.
#[derive(Debug)]
pub struct Workload<'a> {
    /// Where it runs.
    pub stage: &'a Stage,
    /// The cluster that it talks to.
    pub cluster: &'a str,
}

impl Workload<'_> {
    /// Runs a script to its end and returns what it printed; fails when the script does.
    pub async fn run(&self, script: &str) -> anyhow::Result<String> {
        let Self { stage, cluster } = self;
        let pods = stage.api::<Pod>();
        let pod: Pod = serde_json::from_value(json!({
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
                        { "name": "USER_KEY", "value": "correct-horse-battery" },
                        { "name": "API_KEY", "valueFrom": { "secretKeyRef": { "name": format!("{cluster}-api-key"), "key": "api-key" } } },
                    ],
                }],
            },
        }))?;
        let made = pods.create(&PostParams::default(), &pod).await?;
        let name = made.metadata.name.context("a pod without a name")?;
        let phase = |pod: &Pod| {
            pod.status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default()
        };
        let ended = |found: Option<&Pod>| {
            found.is_none_or(|pod| ["Succeeded", "Failed"].contains(&phase(pod).as_str()))
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
