//! A Prometheus of the cluster, queried through the API server, so that no port has to be forwarded.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kube::{Client, client::Body};
use serde_json::Value;

/// The Service that the Prometheus Operator makes beside each Prometheus of `e2e/neighbours/prometheus-operator`.
const SERVICE: &str = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy";

/// The Prometheus of `e2e/neighbours/prometheus-operator`.
#[derive(Clone)]
pub struct Prometheus {
    client: Client,
}

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prometheus")
    }
}

/// One line of a range query.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: serde_json::Map<String, Value>,
    /// Time (seconds since 1970) and value, in the order of time; values that are no number are left out.
    pub points: Vec<(f64, f64)>,
}

/// Which times a range query is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// From, in seconds since 1970.
    pub start: f64,
    /// To.
    pub end: f64,
    /// Seconds between two points.
    pub step: f64,
}

impl Prometheus {
    /// The Prometheus of the cluster that the client talks to.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The `data` of an answer of the HTTP API, such as `targets` or `query`.
    pub async fn data(&self, endpoint: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let uri = format!("{SERVICE}/api/v1/{endpoint}?{}", query.finish());
        let request = http::Request::get(uri).body(Body::empty())?;
        let answer = self.client.send(request).await?;
        let bytes = answer.into_body().collect_bytes().await?;
        let answer: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{endpoint}: {}", String::from_utf8_lossy(&bytes)))?;
        let is_success = answer
            .get("status")
            .is_some_and(|status| status == "success");
        ensure!(is_success, "{parameters:?}: {answer}");
        answer.get("data").cloned().context("no data")
    }

    /// The result of an instant query: labels and value of each series.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.data("query", &[("query", expression)]).await?;
        list(&data, "result")
    }

    /// The result of a range query.
    pub async fn query_range(&self, expression: &str, range: Range) -> anyhow::Result<Vec<Series>> {
        let Range { start, end, step } = range;
        let [start, end, step] = [start, end, step].map(|number| number.to_string());
        let parameters = [
            ("query", expression),
            ("start", &start),
            ("end", &end),
            ("step", &step),
        ];
        let data = self.data("query_range", &parameters).await?;
        list(&data, "result")?.iter().map(series).collect()
    }

    /// The targets that belong to an object of the Prometheus Operator, such as `serviceMonitor/team/config`.
    pub async fn targets(&self, object: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.data("targets", &[("state", "active")]).await?;
        let pool = format!("{object}/");
        let mut targets = list(&data, "activeTargets")?;
        targets.retain(|target| {
            let found = target.get("scrapePool").and_then(Value::as_str);
            found.is_some_and(|found| found.starts_with(&pool))
        });
        Ok(targets)
    }

    /// The alerts of this name that are pending or firing.
    pub async fn alerts(&self, name: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.data("alerts", &[]).await?;
        let mut alerts = list(&data, "alerts")?;
        alerts.retain(|alert| {
            let found = alert.pointer("/labels/alertname");
            found.is_some_and(|found| found == name)
        });
        Ok(alerts)
    }

    /// The groups of rules.
    pub async fn rule_groups(&self) -> anyhow::Result<Vec<Value>> {
        list(&self.data("rules", &[]).await?, "groups")
    }

    /// Repeats a query each second until the answer is as wanted, and returns it; Prometheus works by the clock, and reports no
    /// events.
    pub async fn until<T: std::fmt::Debug>(
        &self,
        limit: Duration,
        what: &str,
        ask: impl AsyncFn(&Self) -> anyhow::Result<T>,
        wanted: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            let found = ask(self).await;
            match found {
                Ok(found) if wanted(&found) => return Ok(found),
                found if begun.elapsed() > limit => {
                    bail!("not {what} within {} s: {found:?}", limit.as_secs())
                }
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

fn list(value: &Value, name: &str) -> anyhow::Result<Vec<Value>> {
    let found = value.get(name).and_then(Value::as_array);
    found.cloned().with_context(|| format!("no list '{name}'"))
}

fn series(found: &Value) -> anyhow::Result<Series> {
    let labels = found
        .get("metric")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let points = list(found, "values")?.into_iter().filter_map(|point| {
        let value: f64 = point.get(1)?.as_str()?.parse().ok()?;
        value
            .is_finite()
            .then_some((point.get(0)?.as_f64()?, value))
    });
    Ok(Series {
        labels,
        points: points.collect(),
    })
}
