//! The API key is exchanged while some callers keep the old key and others use the new one.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, Patch, PatchParams};
use opensecureconf_e2e::{Stage, Workload, condition};
use serde_json::json;

use crate::{load::Load, replication::lives, report, tls::patch};

/// Files reach pods within a minute and a half, and that is waited for once in each step.
const STEP: Duration = Duration::from_mins(5);

#[test]
fn the_api_key_is_exchanged_under_load_and_the_old_one_opens_until_it_is_ended() {
    Stage::tell("api-key", |stage| async move {
        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        stage.apply_sample("three-nodes.yaml").await?;
        stage.until_condition("config", "Ready", "True").await?;
        let pods = lives(&stage).await?;
        let old = api_key(&stage).await?;
        let load = Load::begin(&stage).await?;

        let begun = Instant::now();
        patch(&stage, &json!({ "apiKey": { "rotate": "1" } })).await?;
        until_reason(&stage, "PreviousKeyAccepted").await?;
        ensure!(api_key(&stage).await? != old, "the Secret has the old key");
        report(
            "three nodes accept the new API key, and workloads get it",
            begun,
        );
        workload.run("client.create('newcomer', 1)").await?;
        // Both clients of the load have shown the old key all the time.
        load.end(50).await?;

        let begun = Instant::now();
        let end = json!([{ "op": "remove", "path": "/data/api-key-previous" }]);
        let end: Patch<()> = Patch::Json(serde_json::from_value(end)?);
        let secrets = stage.api::<Secret>();
        secrets
            .patch("config-api-key", &PatchParams::default(), &end)
            .await?;
        until_reason(&stage, "KeyRotated").await?;
        report("three nodes accept the new API key alone", begun);
        let script = format!(
            "
assert client.read('newcomer')['value'] == 1
os.environ['API_KEY'] = {old:?}
try:
    connect(enable_retry=False).read('newcomer')
except Exception as refusal:
    assert 'API' in str(refusal) or '403' in str(refusal), repr(refusal)
else:
    raise AssertionError('the old key still opens')
"
        );
        workload.run(&script).await?;
        ensure!(lives(&stage).await? == pods, "a pod was restarted");
        Ok(())
    });
}

/// The key that a workload would be given now.
async fn api_key(stage: &Stage) -> anyhow::Result<String> {
    let secret = stage.api::<Secret>().get("config-api-key").await?;
    let key = secret.data.and_then(|mut data| data.remove("api-key"));
    Ok(String::from_utf8(key.context("no API key")?.0)?)
}

async fn until_reason(stage: &Stage, reason: &str) -> anyhow::Result<()> {
    let given = |found: Option<&DynamicObject>| {
        found
            .and_then(|cluster| condition(cluster, "ApiKeyRotated"))
            .is_some_and(|(_, given, _)| given == reason)
    };
    stage
        .until_within(STEP, stage.clusters(), "config", reason, given)
        .await?;
    Ok(())
}
