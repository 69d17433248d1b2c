//! Metrics of the cluster engine.

use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::{BUCKETS, register};
use crate::cluster::{Event, View};

/// Metrics of replication. Names of members are labels; names of entries never are.
#[derive(Debug, Clone)]
pub struct ClusterMetrics {
    conflicts: IntCounter,
    damaged_rows: IntCounter,
    digest_repaired: IntCounter,
    digest_mismatches: IntGaugeVec,
    refused_peers: IntCounter,
    sync: Histogram,
    fenced: IntCounter,
    suspicions: IntCounter,
    future_stamps: IntCounter,
    suspended: IntGauge,
    purged: IntCounter,
    owner_requests: IntCounterVec,
    pending: IntGaugeVec,
    clock_offset: GaugeVec,
    ready: IntGauge,
}

impl ClusterMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| register(registry, IntCounter::new(name, help)?);
        let by_member = |name, help| {
            register(
                registry,
                IntGaugeVec::new(Opts::new(name, help), &["member"])?,
            )
        };
        Ok(Self {
            conflicts: counter(
                "osc_conflicts_total",
                "Values that lost against a concurrent write",
            )?,
            damaged_rows: counter(
                "osc_damaged_rows_total",
                "Rows that were found damaged, here or on arrival",
            )?,
            digest_repaired: counter(
                "osc_anti_entropy_repaired_total",
                "Rows that were missing or old here although everything had arrived, and were taken from another member",
            )?,
            digest_mismatches: by_member(
                "osc_anti_entropy_mismatches",
                "Parts of the table (of 4096) in which a member differed from this node in two rounds in a row",
            )?,
            refused_peers: counter(
                "osc_peers_refused_total",
                "Times that a node which does not belong here was met",
            )?,
            sync: register(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "osc_cluster_sync_duration_seconds",
                        "Cluster synchronization duration in seconds",
                    )
                    .buckets(BUCKETS.to_vec()),
                )?,
            )?,
            fenced: counter("osc_fenced_total", "Times that this node was fenced")?,
            suspicions: counter(
                "osc_suspicions_total",
                "Times that a greeting said something against this node, which then asked its member",
            )?,
            future_stamps: counter(
                "osc_future_stamps_total",
                "Minutes in which stamps arrived that were more than an hour ahead of this node's clock",
            )?,
            suspended: register(
                registry,
                IntGauge::new(
                    "osc_node_waiting_for_unfence",
                    "Whether this node needs a snapshot that no other node could give",
                )?,
            )?,
            purged: counter(
                "osc_tombstones_purged_total",
                "Deleted entries that are forgotten",
            )?,
            owner_requests: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "osc_home_node_requests_total",
                        "Questions to other nodes for values that they own, by outcome",
                    ),
                    &["outcome"],
                )?,
            )?,
            pending: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "osc_replication_pending_changes",
                        "Changes of this node that a member does not hold yet (direction to), or of a member that this node does not hold yet (from)",
                    ),
                    &["member", "direction"],
                )?,
            )?,
            clock_offset: register(
                registry,
                GaugeVec::new(
                    Opts::new(
                        "osc_peer_clock_offset_seconds",
                        "How far a member's wall clock is ahead of this node's",
                    ),
                    &["member"],
                )?,
            )?,
            ready: register(
                registry,
                IntGauge::new("osc_node_ready", "Whether this node serves entries")?,
            )?,
        })
    }

    /// Counts an event of the engine.
    pub fn happened(&self, event: &Event) {
        match event {
            Event::Conflict(_) => self.conflicts.inc(),
            Event::DamagedRow(_) | Event::DamagedArrival { .. } => self.damaged_rows.inc(),
            Event::DigestRepaired { .. } => self.digest_repaired.inc(),
            Event::Mismatch { .. } => self.refused_peers.inc(),
            Event::Fenced(_) => self.fenced.inc(),
            Event::Suspected { .. } => self.suspicions.inc(),
            Event::FutureStamp { .. } => self.future_stamps.inc(),
            Event::Purged { count, .. } => self.purged.inc_by(*count),
            _ => {}
        }
    }

    /// Counts an exchange with a member: how long it took from the message to the answer.
    pub fn exchanged(&self, took: Duration) {
        self.sync.observe(took.as_secs_f64());
    }

    /// Counts a question to the owner of a value.
    pub fn asked_owner(&self, answered: bool) {
        let outcome = if answered { "answered" } else { "failed" };
        self.owner_requests.with_label_values(&[outcome]).inc();
    }

    /// Shows whether a node serves entries.
    pub(super) fn ready(&self, is_ready: bool) {
        self.ready.set(i64::from(is_ready));
    }

    /// Shows a node's present view of the others.
    pub(super) fn show(&self, view: &View) {
        self.ready(view.not_ready.is_none());
        self.suspended.set(i64::from(view.waits_for_owner));
        self.pending.reset();
        self.clock_offset.reset();
        self.digest_mismatches.reset();
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for member in &view.members {
            let name = [member.name.as_str()];
            for (direction, changes) in [("to", member.lag), ("from", member.behind)] {
                self.pending
                    .with_label_values(&[member.name.as_str(), direction])
                    .set(signed(changes));
            }
            self.clock_offset
                .with_label_values(&name)
                .set(member.clock_offset_seconds());
            // Before the first comparison no difference is known.
            let mismatches = member.digest.as_ref().map_or(0, |digest| digest.mismatches);
            self.digest_mismatches
                .with_label_values(&name)
                .set(i64::try_from(mismatches).unwrap_or(i64::MAX));
        }
    }
}
