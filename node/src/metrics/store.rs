//! The database.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use super::{BUCKETS, register};
use crate::domain::Timestamp;

/// Metrics of the database.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    commits: Histogram,
    batches: Histogram,
    waiting: IntGauge,
    failed_commits: IntCounter,
    refuses_writes: IntGauge,
    bytes: IntGaugeVec,
    free_bytes: IntGauge,
    min_free_bytes: IntGauge,
    tombstones: IntGauge,
    oldest_tombstone: IntGauge,
    home_values: IntGauge,
    misplaced: IntCounter,
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| register(registry, IntGauge::new(name, help)?);
        let histogram = |name, help, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, Histogram::with_opts(options)?)
        };
        Ok(Self {
            commits: histogram(
                "osc_store_commit_duration_seconds",
                "Time from the begin of a transaction until it is durable",
                BUCKETS,
            )?,
            batches: histogram(
                "osc_store_batch_writes",
                "Writes that one transaction commits together",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
            )?,
            waiting: gauge(
                "osc_store_writes_waiting",
                "Writes that wait for the writer",
            )?,
            failed_commits: register(
                registry,
                IntCounter::new(
                    "osc_store_failed_commits_total",
                    "Transactions that could not be committed",
                )?,
            )?,
            refuses_writes: gauge(
                "osc_store_writes_refused",
                "1 while creates and updates are refused because the disk is full or fails",
            )?,
            bytes: register(
                registry,
                IntGaugeVec::new(
                    Opts::new("osc_store_file_bytes", "Size of the database's files"),
                    &["file"],
                )?,
            )?,
            free_bytes: gauge(
                "osc_store_free_bytes",
                "Free space on the disk of the database",
            )?,
            min_free_bytes: gauge(
                "osc_store_min_free_bytes",
                "Free space below which creates and updates are refused: OSC_MIN_FREE_BYTES, at most a tenth of the disk",
            )?,
            tombstones: gauge(
                "osc_tombstones",
                "Deleted entries that are remembered until every member knows of them",
            )?,
            home_values: gauge(
                "osc_home_values",
                "Values of a federated cluster that only this node has",
            )?,
            misplaced: register(
                registry,
                IntCounter::new(
                    "osc_misplaced_values_total",
                    "Values that were opened under another entry than they were written for",
                )?,
            )?,
            oldest_tombstone: gauge(
                "osc_tombstone_oldest_timestamp_seconds",
                "When the oldest deleted entry that is remembered was deleted; 0 where there is none",
            )?,
        })
    }

    /// Metrics that are not scraped.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::new(&Registry::new())
    }

    /// How many writes wait for the writer now.
    pub fn waiting(&self, writes: usize) {
        self.waiting.set(i64::try_from(writes).unwrap_or(i64::MAX));
    }

    /// Counts a durable transaction of some writes.
    pub fn committed(&self, writes: usize, duration: Duration) {
        self.commits.observe(duration.as_secs_f64());
        self.batches
            .observe(f64::from(u32::try_from(writes).unwrap_or(u32::MAX)));
    }

    /// Counts a transaction that failed.
    pub fn commit_failed(&self) {
        self.failed_commits.inc();
    }

    /// Whether creates and updates are refused now.
    pub fn refuses_writes(&self, refuses: bool) {
        self.refuses_writes.set(refuses.into());
    }

    /// Shows how many tombstones the store keeps, and when the oldest entry of them was deleted.
    pub fn remembers(&self, tombstones: i64, oldest: Option<Timestamp>) {
        self.tombstones.set(tombstones);
        self.oldest_tombstone
            .set(oldest.map_or(0, |oldest| oldest.as_micros() / 1_000_000));
    }

    /// Counts a value that was opened under another entry than it was written for.
    pub fn misplaced(&self) {
        self.misplaced.inc();
    }

    /// How many values of a federated cluster this node owns.
    pub fn owns(&self, values: i64) {
        self.home_values.set(values);
    }

    /// Bytes that are free on the store's disk, and below which creates and updates stop.
    pub fn disk(&self, free: u64, min_free: u64) {
        self.free_bytes.set(signed(free));
        self.min_free_bytes.set(signed(min_free));
    }

    /// Sizes of the database file and of its write-ahead log.
    pub fn sizes(&self, database: u64, log: u64) {
        self.bytes
            .with_label_values(&["database"])
            .set(signed(database));
        self.bytes.with_label_values(&["log"]).set(signed(log));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
