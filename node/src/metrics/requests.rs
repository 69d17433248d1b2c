//! Requests and operations, counted as the original counts them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::{BUCKETS, Metrics, register};

const SUCCESS: &str = "success";

/// An operation of a client on entries.
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

/// The series of the most frequent requests. Measured: finding them by their labels cost a read of one entry 3 %.
#[derive(Debug)]
struct Frequent {
    endpoint: &'static str,
    method: &'static str,
    status: u16,
    /// Looked up by their labels at the first such request: a series exists once it counts something.
    series: OnceLock<(IntCounter, Histogram)>,
}

const fn frequent(endpoint: &'static str, method: &'static str, status: u16) -> Frequent {
    Frequent {
        endpoint,
        method,
        status,
        series: OnceLock::new(),
    }
}

impl Frequent {
    fn all() -> Arc<[Frequent]> {
        Arc::new([
            frequent("/configs/{key}", "GET", 200),
            frequent("/configs", "POST", 201),
            frequent("/configs/{key}", "PUT", 200),
            frequent("/configs/{key}", "GET", 304),
            frequent("/configs", "GET", 200),
            frequent("/configs/{key}", "DELETE", 200),
        ])
    }

    fn is(&self, endpoint: &str, method: &str, status: u16) -> bool {
        self.status == status && self.endpoint == endpoint && self.method == method
    }
}

#[derive(Debug, Clone)]
pub(super) struct RequestMetrics {
    frequent: Arc<[Frequent]>,
    encrypted: Arc<OnceLock<IntCounter>>,
    decrypted: Arc<OnceLock<IntCounter>>,
    requests: IntCounterVec,
    duration: HistogramVec,
    operations: IntCounterVec,
    /// Of operations that succeed, by their number in [`Operation`].
    succeeded: Arc<[OnceLock<IntCounter>; 5]>,
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
            frequent: Frequent::all(),
            encrypted: Arc::default(),
            decrypted: Arc::default(),
            succeeded: Arc::default(),
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
        let all = &self.requests;
        let find = || {
            let count = all
                .requests
                .with_label_values(&[endpoint, method, &status.to_string()]);
            (count, all.duration.with_label_values(&[endpoint, method]))
        };
        let known = all
            .frequent
            .iter()
            .find(|one| one.is(endpoint, method, status));
        let found;
        let (count, seconds) = if let Some(one) = known {
            one.series.get_or_init(find)
        } else {
            found = find();
            &found
        };
        count.inc();
        seconds.observe(duration.as_secs_f64());
    }

    /// Counts an operation on entries by the status of its answer.
    pub fn operation(&self, operation: Operation, status: u16) {
        let outcome = match status {
            200..400 => SUCCESS,
            404 => "not_found",
            _ => "error",
        };
        let all = &self.requests;
        let find = || {
            all.operations
                .with_label_values(&[operation.label(), outcome])
        };
        match all.succeeded.get(operation as usize) {
            Some(series) if outcome == SUCCESS => series.get_or_init(find).inc(),
            _ => find().inc(),
        }
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
        let all = &self.requests;
        let find = || all.encryptions.with_label_values(&["encrypt"]);
        all.encrypted.get_or_init(find).inc();
    }

    /// Counts an opened value.
    pub fn decrypted(&self) {
        let all = &self.requests;
        let find = || all.encryptions.with_label_values(&["decrypt"]);
        all.decrypted.get_or_init(find).inc();
    }
}
