//! The alerts that fire when a node fails, and when it ends.

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use opensecureconf_e2e::{PodLimit, Prometheus, Stage};
use serde_json::{Value, json};

use super::{LIMIT, kind, scraped};
use crate::report;

/// The alerts of a file below `manifests/monitoring`.
pub(super) fn of(file: &str) -> anyhow::Result<Vec<Value>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/monitoring/");
    let rule: Value = serde_saphyr::from_str(&std::fs::read_to_string(format!("{path}{file}"))?)?;
    let rules = rule
        .pointer("/spec/groups/0/rules")
        .and_then(Value::as_array);
    rules
        .cloned()
        .with_context(|| format!("{file} has no rules"))
}

/// How long an alert of this story waits; promtool's tests cover the waits of the real alerts.
const FOR: &str = "15s";

/// Applies some alerts once more, with another wait and a label that names this story.
async fn apply_impatient(stage: &Stage, names: &[&str]) -> anyhow::Result<()> {
    let mut rules = [of("alerts.yaml")?, of("operator/alerts.yaml")?].concat();
    rules.retain(|rule| names.iter().any(|name| rule["alert"] == *name));
    ensure!(rules.len() == names.len(), "not all of {names:?} exist");
    for rule in &mut rules {
        rule["for"] = FOR.into();
        let labels = rule.get_mut("labels").and_then(Value::as_object_mut);
        let labels = labels.context("an alert without labels")?;
        labels.insert("story".to_owned(), stage.namespace.as_str().into());
    }
    let rule = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": { "name": "impatient" },
        "spec": { "groups": [{ "name": stage.namespace, "rules": rules }] },
    });
    let api: Api<DynamicObject> = Api::namespaced_with(
        stage.client.clone(),
        &stage.namespace,
        &kind("PrometheusRule"),
    );
    let parameters = PatchParams::apply("story");
    api.patch("impatient", &parameters, &Patch::Apply(&rule))
        .await?;
    Ok(())
}

/// The alerts about the namespace, by `alertname`: the real ones, and the fast copies of this story.
async fn about(
    prometheus: &Prometheus,
    stage: &Stage,
    name: &str,
) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    let mut alerts = prometheus.alerts(name).await?;
    let label = |alert: &Value, name| alert.pointer(&format!("/labels/{name}")).cloned();
    alerts.retain(|alert| label(alert, "namespace") == Some(stage.namespace.as_str().into()));
    Ok(alerts
        .into_iter()
        .partition(|alert| label(alert, "story").is_none()))
}

#[test]
fn a_node_that_fails_raises_alerts_and_its_return_ends_them() {
    const RAISED: [&str; 2] = [
        "OpenSecureConfNodeUnreachable",
        "OpenSecureConfClusterNotReady",
    ];
    Stage::tell("alerts", |stage| async move {
        apply_impatient(&stage, &RAISED).await?;
        let prometheus = scraped(&stage, &json!({})).await?;
        let all = format!("ALERTS{{namespace=\"{}\"}}", stage.namespace);
        let quiet = async |prometheus: &Prometheus| prometheus.query(&all).await;
        prometheus
            .until(LIMIT, "quiet", &quiet, Vec::is_empty)
            .await?;
        let known = async |prometheus: &Prometheus| prometheus.rule_groups().await;
        prometheus
            .until(LIMIT, "known with this story's alerts", known, |groups| {
                groups
                    .iter()
                    .any(|group| group["name"] == stage.namespace.as_str())
            })
            .await?;

        // The namespace has no room for a third pod: the node that goes cannot come back.
        let limit = PodLimit::set(&stage, 2).await?;
        stage
            .api::<Pod>()
            .delete("config-2", &DeleteParams::default())
            .await?;
        let killed = Instant::now();
        for name in RAISED {
            prometheus
                .until(
                    LIMIT,
                    "firing",
                    async |prometheus| about(prometheus, &stage, name).await,
                    |(real, impatient)| {
                        // The real alert waits for minutes; the pending alert shows that it sees the failure.
                        !real.is_empty() && impatient.iter().any(|alert| alert["state"] == "firing")
                    },
                )
                .await?;
            report(
                &format!("from the end of a node to {name}, which waits {FOR} here"),
                killed,
            );
        }

        limit.lift().await?;
        let healed = Instant::now();
        stage.until_condition("config", "Ready", "True").await?;
        report("from room for the node to Ready", healed);
        prometheus
            .until(LIMIT, "quiet again", &quiet, Vec::is_empty)
            .await?;
        report("from room for the node to the end of all alerts", healed);
        Ok(())
    });
}
