//! Metrics of the memory shares: reserved bytes, and refused reservations.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::register;
use crate::budget::PoolUse;

/// Metrics of the memory's shares.
#[derive(Debug, Clone)]
pub(super) struct MemoryMetrics {
    bytes: IntGaugeVec,
    reserved: IntGaugeVec,
    refusals: IntCounterVec,
}

impl MemoryMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name, help| {
            register(
                registry,
                IntGaugeVec::new(Opts::new(name, help), &["share"])?,
            )
        };
        Ok(Self {
            bytes: gauges("osc_memory_share_bytes", "Size of a share of the memory")?,
            reserved: gauges(
                "osc_memory_reserved_bytes",
                "Bytes of a share of the memory that are reserved",
            )?,
            refusals: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "osc_memory_refusals_total",
                        "Reservations that a share of the memory, or one address's part of it, had no room for",
                    ),
                    &["share"],
                )?,
            )?,
        })
    }

    /// Shows the bytes that the shares hold now.
    pub(super) fn show(&self, shares: &[PoolUse]) {
        let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        for &PoolUse {
            share,
            capacity,
            reserved,
            refused,
        } in shares
        {
            self.bytes.with_label_values(&[share]).set(signed(capacity));
            self.reserved
                .with_label_values(&[share])
                .set(signed(reserved));
            let refusals = self.refusals.with_label_values(&[share]);
            refusals.inc_by(refused.saturating_sub(refusals.get()));
        }
    }
}
