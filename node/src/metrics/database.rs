//! Metrics of a database that several nodes share. Nodes with a database of their own do not show them.

use std::time::Duration;

use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, proto::MetricFamily};

use super::register;

/// Metrics of a shared database, in a registry of their own.
#[derive(Debug, Clone)]
pub(super) struct DatabaseMetrics {
    registry: Registry,
    reachable: IntGauge,
    connections: IntGaugeVec,
    waiting: IntGaugeVec,
    commits_set_aside: IntGauge,
    unknown_commits: IntCounter,
    changes_held_back: Gauge,
    timeline: IntGauge,
}

/// A node's present knowledge of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseReading {
    /// Whether it answered the last probe.
    pub is_reachable: bool,
    /// Whether the last write was made.
    pub takes_writes: bool,
    /// Connections for reading.
    pub reads: PoolReading,
    /// Connections for writing.
    pub writes: PoolReading,
    /// Commits that wait for a standby, although their callers were answered already.
    pub commits_set_aside: usize,
    /// Writes since the start of which it is not known whether they were made.
    pub unknown_commits: u64,
    /// For how long the earliest change has waited that readers of changes are not given yet.
    pub changes_held_back: Duration,
    /// The latest timeline of the database; 0 where none was seen.
    pub timeline: i32,
}

/// How much of the connections is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolReading {
    /// Connections in use.
    pub connections: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

impl DatabaseMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        let of_pools = |name: &str, help: &str| {
            register(
                &registry,
                IntGaugeVec::new(Opts::new(name, help), &["pool"])?,
            )
        };
        Ok(Self {
            reachable: gauge(
                "osc_database_reachable",
                "Whether the shared database answered when it was asked last, within the last seconds",
            )?,
            connections: of_pools(
                "osc_database_connections",
                "Connections to the shared database in use, those set aside included",
            )?,
            waiting: of_pools(
                "osc_database_requests_waiting",
                "Requests that wait for a connection to the shared database",
            )?,
            commits_set_aside: gauge(
                "osc_database_commits_set_aside",
                "Commits that wait for a standby although their callers were answered that the outcome is unknown",
            )?,
            unknown_commits: register(
                &registry,
                IntCounter::new(
                    "osc_database_unknown_commits_total",
                    "Writes of which the shared database did not say in time whether they were made",
                )?,
            )?,
            changes_held_back: register(
                &registry,
                Gauge::new(
                    "osc_database_changes_held_back_seconds",
                    "How long the earliest change has waited that no reader of changes is given, because an earlier transaction is open",
                )?,
            )?,
            timeline: gauge(
                "osc_database_timeline",
                "The latest timeline of the shared database: one more with each promotion",
            )?,
            registry,
        })
    }

    pub(super) fn show(&self, reading: DatabaseReading) {
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.reachable.set(i64::from(reading.is_reachable));
        for (pool, of_pool) in [("reads", reading.reads), ("writes", reading.writes)] {
            let gauge = |gauges: &IntGaugeVec, number: usize| {
                gauges.with_label_values(&[pool]).set(signed(number));
            };
            gauge(&self.connections, of_pool.connections);
            gauge(&self.waiting, of_pool.waiting);
        }
        self.commits_set_aside
            .set(signed(reading.commits_set_aside));
        let more = reading
            .unknown_commits
            .saturating_sub(self.unknown_commits.get());
        self.unknown_commits.inc_by(more);
        self.changes_held_back
            .set(reading.changes_held_back.as_secs_f64());
        self.timeline.set(i64::from(reading.timeline));
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
