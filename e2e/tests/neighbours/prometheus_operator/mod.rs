//! The Prometheus Operator and its Prometheus: how they see our targets, rules and dashboards.

mod alerts;
mod dashboards;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use opensecureconf_e2e::{Prometheus, Stage};
use serde_json::{Value, json};

use crate::report;

/// Longest wait for an action that Prometheus takes by the clock.
const LIMIT: Duration = Duration::from_mins(2);
/// Where the operator and its ServiceMonitor are.
const OPERATOR: &str = "serviceMonitor/opensecureconf-system/opensecureconf-operator";

/// A kind of the Prometheus Operator.
fn kind(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind))
}

/// A cluster of three nodes that are scraped each five seconds.
fn cluster(more: &Value) -> Value {
    let mut monitor = json!({ "interval": "5s" });
    if let (Some(all), Some(more)) = (monitor.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    json!({
        "apiVersion": "opensecureconf.io/v1alpha1",
        "kind": "OpenSecureConfCluster",
        "metadata": { "name": "config" },
        "spec": { "replicas": 3, "monitoring": { "serviceMonitor": monitor } },
    })
}

/// Applies such a cluster, and waits until its nodes serve and are scraped.
async fn scraped(stage: &Stage, more: &Value) -> anyhow::Result<Prometheus> {
    let applied = Instant::now();
    stage.apply_value(&cluster(more)).await?;
    stage.until_condition("config", "Ready", "True").await?;
    report("from apply to three nodes Ready", applied);
    let prometheus = Prometheus::new(stage.client.clone());
    let object = format!("serviceMonitor/{}/config", stage.namespace);
    prometheus
        .until(
            LIMIT,
            "three targets that are up",
            async |prometheus| prometheus.targets(&object).await,
            |targets| targets.len() == 3 && targets.iter().all(|target| target["health"] == "up"),
        )
        .await?;
    report("from apply to three targets up", applied);
    Ok(prometheus)
}

/// Warnings that the Prometheus Operator gave about objects of the namespace.
async fn refusals(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let events: Api<Event> = stage.api();
    let found = events.list(&ListParams::default()).await?;
    let refused = found.into_iter().filter(|event| {
        event.reason.as_deref() == Some("InvalidConfiguration")
            && event.involved_object.kind.as_deref() == Some("ServiceMonitor")
    });
    Ok(refused.filter_map(|event| event.message).collect())
}

#[test]
fn every_node_is_scraped_over_https_under_the_name_and_the_authority_of_its_cluster() {
    let more = json!({
        "relabelings": [{ "targetLabel": "team", "replacement": "payments" }],
        "metricRelabelings": [{ "sourceLabels": ["__name__"], "regex": "osc_http_request_duration_.*", "action": "drop" }],
    });
    Stage::tell("scraped", |stage| async move {
        let prometheus = scraped(&stage, &more).await?;
        let namespace = &stage.namespace;
        let refused = refusals(&stage).await?;
        ensure!(refused.is_empty(), "{refused:?}");

        let targets = prometheus
            .targets(&format!("serviceMonitor/{namespace}/config"))
            .await?;
        for target in &targets {
            let url = target["scrapeUrl"].as_str().context("no URL")?;
            ensure!(
                url.starts_with("https://") && url.ends_with(":9002/metrics"),
                "{url}"
            );
            ensure!(target["labels"]["team"] == "payments", "{target}");
        }
        let config = prometheus.data("status/config", &[]).await?;
        let config = config["yaml"].as_str().context("no configuration")?;
        let (_, ours) = config
            .split_once(&format!("job_name: serviceMonitor/{namespace}/config/0"))
            .context("not in the configuration")?;
        let ours = ours.split("job_name:").next().unwrap_or_default();
        ensure!(
            ours.contains(&format!("server_name: config.{namespace}.svc")),
            "{ours}"
        );
        ensure!(
            ours.contains("ca_file:") && !ours.contains("insecure_skip_verify: true"),
            "{ours}"
        );

        let counted = |metric: &str| {
            format!("count({metric}{{namespace=\"{namespace}\", team=\"payments\"}})")
        };
        let served = prometheus.query(&counted("osc_node_ready")).await?;
        ensure!(
            served.first().is_some_and(|found| found["value"][1] == "3"),
            "{served:?}"
        );
        let dropped = prometheus
            .query(&counted("osc_http_request_duration_seconds_count"))
            .await?;
        ensure!(dropped.is_empty(), "{dropped:?}");

        // Where a metric and its target have the same label, Prometheus renames one of them, and no dashboard finds it.
        for label in [
            "namespace",
            "pod",
            "job",
            "instance",
            "service",
            "container",
            "endpoint",
        ] {
            let renamed = format!("count({{namespace=\"{namespace}\", exported_{label}!=\"\"}})");
            let renamed = prometheus.query(&renamed).await?;
            ensure!(renamed.is_empty(), "{label}: {renamed:?}");
        }

        // Whatever else changes, the users' settings stay.
        let monitors = Api::<DynamicObject>::namespaced_with(
            stage.client.clone(),
            namespace,
            &kind("ServiceMonitor"),
        );
        let mut changed = cluster(&more);
        changed["spec"]["monitoring"]["serviceMonitor"]["interval"] = "7s".into();
        stage.apply_value(&changed).await?;
        let monitor = stage
            .until(monitors, "config", "scraped each 7 s", |found| {
                found.is_some_and(|found| found.data["spec"]["endpoints"][0]["interval"] == "7s")
            })
            .await?
            .context("no ServiceMonitor")?;
        let endpoint = &monitor.data["spec"]["endpoints"][0];
        for field in ["relabelings", "metricRelabelings"] {
            let wanted = more[field][0].as_object().context("an object")?;
            let found = endpoint[field].as_array().context("no list")?;
            let stays = |rule: &&Value| wanted.iter().all(|(name, value)| rule[name] == *value);
            ensure!(found.iter().any(|rule| stays(&rule)), "{field}: {found:?}");
        }
        Ok(())
    });
}

#[test]
fn a_renewed_authority_reaches_prometheus_while_the_old_one_is_in_use() {
    Stage::tell("renewed", |stage| async move {
        scraped(&stage, &json!({})).await?;
        let mut renewing = cluster(&json!({}));
        renewing["spec"]["tls"] = json!({ "authority": { "rotate": "1" } });
        let asked = Instant::now();
        stage.apply_value(&renewing).await?;
        // The copies that the Prometheus Operator made for its Prometheus to mount.
        let copies: Api<Secret> = Api::namespaced(stage.client.clone(), "monitoring");
        let entry = format!("_{}_config-ca_node-ca.crt", stage.namespace);
        let both = |found: Option<&Secret>| {
            let data = found.and_then(|found| found.data.as_ref());
            data.into_iter().flatten().any(|(name, text)| {
                let text = String::from_utf8_lossy(&text.0);
                name.ends_with(&entry) && text.matches("BEGIN CERTIFICATE").count() == 2
            })
        };
        let copy = "prometheus-all-tls-assets-0";
        stage.until(copies, copy, "old and new", both).await?;
        report("from the order to both authorities at Prometheus", asked);
        Ok(())
    });
}

#[test]
fn rules_load_and_the_operator_tells_of_its_clusters_under_their_own_namespace() {
    Stage::tell("rules", |stage| async move {
        let prometheus = scraped(&stage, &json!({})).await?;
        for (group, file) in [
            ("opensecureconf", "alerts.yaml"),
            ("opensecureconf-operator", "operator/alerts.yaml"),
        ] {
            let wanted = alerts::of(file)?.len();
            prometheus
                .until(
                    LIMIT,
                    "all rules evaluated and in order",
                    async |prometheus| {
                        let mut groups = prometheus.rule_groups().await?;
                        groups.retain(|found| found["name"] == group);
                        Ok(groups)
                    },
                    |groups| {
                        let rules: Vec<_> = groups
                            .iter()
                            .filter_map(|group| group["rules"].as_array())
                            .flatten()
                            .collect();
                        rules.len() == wanted && rules.iter().all(|rule| rule["health"] == "ok")
                    },
                )
                .await?;
        }

        let targets = prometheus.targets(OPERATOR).await?;
        ensure!(targets.len() == 2, "{targets:?}");
        ensure!(
            targets.iter().all(|target| target["health"] == "up"),
            "{targets:?}"
        );
        let leaders = "sum by (namespace, job) (osc_operator_leader)";
        let ready = format!(
            "osc_operator_cluster_condition{{namespace=\"{}\", name=\"config\", condition=\"Ready\"}}",
            stage.namespace
        );
        for expression in [leaders, &ready] {
            prometheus
                .until(
                    LIMIT,
                    "one series of value 1",
                    async |prometheus| prometheus.query(expression).await,
                    |found| matches!(&found[..], [one] if one["value"][1] == "1"),
                )
                .await?;
        }
        Ok(())
    });
}
