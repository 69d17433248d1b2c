//! Metrics of the operator.

mod clusters;

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};

pub use clusters::ClusterFigures;
use clusters::Clusters;

/// The operator's metrics, in a registry of their own.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounter,
    running: IntGauge,
    duration: Histogram,
    errors: IntCounterVec,
    leader: IntGauge,
    clusters: Clusters,
    missing_rights: IntGaugeVec,
    api_requests: IntCounterVec,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            reconciles: IntCounter::new(
                "osc_operator_reconciles_total",
                "Reconciles that ended, well or not",
            )?,
            running: IntGauge::new("osc_operator_reconciles_running", "Reconciles under way")?,
            duration: Histogram::with_opts(
                HistogramOpts::new(
                    "osc_operator_reconcile_duration_seconds",
                    "How long reconciles took",
                )
                .buckets(vec![
                    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                ]),
            )?,
            errors: IntCounterVec::new(
                Opts::new(
                    "osc_operator_reconcile_errors_total",
                    "Reconciles that failed, by the step that did",
                ),
                &["phase"],
            )?,
            leader: IntGauge::new(
                "osc_operator_leader",
                "1 while this process holds the Lease",
            )?,
            clusters: Clusters::new()?,
            api_requests: IntCounterVec::new(
                Opts::new(
                    "osc_operator_api_requests_total",
                    "Requests to the Kubernetes API server; each turn of a watch is one",
                ),
                &["verb", "resource"],
            )?,
            missing_rights: IntGaugeVec::new(
                Opts::new(
                    "osc_operator_missing_rights",
                    "Rights that the operator lacks in a namespace, or 1 where a call was refused; an empty namespace is all of them",
                ),
                &["namespace", "need"],
            )?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        // Destructured in full: a metric that is not registered would never be seen.
        let Self {
            registry,
            reconciles,
            running,
            duration,
            errors,
            leader,
            clusters,
            missing_rights,
            api_requests,
        } = self;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(running.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(clusters.clone()))?;
        registry.register(Box::new(missing_rights.clone()))?;
        registry.register(Box::new(api_requests.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))
    }

    /// Counts a reconcile as under way for as long as the answer lives.
    #[must_use]
    pub fn reconciling(&self) -> Reconciling {
        self.running.inc();
        Reconciling(self.running.clone())
    }

    /// Counts a reconcile, and the step that failed.
    pub fn reconciled(&self, took: Duration, failed_phase: Option<&str>) {
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(phase) = failed_phase {
            self.errors.with_label_values(&[phase]).inc();
        }
    }

    /// Starts a counter at zero for each of these phases: no query sees an increase in a counter that did not exist.
    pub fn begin_at_zero(&self, phases: &[&str]) {
        for phase in phases {
            self.errors.with_label_values(&[phase]).inc_by(0);
        }
    }

    /// Counts a request to the API server.
    pub fn requested(&self, verb: &str, resource: &str) {
        self.api_requests.with_label_values(&[verb, resource]).inc();
    }

    /// Shows the figures of a cluster.
    pub fn observed(&self, namespace: &str, name: &str, figures: &ClusterFigures) {
        self.clusters.observed(namespace, name, figures);
    }

    /// Shows a cluster as another operator's, and nothing else of it.
    pub fn is_foreign(&self, namespace: &str, name: &str) {
        self.clusters.is_foreign(namespace, name);
    }

    /// Shows nothing more of a cluster that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.clusters.forget(namespace, name);
    }

    /// Shows how many rights are missing in a namespace, `required` or `optional` ones; removes the figure where none is.
    pub fn set_missing_rights(&self, namespace: &str, need: &str, count: usize) {
        let labels = [namespace, need];
        if count == 0 {
            let _ = self.missing_rights.remove_label_values(&labels);
        } else {
            self.missing_rights
                .with_label_values(&labels)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Shows whether this process leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Whether this process leads.
    pub fn is_leader(&self) -> bool {
        self.leader.get() == 1
    }

    /// The page of `/metrics`, in Prometheus' text format.
    pub fn page(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A reconcile under way.
#[derive(Debug)]
pub struct Reconciling(IntGauge);

impl Drop for Reconciling {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_first_failure_of_a_phase_is_an_increase() {
        let metrics = Metrics::new().unwrap();
        metrics.begin_at_zero(&["apply"]);
        let line =
            |count| format!("osc_operator_reconcile_errors_total{{phase=\"apply\"}} {count}");
        assert!(metrics.page().unwrap().contains(&line(0)));
        metrics.reconciled(Duration::ZERO, Some("apply"));
        assert!(metrics.page().unwrap().contains(&line(1)));
    }

    #[test]
    fn rules_and_dashboards_use_only_metrics_that_exist() {
        let metrics = Metrics::new().unwrap();
        // A metric with labels is on the page once it has a value.
        metrics.reconciled(Duration::ZERO, Some("apply"));
        let figures = ClusterFigures {
            conditions: vec![("Ready", Some(true))],
            pending: vec![("Manual", true)],
            ..ClusterFigures::default()
        };
        metrics.observed("shop", "prod", &figures);
        metrics.is_foreign("shop", "other");
        metrics.set_missing_rights("shop", "required", 1);
        let page = metrics.page().unwrap();
        let known: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/monitoring");
        for file in ["alerts.yaml", "dashboard.json"] {
            let texts = ["", "operator"].map(|part| folder.join(part).join(file));
            let text = texts.map(|path| fs::read_to_string(path).unwrap()).concat();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let mut used = 0;
            for word in words.filter(|word| word.starts_with("osc_operator_")) {
                let histogram = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| word.strip_suffix(suffix));
                let exists =
                    known.contains(&word) || histogram.is_some_and(|base| known.contains(&base));
                assert!(exists, "{word} in {file}");
                used += 1;
            }
            assert!(used > 5, "{file}");
        }
    }

    #[test]
    fn reconciles_under_way_are_counted() {
        let metrics = Metrics::new().unwrap();
        let one = metrics.reconciling();
        assert!(metrics.page().unwrap().contains("reconciles_running 1"));
        drop(one);
        assert!(metrics.page().unwrap().contains("reconciles_running 0"));
    }
}
