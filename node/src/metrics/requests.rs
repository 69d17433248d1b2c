//! Requests and operations, counted as the original counts them.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::{BUCKETS, Metrics, register};

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

#[derive(Debug, Clone)]
pub(super) struct RequestMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    operations: IntCounterVec,
    encryptions: IntCounterVec,
    errors: IntCounterVec,
}

impl RequestMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let duration = HistogramOpts::new(
            "osc_http_request_duration_seconds",
            "HTTP request latency in seconds",
        );
        Ok(Self {
            requests: counters(
                "osc_http_requests_total",
                "Total HTTP requests",
                &["endpoint", "method", "status_code"],
            )?,
            duration: register(
                registry,
                HistogramVec::new(duration.buckets(BUCKETS.to_vec()), &["endpoint", "method"])?,
            )?,
            operations: counters(
                "osc_config_operations_total",
                "Total configuration operations",
                &["operation", "status"],
            )?,
            encryptions: counters(
                "osc_encryption_operations_total",
                "Total encryption/decryption operations",
                &["operation"],
            )?,
            errors: counters(
                "osc_api_errors_total",
                "Total API errors",
                &["endpoint", "error_type"],
            )?,
        })
    }
}

impl Metrics {
    /// Counts an answered request. `endpoint` is a route template, never a path: paths hold names of entries.
    pub fn request(&self, endpoint: &str, method: &str, status: u16, duration: Duration) {
        self.requests
            .requests
            .with_label_values(&[endpoint, method, &status.to_string()])
            .inc();
        self.requests
            .duration
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
        self.requests
            .operations
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
        self.requests
            .errors
            .with_label_values(&[endpoint, error_type])
            .inc();
    }

    /// Counts a sealed value.
    pub fn encrypted(&self) {
        self.requests
            .encryptions
            .with_label_values(&["encrypt"])
            .inc();
    }

    /// Counts an opened value.
    pub fn decrypted(&self) {
        self.requests
            .encryptions
            .with_label_values(&["decrypt"])
            .inc();
    }
}
