//! Metrics of the operator.

use std::{collections::BTreeMap, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector, process_collector::ProcessCollector,
};

/// The figures of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterFigures<'a> {
    /// Each possible condition, and whether it holds; `None` where it is unknown or switched off.
    pub conditions: Vec<(&'a str, Option<bool>)>,
    /// Each reason for which a change of its pods may wait, and whether one does.
    pub pending: Vec<(&'a str, bool)>,
    /// Nodes that exist.
    pub present: usize,
    /// The ready nodes.
    pub ready: usize,
    /// The nodes that answer the operator.
    pub reachable: usize,
}

/// The operator's metrics, in a registry of their own.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounter,
    running: IntGauge,
    duration: Histogram,
    errors: IntCounterVec,
    leader: IntGauge,
    conditions: IntGaugeVec,
    members: IntGaugeVec,
    pending_rollouts: IntGaugeVec,
    last_looks: IntGaugeVec,
    missing_rights: IntGaugeVec,
    foreign: IntGaugeVec,
    api_requests: IntCounterVec,
}

/// The counted states of a cluster's nodes.
const MEMBER_STATES: [&str; 3] = ["present", "ready", "reachable"];

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
            conditions: gauges(
                "osc_operator_cluster_condition",
                "1 where a condition of a cluster is true, 0 where it is false; one that is unknown, or that the resource switches off, is not there",
                &["namespace", "name", "condition"],
            )?,
            members: gauges(
                "osc_operator_cluster_members",
                "Nodes of a cluster: those that exist, are ready, and answer the operator",
                &["namespace", "name", "state"],
            )?,
            pending_rollouts: gauges(
                "osc_operator_cluster_pending_rollout",
                "1 where a change of a cluster's pods waits (status.pendingRollout), by what it waits for; else it is not there",
                &["namespace", "name", "reason"],
            )?,
            last_looks: gauges(
                "osc_operator_cluster_last_look_timestamp_seconds",
                "When the operator last looked at a cluster, in seconds since 1970",
                &["namespace", "name"],
            )?,
            foreign: gauges(
                "osc_operator_foreign_clusters",
                "Clusters that this operator sees and leaves alone, because another one runs them",
                &["namespace", "name"],
            )?,
            api_requests: IntCounterVec::new(
                Opts::new(
                    "osc_operator_api_requests_total",
                    "Requests to the Kubernetes API server; each turn of a watch is one",
                ),
                &["verb", "resource"],
            )?,
            missing_rights: gauges(
                "osc_operator_missing_rights",
                "Rights that the operator lacks in a namespace, or 1 where a call was refused; an empty namespace is all of them",
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
            conditions,
            members,
            pending_rollouts,
            last_looks,
            missing_rights,
            foreign,
            api_requests,
        } = self;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(running.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(conditions.clone()))?;
        registry.register(Box::new(members.clone()))?;
        registry.register(Box::new(pending_rollouts.clone()))?;
        registry.register(Box::new(last_looks.clone()))?;
        registry.register(Box::new(missing_rights.clone()))?;
        registry.register(Box::new(foreign.clone()))?;
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
    pub fn observed(&self, namespace: &str, name: &str, figures: &ClusterFigures<'_>) {
        let ClusterFigures {
            conditions,
            pending,
            present,
            ready,
            reachable,
        } = figures;
        let _ = self.foreign.remove_label_values(&[namespace, name]);
        self.last_looks
            .with_label_values(&[namespace, name])
            .set(jiff::Timestamp::now().as_second());
        let conditions = conditions
            .iter()
            .map(|(type_, holds)| (*type_, holds.map(i64::from)));
        set(&self.conditions, namespace, name, conditions);
        let pending = pending
            .iter()
            .map(|(reason, waits)| (*reason, waits.then_some(1)));
        set(&self.pending_rollouts, namespace, name, pending);
        let counts = [present, ready, reachable].map(|count| i64::try_from(*count).ok());
        let members = MEMBER_STATES.into_iter().zip(counts);
        set(&self.members, namespace, name, members);
    }

    /// Shows a cluster as another operator's, and nothing else of it.
    pub fn is_foreign(&self, namespace: &str, name: &str) {
        self.forget(namespace, name);
        self.foreign.with_label_values(&[namespace, name]).set(1);
    }

    /// Shows nothing more of a cluster that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        for gauges in [&self.conditions, &self.members, &self.pending_rollouts] {
            clear(gauges, namespace, name);
        }
        let _ = self.last_looks.remove_label_values(&[namespace, name]);
        let _ = self.foreign.remove_label_values(&[namespace, name]);
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

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

/// Shows these values of a cluster, and none where there is none.
fn set<'a>(
    gauges: &IntGaugeVec,
    namespace: &str,
    name: &str,
    values: impl Iterator<Item = (&'a str, Option<i64>)>,
) {
    for (label, value) in values {
        let labels = [namespace, name, label];
        match value {
            Some(value) => gauges.with_label_values(&labels).set(value),
            None => drop(gauges.remove_label_values(&labels)),
        }
    }
}

/// Removes a cluster's values, whatever their last label.
fn clear(gauges: &IntGaugeVec, namespace: &str, name: &str) {
    for family in gauges.collect() {
        for metric in family.get_metric() {
            let labels: BTreeMap<_, _> = metric
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            let is_its_own =
                labels.get("namespace") == Some(&namespace) && labels.get("name") == Some(&name);
            let last = labels
                .iter()
                .find(|(label, _)| !["namespace", "name"].contains(label));
            if let Some((_, last)) = last.filter(|_| is_its_own) {
                let _ = gauges.remove_label_values(&[namespace, name, last]);
            }
        }
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
