//! Clients over HTTPS, with the authorities in the cluster's ConfigMap; nodes over certificates of their own.

mod renewal;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DynamicObject, Patch, PatchParams};
use opensecureconf_e2e::{Stage, Workload, condition};
use serde_json::{Value, json};

/// Speaks HTTPS with Python's own library alone, and gives the answer of an address.
const HTTPS: &str = "
import json, ssl, urllib.request, urllib.error
from urllib.parse import urlsplit
host = urlsplit(os.environ['ENDPOINT']).hostname
def get(url, authorities, **headers):
    context = ssl.create_default_context(cadata=authorities)
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.urlopen(request, context=context, timeout=5).read().decode()
keys = {'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY']}
def refused(what):
    try:
        what()
    except Exception as failure:
        return repr(failure)
    raise AssertionError('it was answered')
";

#[test]
fn clients_use_https_and_what_is_not_for_them_lets_them_not_in() {
    Stage::tell("tls", |stage| async move {
        stage.apply_sample("three-nodes.yaml").await?;
        // The workload reads metrics too.
        let scrapers = json!({ "networkPolicy": { "metrics": [{ "podSelector": {} }] } });
        patch(&stage, &scrapers).await?;
        let cluster = stage.until_condition("config", "TlsReady", "True").await?;
        ensure!(
            cluster.data.pointer("/status/endpoint")
                == Some(&json!(format!(
                    "https://config.{}.svc:9443",
                    stage.namespace
                )))
        );
        stage.until_condition("config", "Ready", "True").await?;
        let first = authorities(&stage).await?;
        let script = format!(
            "{HTTPS}
client.create('db', {{'port': 5432}})
ca = {first:?}
assert json.loads(get(f'https://{{host}}:9443/configs/db', ca, **keys))['value'] == {{'port': 5432}}
# The published client with nothing but another address and a variable.
os.environ['REQUESTS_CA_BUNDLE'] = '/etc/config-ca/ca.crt'
assert connect(f'https://{{host}}:9443').read('db')['value'] == {{'port': 5432}}
name, namespace = host.split('.')[:2]
node = f'{{name}}-0.{{name}}-nodes.{{namespace}}.svc'
assert 'osc_config_entries_total' in get(f'https://{{node}}:9002/metrics', ca)
# Without a certificate of the cluster nobody is let in where nodes speak to each other.
print(refused(lambda: get(f'https://{{node}}:9001/cluster/status', ca)))
# Without the cluster's authority nobody is believed.
print(refused(lambda: get(f'https://{{host}}:9443/ready', None)))
"
        );
        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        workload.run(&script).await?;

        patch(
            &stage,
            &json!({ "tls": { "mode": "Secret", "secretRef": { "name": "mine" }, "plainHttp": "Forbidden" } }),
        )
        .await?;
        let missing = |found: Option<&DynamicObject>| {
            found
                .and_then(|cluster| condition(cluster, "TlsReady"))
                .is_some_and(|(_, reason, _)| reason == "CertificateMissing")
        };
        stage
            .until(stage.clusters(), "config", "CertificateMissing", missing)
            .await?;
        // A copy of the nodes' own will do.
        let own = stage.api::<Secret>().get("config-node-tls").await?;
        let mine: Secret = serde_json::from_value(json!({
            "metadata": { "name": "mine" }, "type": "kubernetes.io/tls", "data": own.data,
        }))?;
        stage
            .api::<Secret>()
            .create(&kube::api::PostParams::default(), &mine)
            .await?;
        stage.until_condition("config", "TlsReady", "True").await?;
        stage.until_condition("config", "Ready", "True").await?;
        let third = authorities(&stage).await?;
        let script = format!(
            "{HTTPS}
assert json.loads(get(f'https://{{host}}:9443/configs/db', {third:?}, **keys))['value'] == {{'port': 5432}}
print(refused(lambda: get(f'http://{{host}}:9000/ready', None)))
"
        );
        workload.run(&script).await?;
        Ok(())
    });
}

pub(crate) async fn patch(stage: &Stage, spec: &Value) -> anyhow::Result<()> {
    let change = json!({ "spec": spec });
    stage
        .clusters()
        .patch("config", &PatchParams::default(), &Patch::Merge(&change))
        .await?;
    Ok(())
}

async fn authorities(stage: &Stage) -> anyhow::Result<String> {
    let map = stage.api::<ConfigMap>().get("config-ca").await?;
    let text = map.data.and_then(|mut data| data.remove("ca.crt"));
    text.context("config-ca has no ca.crt")
}
