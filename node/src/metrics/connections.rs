//! Connections, port by port.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::register;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The client closed it, or announced its last request.
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

/// A port whose connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedPort {
    /// `OSC_HOST_PORT`.
    Http,
    /// `OSC_HTTPS_PORT`.
    Https,
    /// `OSC_PEER_PORT`.
    Peers,
    /// `OSC_METRICS_BIND`.
    Metrics,
}

impl CountedPort {
    fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Peers => "peers",
            Self::Metrics => "metrics",
        }
    }
}

/// Metrics of the connections of all ports.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    open: IntGaugeVec,
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
                IntCounterVec::new(Opts::new(name, help), &["port", label])?,
            )
        };
        Ok(Self {
            open: register(
                registry,
                IntGaugeVec::new(
                    Opts::new("osc_connections_open", "Open connections"),
                    &["port"],
                )?,
            )?,
            refused: counters(
                "osc_connections_refused_total",
                "Connections that were not taken: full (there are as many as the port takes), reserved (the last ones are kept for addresses without another one), address (one address holds a quarter)",
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
        })
    }

    /// The metrics of one port, which show from now on.
    pub fn at(&self, port: CountedPort) -> PortMetrics {
        let metrics = PortMetrics {
            port: port.label(),
            of_all: self.clone(),
        };
        // A gauge that is never touched is not shown.
        metrics
            .of_all
            .open
            .with_label_values(&[metrics.port])
            .set(0);
        // Prometheus sees no increase in a counter that first appears with a value.
        for reason in ["full", "reserved", "address"] {
            let labels = [metrics.port, reason];
            self.refused.with_label_values(&labels).inc_by(0);
        }
        metrics
    }
}

/// Metrics of the connections of one port.
#[derive(Debug, Clone)]
pub struct PortMetrics {
    port: &'static str,
    of_all: ConnectionMetrics,
}

impl PortMetrics {
    /// There is one connection more.
    pub fn opened(&self) {
        self.of_all.open.with_label_values(&[self.port]).inc();
    }

    /// There is one connection less.
    pub fn ended(&self) {
        self.of_all.open.with_label_values(&[self.port]).dec();
    }

    /// Counts a connection that was not taken.
    pub fn refused(&self, reason: &str) {
        let labels = [self.port, reason];
        self.of_all.refused.with_label_values(&labels).inc();
    }

    /// Counts a connection that ended.
    pub fn closed(&self, end: ConnectionEnd) {
        let labels = [self.port, end.label()];
        self.of_all.closed.with_label_values(&labels).inc();
    }

    /// Counts a request that could not be read.
    pub fn refused_head(&self, status: u16) {
        let status = status.to_string();
        let labels = [self.port, status.as_str()];
        self.of_all.refused_heads.with_label_values(&labels).inc();
    }

    /// Counts the beginning of a time without file descriptors.
    pub fn descriptors_exhausted(&self) {
        self.of_all.exhausted.inc();
    }
}
