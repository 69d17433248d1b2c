//! Leaf and authority are exchanged while clients write, nodes replicate and the operator reconciles; and no encrypted
//! connection shows one of the keys.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    api::{DynamicObject, LogParams},
    runtime::{WatchStreamExt, watcher},
};
use opensecureconf_e2e::{Capture, Stage, Workload, condition};
use serde_json::{Value, json};

use super::{HTTPS, authorities, patch};
use crate::{load::LOAD, replication::lives, report};

/// Clients are given three minutes to read of another authority, and files reach pods within a minute and a half.
const EXCHANGE: Duration = Duration::from_mins(10);

/// The published client over HTTPS, with the authorities that the ConfigMap has now.
const OVER_HTTPS: &str = "
over_http = connect
def connect(**options):
    endpoint = os.environ['ENDPOINT'].replace('http:', 'https:').replace(':9000', ':9443')
    return over_http(endpoint, verify_ssl='/etc/config-ca/ca.crt', **options)
client = connect()
client.create('seen-by-nobody', {'text': 'a-value-for-nobody'})
assert client.read('seen-by-nobody')['value'] == {'text': 'a-value-for-nobody'}
";
const VALUE: &str = "a-value-for-nobody";
/// The words that a capture looks for.
const WORDS: [&str; 4] = ["API_KEY", "CLUSTER_KEY", "USER_KEY", "VALUE"];

/// Log events of a node that does not reach another one, or refuses its connection.
const PEER_FAILURES: [&str; 2] = ["\"peer_unreachable\"", "\"peer_certificate_refused\""];

#[test]
fn leaf_and_authority_are_exchanged_under_load_and_no_packet_tells_a_key() {
    Stage::tell("tls-renewal", |stage| async move {
        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        stage.apply_sample("three-nodes.yaml").await?;
        for secret in ["config-api-key", "config-cluster-key"] {
            let exists = |found: Option<&Secret>| found.is_some();
            stage.until(stage.api(), secret, "made", exists).await?;
        }
        let capture = Capture::start(&stage, "config", VALUE).await?;
        stage.until_condition("config", "Ready", "True").await?;
        // Over plain HTTP: the capture must see these words, which proves that it works.
        workload.run("client.create('load', 'on')").await?;
        capture.control("config", VALUE).await?;
        let pods = lives(&stage).await?;
        let first = authorities(&stage).await?;
        let loaded = Instant::now();
        let before = refusals(&stage).await?;
        let load = workload.start(&format!("{OVER_HTTPS}{LOAD}")).await?;

        tokio::select! {
            watched = every_member_is_reached(&stage) => watched?,
            exchanged = exchange(&stage) => exchanged?,
        }

        workload.run("client.update('load', 'off')").await?;
        let printed = load.end().await?;
        let last = printed.lines().last().unwrap_or_default();
        let outcome: Value = serde_json::from_str(last).context("no outcome")?;
        ensure!(outcome["failed"] == 0, "{printed}");
        ensure!(
            outcome["requests"].as_i64() > Some(1000),
            "that was no load: {printed}"
        );
        report(
            &format!(
                "{} requests over HTTPS while leaf and authority were exchanged, {} failed, the slowest took {:.2} s",
                outcome["requests"],
                outcome["failed"],
                outcome["slowest"].as_f64().unwrap_or_default()
            ),
            loaded,
        );
        let failures = refusals(&stage).await?;
        ensure!(failures == before, "{failures:?}");
        report(
            &format!(
                "between nodes {} connections failed; the operator reached every node each time",
                failures.len() - before.len()
            ),
            loaded,
        );
        ensure!(lives(&stage).await? == pods, "a pod was restarted");

        let second = authorities(&stage).await?;
        let script = format!(
            "{HTTPS}
assert json.loads(get(f'https://{{host}}:9443/configs/seen-by-nobody', {second:?}, **keys))['value'] == {{'text': '{VALUE}'}}
print(refused(lambda: get(f'https://{{host}}:9443/ready', {first:?})))
"
        );
        workload.run(&script).await?;

        let captured = capture.end("config").await?;
        for word in WORDS {
            ensure!(
                captured.seen(9000, word) > 0,
                "{word} was not seen where it is plain: {captured:?}"
            );
        }
        for port in [9001, 9443] {
            ensure!(captured.packets(port) > 1000, "{port}: {captured:?}");
            for word in WORDS {
                ensure!(
                    captured.seen(port, word) == 0,
                    "{port} {word}: {captured:?}"
                );
            }
        }
        ensure!(captured.of_operator() > 100, "{captured:?}");
        report(
            &format!(
                "no key and no value in {} packets of port 9001, {} of them the operator's, and {} of port 9443",
                captured.packets(9001),
                captured.of_operator(),
                captured.packets(9443)
            ),
            loaded,
        );
        Ok(())
    });
}

