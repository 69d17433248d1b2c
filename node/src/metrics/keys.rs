//! Data keys and authentication.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::{BUCKETS, Metrics, register};

/// How the names of metrics begin that concern data keys.
pub(super) const KEYS: &str = "osc_key_";
/// Requests that were refused unseen.
pub(super) const THROTTLED: &str = "osc_auth_throttled_total";

/// Which key was wrong.
#[derive(Debug, Clone, Copy)]
pub enum AuthFailure {
    /// `X-API-Key`
    ApiKey,
    /// `X-User-Key`: it did not open the entry.
    UserKey,
    /// `X-Cluster-Key`
    ClusterKey,
}

impl AuthFailure {
    fn label(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::UserKey => "user_key",
            Self::ClusterKey => "cluster_key",
        }
    }
}

/// Metrics of data keys and authentication.
#[derive(Debug, Clone)]
pub struct KeyMetrics {
    lookups: IntCounterVec,
    derivations: Histogram,
    waiting: IntGauge,
    refused: IntCounter,
    auth_failures: IntCounterVec,
    throttled: IntCounter,
}

impl KeyMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let counter = |name, help| register(registry, IntCounter::new(name, help)?);
        let derivations = HistogramOpts::new(
            "osc_key_derivation_duration_seconds",
            "Time that one key derivation takes",
        );
        Ok(Self {
            lookups: counters(
                "osc_key_cache_lookups_total",
                "Lookups in the cache of data keys",
                &["result"],
            )?,
            derivations: register(
                registry,
                Histogram::with_opts(derivations.buckets(BUCKETS.to_vec()))?,
            )?,
            waiting: register(
                registry,
                IntGauge::new(
                    "osc_key_derivations_waiting",
                    "Key derivations that wait for a thread",
                )?,
            )?,
            refused: counter(
                "osc_key_derivations_refused_total",
                "Key derivations refused because too many were waiting",
            )?,
            auth_failures: counters(
                "osc_auth_failures_total",
                "Requests with a wrong key",
                &["key"],
            )?,
            throttled: counter(
                THROTTLED,
                "Requests refused because their address had sent too many wrong keys",
            )?,
        })
    }

    /// Metrics that are not scraped.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::new(&Registry::new())
    }

    /// Counts a lookup in the cache.
    pub fn looked_up(&self, hit: bool) {
        let result = if hit { "hit" } else { "miss" };
        self.lookups.with_label_values(&[result]).inc();
    }

    /// So many derivations wait for a thread.
    pub fn waiting(&self, derivations: usize) {
        self.waiting
            .set(i64::try_from(derivations).unwrap_or(i64::MAX));
    }

    /// Counts a derivation.
    pub fn derived(&self, duration: Duration) {
        self.derivations.observe(duration.as_secs_f64());
    }

    /// Counts a derivation that found the queue full, or lost its place in it to another origin.
    pub fn refused(&self) {
        self.refused.inc();
    }

    #[cfg(test)]
    pub(crate) fn refusals(&self) -> u64 {
        self.refused.get()
    }
}

impl Metrics {
    /// Counts a wrong key.
    pub fn auth_failed(&self, key: AuthFailure) {
        self.keys
            .auth_failures
            .with_label_values(&[key.label()])
            .inc();
    }

    /// Counts a request that its address' earlier failures stopped.
    pub fn throttled(&self) {
        self.keys.throttled.inc();
    }
}
