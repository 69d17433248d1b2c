//! Metrics of one node, with the names, types and buckets of the original, and some more.
//!
//! Names of entries, user keys and addresses are never labels.

mod cluster;
mod connections;
mod database;
mod files;
mod keys;
mod lists;
mod memory;
mod requests;
mod store;

use prometheus::{
    IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
    process_collector::ProcessCollector,
};

pub use cluster::ClusterMetrics;
pub use connections::{ConnectionEnd, ConnectionMetrics, CountedPort, PortMetrics};
pub use database::{DatabaseReading, PoolReading};
pub use files::{CertificateFile, FileMetrics};
pub use keys::{AuthFailure, KeyMetrics};
pub use lists::{ListMetrics, ListRefusal};
pub use requests::Operation;
pub use store::StoreMetrics;

use crate::{budget::PoolUse, cluster::View};
use database::DatabaseMetrics;
use keys::{KEYS, THROTTLED};
use memory::MemoryMetrics;
use requests::RequestMetrics;

/// The original's buckets.
const BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The metrics of one node, in a registry of their own.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: RequestMetrics,
    memory: MemoryMetrics,
    /// Of data keys and authentication.
    pub keys: KeyMetrics,
    /// Of the database.
    pub store: StoreMetrics,
    /// Of connections.
    pub connections: ConnectionMetrics,
    /// Of the cluster.
    pub cluster: ClusterMetrics,
    /// Of files.
    pub files: FileMetrics,
    /// Of lists.
    pub lists: ListMetrics,
    cached_keys: IntGauge,
    entries: IntGauge,
    other_nodes: IntGauge,
    healthy_nodes: IntGauge,
    dropped_log_lines: IntCounter,
    database: DatabaseMetrics,
}

/// The reader of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Any client that reaches the port of the API.
    AnyClient,
    /// The cluster admin: shows the cluster key, or reaches a port that is made for it.
    Operator,
}

impl Reader {
    /// Counts and times of derivations, cache and throttling would show a guesser which keys are in use.
    fn may_see(self, name: &str) -> bool {
        self == Self::Operator || !(name.starts_with(KEYS) || name == THROTTLED)
    }
}

/// Figures that are read only when a client asks for the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Readings<'a> {
    /// Live entries.
    pub entries: u64,
    /// Data keys in the cache.
    pub cached_keys: u64,
    /// The figures of one kind of node.
    pub kind: KindReadings<'a>,
    /// The bytes that the shares of the memory hold.
    pub memory: &'a [PoolUse],
    /// Log lines dropped since the start because the buffer was full.
    pub dropped_log_lines: u64,
}

/// The figures of one kind of node.
#[derive(Debug, Clone, Copy)]
pub enum KindReadings<'a> {
    /// The state of a replicating node in its cluster.
    Replicating(&'a View),
    /// A node's knowledge of the database that it shares.
    Shared(DatabaseReading),
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
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
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        Ok(Self {
            requests: RequestMetrics::new(&registry)?,
            memory: MemoryMetrics::new(&registry)?,
            keys: KeyMetrics::new(&registry)?,
            store: StoreMetrics::new(&registry)?,
            connections: ConnectionMetrics::new(&registry)?,
            cluster: ClusterMetrics::new(&registry)?,
            files: FileMetrics::new(&registry)?,
            lists: ListMetrics::new(&registry)?,
            cached_keys: gauge("osc_key_cache_keys", "Data keys in the cache")?,
            entries: gauge(
                "osc_config_entries_total",
                "Total number of configuration entries",
            )?,
            other_nodes: gauge("osc_cluster_nodes_total", "Total number of cluster nodes")?,
            healthy_nodes: gauge(
                "osc_cluster_nodes_healthy",
                "Number of healthy cluster nodes",
            )?,
            dropped_log_lines: register(
                &registry,
                IntCounter::new(
                    "osc_log_lines_dropped_total",
                    "Log lines dropped because they were written faster than the output takes them",
                )?,
            )?,
            database: DatabaseMetrics::new()?,
            registry,
        })
    }

    /// The page of `/metrics`, in Prometheus' text format.
    pub fn page(
        &self,
        readings: Readings<'_>,
        reader: Reader,
    ) -> Result<String, prometheus::Error> {
        let Readings {
            entries,
            cached_keys,
            kind,
            memory,
            dropped_log_lines,
        } = readings;
        self.memory.show(memory);
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match kind {
            KindReadings::Replicating(view) => {
                let (others, healthy) = view.others();
                self.cluster.show(view);
                self.other_nodes.set(signed(others as u64));
                self.healthy_nodes.set(signed(healthy as u64));
            }
            KindReadings::Shared(reading) => {
                self.cluster.ready(reading.is_reachable);
                self.store.refuses_writes(!reading.takes_writes);
                self.database.show(reading);
            }
        }
        self.entries.set(signed(entries));
        self.cached_keys.set(signed(cached_keys));
        let more = dropped_log_lines.saturating_sub(self.dropped_log_lines.get());
        self.dropped_log_lines.inc_by(more);
        let mut families = self.registry.gather();
        if let KindReadings::Shared(_) = kind {
            families.extend(self.database.families());
        }
        families.retain(|family| reader.may_see(family.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
