//! Metrics of one node, with the names, types and buckets of the original.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector, process_collector::ProcessCollector,
};

const BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The metrics of one node, in a registry of their own.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    operations: IntCounterVec,
    entries: IntGauge,
    encryptions: IntCounterVec,
    api_errors: IntCounterVec,
}

/// What a client did to entries.
#[derive(Debug, Clone, Copy)]
pub enum Operation {
    /// POST
    Create,
    /// GET one
    Read,
    /// PUT
    Update,
    /// DELETE
    Delete,
    /// GET many
    List,
}

impl Operation {
    fn label(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name, help, labels: &[&str]| -> Result<_, prometheus::Error> {
            register(
                &registry,
                IntCounterVec::new(Opts::new(name, help), labels)?,
            )
        };
        let build_info = register(
            &registry,
            IntGaugeVec::new(
                Opts::new("osc_build_info", "The running release; always 1"),
                &["version"],
            )?,
        )?;
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            requests: counters(
                "osc_http_requests_total",
                "Total HTTP requests",
                &["endpoint", "method", "status_code"],
            )?,
            request_duration: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "osc_http_request_duration_seconds",
                        "HTTP request latency in seconds",
                    )
                    .buckets(BUCKETS.to_vec()),
                    &["endpoint", "method"],
                )?,
            )?,
            operations: counters(
                "osc_config_operations_total",
                "Total configuration operations",
                &["operation", "status"],
            )?,
            entries: register(
                &registry,
                IntGauge::new(
                    "osc_config_entries_total",
                    "Total number of configuration entries",
                )?,
            )?,
            encryptions: counters(
                "osc_encryption_operations_total",
                "Total encryption/decryption operations",
                &["operation"],
            )?,
            api_errors: counters(
                "osc_api_errors_total",
                "Total API errors",
                &["endpoint", "error_type"],
            )?,
            registry,
        })
    }

    /// Counts an answered request. `endpoint` is a route template, never a path: paths hold names of entries.
    pub fn request(&self, endpoint: &str, method: &str, status: u16, duration: Duration) {
        self.requests
            .with_label_values(&[endpoint, method, &status.to_string()])
            .inc();
        self.request_duration
            .with_label_values(&[endpoint, method])
            .observe(duration.as_secs_f64());
    }

    /// Counts an operation on entries by the status of its answer.
    pub fn operation(&self, operation: Operation, status: u16) {
        let outcome = match status {
            200..400 => "success",
            404 => "not_found",
            _ => "error",
        };
        self.operations
            .with_label_values(&[operation.label(), outcome])
            .inc();
    }

    /// Counts an answer that the original counts as an error of its API.
    pub fn api_error(&self, endpoint: &str, status: u16) {
        let error_type = match status {
            400 => "validation_error",
            404 => "not_found",
            500.. => "internal_error",
            _ => return,
        };
        self.api_errors
            .with_label_values(&[endpoint, error_type])
            .inc();
    }

    /// Counts a sealed value.
    pub fn encrypted(&self) {
        self.encryptions.with_label_values(&["encrypt"]).inc();
    }

    /// Counts an opened value.
    pub fn decrypted(&self) {
        self.encryptions.with_label_values(&["decrypt"]).inc();
    }

    /// The page of `/metrics`, in Prometheus' text format.
    pub fn page(&self, live_entries: u64) -> Result<String, prometheus::Error> {
        self.entries
            .set(i64::try_from(live_entries).unwrap_or(i64::MAX));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
