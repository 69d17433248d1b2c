//! A database that several nodes share. Nodes with a database of their own show nothing of this.

use prometheus::{IntGauge, Registry, proto::MetricFamily};

use super::register;

/// Metrics of a shared database, in a registry of their own.
#[derive(Debug, Clone)]
pub(super) struct DatabaseMetrics {
    registry: Registry,
    reachable: IntGauge,
    commits_set_aside: IntGauge,
}

/// What a node knows of the database just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseReading {
    /// Whether it answered when it was asked last.
    pub is_reachable: bool,
    /// Whether the last write was made.
    pub takes_writes: bool,
    /// Commits that wait for a standby, although their callers were answered already.
    pub commits_set_aside: usize,
}

impl DatabaseMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        Ok(Self {
            reachable: gauge(
                "osc_database_reachable",
                "Whether the shared database answered when it was asked last, within the last seconds",
            )?,
            commits_set_aside: gauge(
                "osc_database_commits_set_aside",
                "Commits that wait for a standby although their callers were answered that the outcome is unknown",
            )?,
            registry,
        })
    }

    pub(super) fn show(&self, reading: DatabaseReading) {
        self.reachable.set(i64::from(reading.is_reachable));
        self.commits_set_aside
            .set(i64::try_from(reading.commits_set_aside).unwrap_or(i64::MAX));
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
