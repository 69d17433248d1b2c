//! Metrics of the operator.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};

use crate::cluster::resource::{CONDITIONS, ClusterStatus, PENDING_REASONS};

/// The reason of a condition about something that the resource does not want.
const SWITCHED_OFF: &str = "Disabled";

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

/// What is counted of a cluster's nodes.
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
            conditions: IntGaugeVec::new(
                Opts::new(
                    "osc_operator_cluster_condition",
                    "1 where a condition of a cluster is true, 0 where it is false; one that is unknown, or that the resource switches off, is not there",
                ),
                &["namespace", "name", "condition"],
            )?,
            members: IntGaugeVec::new(
                Opts::new(
                    "osc_operator_cluster_members",
                    "Nodes of a cluster: those that exist, are ready, and answer the operator",
                ),
                &["namespace", "name", "state"],
            )?,
            pending_rollouts: IntGaugeVec::new(
                Opts::new(
                    "osc_operator_cluster_pending_rollout",
                    "1 where a change of a cluster's pods waits (status.pendingRollout), by what it waits for; else it is not there",
                ),
                &["namespace", "name", "reason"],
            )?,
            last_looks: IntGaugeVec::new(
                Opts::new(
                    "osc_operator_cluster_last_look_timestamp_seconds",
                    "When the operator last looked at a cluster, in seconds since 1970",
                ),
                &["namespace", "name"],
            )?,
            foreign: IntGaugeVec::new(
                Opts::new(
                    "osc_operator_foreign_clusters",
                    "Clusters that this operator sees and leaves alone, because another one runs them",
                ),
                &["namespace", "name"],
            )?,
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

    /// Counts no failure yet of each of these phases: an increase from nothing is seen by nobody.
    pub fn begin_at_zero(&self, phases: &[&str]) {
        for phase in phases {
            self.errors.with_label_values(&[phase]).inc_by(0);
        }
    }

    /// Counts a request to the API server.
    pub fn requested(&self, verb: &str, resource: &str) {
        self.api_requests.with_label_values(&[verb, resource]).inc();
    }

    /// Shows what the status of a cluster says.
    pub fn observed(&self, namespace: &str, name: &str, status: &ClusterStatus) {
        let _ = self.foreign.remove_label_values(&[namespace, name]);
        self.last_looks
            .with_label_values(&[namespace, name])
            .set(jiff::Timestamp::now().as_second());
        for type_ in CONDITIONS {
            let labels = [namespace, name, type_];
            let found = status.conditions.iter().find(|found| found.type_ == type_);
            match found.map(|found| (found.status.as_str(), found.reason.as_str())) {
                Some(("True", _)) => self.conditions.with_label_values(&labels).set(1),
                Some(("False", reason)) if reason != SWITCHED_OFF => {
                    self.conditions.with_label_values(&labels).set(0);
                }
                // Some are there only while they are true; of others nothing is known, or nothing is wanted, which is no alarm.
                _ => drop(self.conditions.remove_label_values(&labels)),
            }
        }
        let pending = status.pending_rollout.as_ref();
        for reason in PENDING_REASONS {
            let labels = [namespace, name, reason];
            if pending.is_some_and(|pending| pending.reason == reason) {
                self.pending_rollouts.with_label_values(&labels).set(1);
            } else {
                let _ = self.pending_rollouts.remove_label_values(&labels);
            }
        }
        let members = &status.members;
        let counts = [
            members.len(),
            members.iter().filter(|member| member.ready).count(),
            members.iter().filter(|member| member.reachable).count(),
        ];
        for (state, count) in MEMBER_STATES.iter().zip(counts) {
            self.members
                .with_label_values(&[namespace, name, state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Shows a cluster as another operator's, and nothing else of it.
    pub fn is_foreign(&self, namespace: &str, name: &str) {
        self.forget(namespace, name);
        self.foreign.with_label_values(&[namespace, name]).set(1);
    }

    /// Shows nothing more of a cluster that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        for condition in CONDITIONS {
            let _ = self
                .conditions
                .remove_label_values(&[namespace, name, condition]);
        }
        for state in MEMBER_STATES {
            let _ = self.members.remove_label_values(&[namespace, name, state]);
        }
        for reason in PENDING_REASONS {
            let labels = [namespace, name, reason];
            let _ = self.pending_rollouts.remove_label_values(&labels);
        }
        let _ = self.last_looks.remove_label_values(&[namespace, name]);
        let _ = self.foreign.remove_label_values(&[namespace, name]);
    }

    /// Shows how many rights are missing in a namespace, `required` or `optional` ones; nothing where none is.
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

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;
    use crate::cluster::resource::{MemberStatus, PendingRollout};

    fn status(conditions: &[(&str, &str)]) -> ClusterStatus {
        let conditions = conditions.iter().map(|(type_, status)| {
            serde_json::from_value::<Condition>(serde_json::json!({
                "type": type_, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }))
            .unwrap()
        });
        let member = MemberStatus {
            ready: true,
            ..MemberStatus::default()
        };
        ClusterStatus {
            conditions: conditions.collect(),
            members: vec![member, MemberStatus::default()],
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn a_cluster_is_shown_as_its_status_says_and_not_after_its_end() {
        let metrics = Metrics::new().unwrap();
        let first = status(&[
            ("Ready", "False"),
            ("Reconciling", "True"),
            ("SaltMatches", "True"),
        ]);
        let second = status(&[("Ready", "True"), ("SaltMatches", "Unknown")]);
        metrics.observed("shop", "prod", &first);
        metrics.observed("shop", "prod", &second);
        let page = metrics.page().unwrap();
        for line in [
            "osc_operator_cluster_condition{condition=\"Ready\",name=\"prod\",namespace=\"shop\"} 1",
            "osc_operator_cluster_members{name=\"prod\",namespace=\"shop\",state=\"present\"} 2",
            "osc_operator_cluster_members{name=\"prod\",namespace=\"shop\",state=\"ready\"} 1",
            "osc_operator_cluster_members{name=\"prod\",namespace=\"shop\",state=\"reachable\"} 0",
        ] {
            assert!(page.contains(line), "{line} is not in {page}");
        }
        let looked =
            "osc_operator_cluster_last_look_timestamp_seconds{name=\"prod\",namespace=\"shop\"} ";
        let at = page.lines().find_map(|line| line.strip_prefix(looked));
        let ago = jiff::Timestamp::now().as_second() - at.unwrap().parse::<i64>().unwrap();
        assert!((0..60).contains(&ago), "{ago}");
        assert!(!page.contains("Reconciling"), "{page}");
        assert!(!page.contains("SaltMatches"), "{page}");

        metrics.forget("shop", "prod");
        let page = metrics.page().unwrap();
        assert!(!page.contains("prod"), "{page}");
    }

    #[test]
    fn a_cluster_whose_pods_wait_for_a_change_is_shown_with_what_it_waits_for() {
        let metrics = Metrics::new().unwrap();
        let mut told = status(&[("Ready", "True")]);
        let shown = |metrics: &Metrics| {
            let page = metrics.page().unwrap();
            let prefix = "osc_operator_cluster_pending_rollout{";
            let lines = page.lines().filter_map(|line| line.strip_prefix(prefix));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        for reason in PENDING_REASONS {
            told.pending_rollout = Some(PendingRollout {
                reason: reason.to_owned(),
                ..PendingRollout::default()
            });
            metrics.observed("shop", "prod", &told);
            let line = format!("name=\"prod\",namespace=\"shop\",reason=\"{reason}\"}} 1");
            assert_eq!(shown(&metrics), [line]);
        }
        metrics.forget("shop", "prod");
        assert_eq!(shown(&metrics), Vec::<String>::new());
        metrics.observed("shop", "prod", &told);
        told.pending_rollout = None;
        metrics.observed("shop", "prod", &told);
        assert_eq!(shown(&metrics), Vec::<String>::new());
    }

    #[test]
    fn what_the_resource_switches_off_is_no_alarm() {
        let metrics = Metrics::new().unwrap();
        let mut told = status(&[("Ready", "True"), ("TlsReady", "False")]);
        metrics.observed("shop", "prod", &told);
        assert!(metrics.page().unwrap().contains("TlsReady"));
        // `tls.mode: Disabled`.
        told.conditions[1].reason = "Disabled".to_owned();
        metrics.observed("shop", "prod", &told);
        assert!(!metrics.page().unwrap().contains("TlsReady"));
    }

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
        // What has labels is on the page once there is something to tell.
        metrics.reconciled(Duration::ZERO, Some("apply"));
        let mut told = status(&[("Ready", "True")]);
        told.pending_rollout = Some(PendingRollout {
            reason: "Manual".to_owned(),
            ..PendingRollout::default()
        });
        metrics.observed("shop", "prod", &told);
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