/// First the leaf alone, for another name; then the authority.
async fn exchange(stage: &Stage) -> anyhow::Result<()> {
    let cluster = stage.clusters().get("config").await?;
    let shown = certificates(&cluster);
    let first = trusted(&cluster);
    ensure!(shown.len() == 3 && first.len() == 3, "{:?}", cluster.data);
    let begun = Instant::now();
    let names = json!({ "tls": { "altNames": ["config.example.test"] } });
    patch(stage, &names).await?;
    let renewed = |found: Option<&DynamicObject>| {
        found.is_some_and(|cluster| {
            let now = certificates(cluster);
            now.len() == 3
                && now.iter().all(|leaf| now.first() == Some(leaf))
                && now.iter().all(|leaf| !shown.contains(leaf))
        })
    };
    stage
        .until(
            stage.clusters(),
            "config",
            "shown with another leaf",
            renewed,
        )
        .await?;
    report("three nodes show a renewed leaf", begun);

    let begun = Instant::now();
    patch(stage, &json!({ "tls": { "authority": { "rotate": "1" } } })).await?;
    let both = |found: Option<&ConfigMap>| {
        found
            .and_then(|map| map.data.as_ref()?.get("ca.crt"))
            .is_some_and(|text| text.matches("BEGIN CERTIFICATE").count() == 2)
    };
    stage
        .until(stage.api(), "config-ca", "with both authorities", both)
        .await?;
    let exchanged = |found: Option<&DynamicObject>| {
        found.is_some_and(|cluster| {
            let now = trusted(cluster);
            now.len() == 3
                && now.iter().all(|authorities| {
                    authorities.as_array().is_some_and(|all| all.len() == 1)
                        && !first.contains(authorities)
                })
        })
    };
    stage
        .until_within(
            EXCHANGE,
            stage.clusters(),
            "config",
            "of another authority",
            exchanged,
        )
        .await?;
    stage.until_condition("config", "Ready", "True").await?;
    report("the authority of three nodes is exchanged", begun);
    Ok(())
}

/// Ends only with an error: when the operator does not reach a node, or the cluster is not ready.
async fn every_member_is_reached(stage: &Stage) -> anyhow::Result<()> {
    let only = watcher::Config::default().fields("metadata.name=config");
    let mut events = pin!(watcher(stage.clusters(), only).default_backoff());
    while let Some(event) = events.try_next().await? {
        let (watcher::Event::Apply(cluster) | watcher::Event::InitApply(cluster)) = event else {
            continue;
        };
        let reached = members(&cluster).filter(|member| member["reachable"] == true);
        ensure!(
            reached.count() == 3,
            "a node is not reached: {}",
            cluster.data
        );
        for type_ in ["Ready", "Replicated", "TlsReady"] {
            let holds = condition(&cluster, type_).is_some_and(|(status, ..)| status == "True");
            ensure!(holds, "{type_} does not hold: {}", cluster.data);
        }
    }
    bail!("the watch ended")
}

fn members(cluster: &DynamicObject) -> impl Iterator<Item = &Value> {
    let members = cluster.data.pointer("/status/members");
    members.and_then(Value::as_array).into_iter().flatten()
}

fn certificates(cluster: &DynamicObject) -> Vec<Value> {
    let shown = members(cluster).map(|member| member["certificateFingerprint"].clone());
    shown.filter(Value::is_string).collect()
}

fn trusted(cluster: &DynamicObject) -> Vec<Value> {
    let trusted = members(cluster).map(|member| member["authorityFingerprints"].clone());
    trusted.filter(Value::is_array).collect()
}

/// Lines of all nodes' logs about each other.
async fn refusals(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for ordinal in 0..3 {
        let name = format!("config-{ordinal}");
        let log = stage
            .api::<Pod>()
            .logs(&name, &LogParams::default())
            .await?;
        lines.extend(
            log.lines()
                .filter(|line| PEER_FAILURES.iter().any(|failure| line.contains(failure)))
                .map(|line| format!("{name}: {line}")),
        );
    }
    Ok(lines)
}
