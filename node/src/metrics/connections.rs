//! Connections of clients.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::register;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The client closed it, or said that its request was the last.
    Client,
    /// A client did not speak its protocol, or went away in the middle.
    Broken,
    /// No TLS came about.
    Handshake,
    /// The client sent nothing.
    Silent,
    /// The head of a request came too slowly.
    SlowHead,
    /// The client took an answer too slowly.
    SlowReader,
    /// No request came for a while.
    Idle,
    /// It was old.
    Age,
    /// It had to make room.
    Evicted,
    /// The node stopped.
    Stopped,
}

impl ConnectionEnd {
    fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Broken => "broken",
            Self::Handshake => "handshake",
            Self::Silent => "silent",
            Self::SlowHead => "slow_headers",
            Self::SlowReader => "slow_reader",
            Self::Idle => "idle",
            Self::Age => "age",
            Self::Evicted => "evicted",
            Self::Stopped => "stopped",
        }
    }
}

/// Metrics of connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    open: IntGauge,
    refused: IntCounterVec,
    closed: IntCounterVec,
    refused_heads: IntCounterVec,
    exhausted: IntCounter,
}

impl ConnectionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, label| {
            register(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        let metrics = Self {
            open: register(
                registry,
                IntGauge::new("osc_connections_open", "Open connections of clients")?,
            )?,
            refused: counters(
                "osc_connections_refused_total",
                "Connections that were not taken: full (OSC_MAX_CONNECTIONS), reserved (the last ones are kept for addresses without another one), address (one address holds a quarter)",
                "reason",
            )?,
            closed: counters(
                "osc_connections_closed_total",
                "Connections that ended, by what ended them",
                "reason",
            )?,
            refused_heads: counters(
                "osc_malformed_requests_total",
                "Requests that were refused before they could be read",
                "status_code",
            )?,
            exhausted: register(
                registry,
                IntCounter::new(
                    "osc_file_descriptors_exhausted_total",
                    "Times that no connection could be taken because the process had no file descriptor left",
                )?,
            )?,
        };
        // An increase from nothing is none to Prometheus.
        for reason in ["full", "reserved", "address"] {
            metrics.refused.with_label_values(&[reason]).inc_by(0);
        }
        Ok(metrics)
    }

    /// Metrics that are not scraped.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::new(&Registry::new())
    }

    /// How many connections there are.
    pub fn open(&self, connections: usize) {
        self.open
            .set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Counts a connection that was not taken.
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Counts a connection that ended.
    pub fn closed(&self, end: ConnectionEnd) {
        self.closed.with_label_values(&[end.label()]).inc();
    }

    /// Counts a request that could not be read.
    pub fn refused_head(&self, status: u16) {
        let status = status.to_string();
        self.refused_heads.with_label_values(&[&status]).inc();
    }

    /// Counts the beginning of a time without file descriptors.
    pub fn descriptors_exhausted(&self) {
        self.exhausted.inc();
    }
}
