//! Metrics of the operator.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};

/// The operator's metrics, in a registry of their own.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounter,
    duration: Histogram,
    errors: IntCounterVec,
    leader: IntGauge,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: IntCounter::new(
                "osc_operator_reconciles_total",
                "Reconciles that ended, well or not",
            )?,
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
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.leader.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// Counts a reconcile, and the step that failed.
    pub fn reconciled(&self, took: Duration, failed_phase: Option<&str>) {
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(phase) = failed_phase {
            self.errors.with_label_values(&[phase]).inc();
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
