//! Planned changes: volumes grow, nodes sleep, certificates and images are exchanged. Each function gives its observations once
//! all nodes serve again.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::api::DynamicObject;
use opensecureconf_e2e::{Stage, condition};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    CLUSTER,
    cluster::{pods, recovered, serves, until, until_pod, want},
    settings::Settings,
};

/// The size of volumes afterwards.
const LARGER: &str = "256Mi";
/// For how long nodes sleep.
const SLEEP: Duration = Duration::from_secs(20);

/// Volumes grow under load.
pub(crate) async fn grow(stage: &Stage) -> anyhow::Result<String> {
    let begun = Instant::now();
    want(stage, json!({ "storage": { "size": LARGER } })).await?;
    let size = Some(Quantity(LARGER.to_owned()));
    for ordinal in 0..3 {
        let has_grown = |claim: Option<&PersistentVolumeClaim>| {
            let status = claim.and_then(|claim| claim.status.as_ref());
            let capacity = status.and_then(|status| status.capacity.as_ref());
            capacity.and_then(|capacity| capacity.get("storage")) == size.as_ref()
        };
        let claim = format!("data-config-{ordinal}");
        stage.until(stage.api(), &claim, LARGER, has_grown).await?;
    }
    let after = begun.elapsed().as_secs_f64();
    recovered(stage).await?;
    Ok(format!("three volumes had {LARGER} after {after:.1} s"))
}

/// No node runs for a while.
pub(crate) async fn hibernate(stage: &Stage) -> anyhow::Result<String> {
    want(stage, json!({ "hibernate": true })).await?;
    until(stage, "asleep", |cluster| {
        condition(cluster, "Ready").is_some_and(|(_, reason, _)| reason == "Hibernated")
    })
    .await?;
    sleep(SLEEP).await;
    let begun = Instant::now();
    want(stage, json!({ "hibernate": false })).await?;
    recovered(stage).await?;
    let after = begun.elapsed().as_secs_f64();
    Ok(format!("all served {after:.1} s after they were woken"))
}

/// The leaf is renewed, then the authority.
pub(crate) async fn renew_certificates(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.clusters().get(CLUSTER).await?;
    let (leaf, authority) = (
        shown(&cluster, "certificateFingerprint"),
        shown(&cluster, "authorityFingerprints"),
    );
    let begun = Instant::now();
    let names = json!({ "tls": { "altNames": ["config.example.test"] } });
    want(stage, names).await?;
    until(stage, "shown with another leaf", |cluster| {
        is_exchanged(&leaf, &shown(cluster, "certificateFingerprint"))
    })
    .await?;
    let renewed = begun.elapsed().as_secs_f64();
    want(
        stage,
        json!({ "tls": { "authority": { "rotate": "soak" } } }),
    )
    .await?;
    until(stage, "of another authority", |cluster| {
        let now = shown(cluster, "authorityFingerprints");
        let has_one = |all: &Value| all.as_array().is_some_and(|all| all.len() == 1);
        is_exchanged(&authority, &now) && now.iter().all(has_one)
    })
    .await?;
    recovered(stage).await?;
    let exchanged = begun.elapsed().as_secs_f64();
    Ok(format!(
        "another leaf after {renewed:.1} s, another authority after {exchanged:.1} s"
    ))
}

/// The values that the members show under a name.
fn shown(cluster: &DynamicObject, field: &str) -> Vec<Value> {
    let members = cluster.data.pointer("/status/members");
    let members = members.and_then(Value::as_array).into_iter().flatten();
    let shown = members.filter_map(|member| member.get(field));
    shown.filter(|value| !value.is_null()).cloned().collect()
}

/// Whether three nodes show the same value, which none showed before.
fn is_exchanged(before: &[Value], now: &[Value]) -> bool {
    now.len() == 3
        && now
            .iter()
            .all(|one| now.first() == Some(one) && !before.contains(one))
}

/// The nodes get the image of an earlier revision, where there is one.
pub(crate) async fn downgrade(stage: &Stage, settings: &Settings) -> anyhow::Result<String> {
    let image = settings.other_image.as_str();
    let seen = exchange_image(stage, json!(image), |found| found == image).await?;
    Ok(match &settings.earlier {
        Some(revision) => format!("{seen}; revision {revision}"),
        None => {
            format!(
                "{seen}; no downgrade: the same program under another name, as there is no earlier revision"
            )
        }
    })
}

/// The nodes have the operator's image again.
pub(crate) async fn upgrade(stage: &Stage, settings: &Settings) -> anyhow::Result<String> {
    let image = settings.other_image.as_str();
    let seen = exchange_image(stage, Value::Null, |found| found != image).await?;
    Ok(match &settings.earlier {
        Some(revision) => format!("{seen}; from revision {revision}"),
        None => format!("{seen}; no upgrade: the same program"),
    })
}

async fn exchange_image(
    stage: &Stage,
    image: Value,
    is_wanted: impl Fn(&str) -> bool + Send + Sync,
) -> anyhow::Result<String> {
    let begun = Instant::now();
    let nodes = pods(stage).await?;
    want(stage, json!({ "image": image })).await?;
    for node in &nodes {
        let has_it = |pod: &Pod| node_image(pod).is_some_and(&is_wanted) && serves(pod);
        until_pod(stage, node, "of the wanted image", has_it).await?;
    }
    recovered(stage).await?;
    let after = begun.elapsed().as_secs_f64();
    Ok(format!(
        "{} nodes had it after {after:.1} s, one after the other",
        nodes.len()
    ))
}

fn node_image(pod: &Pod) -> Option<&str> {
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let node = containers.find(|container| container.name == "node")?;
    node.image.as_deref()
}
