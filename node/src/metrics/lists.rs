//! Metrics of lists: the rows they looked at, and refused or ended lists.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::register;

/// Why a list was refused.
#[derive(Debug, Clone, Copy)]
pub enum ListRefusal {
    /// The lists of its address have used up their rows.
    Rows,
    /// Its address has other lists made.
    AtOnce,
}

/// Metrics of lists.
#[derive(Debug, Clone)]
pub struct ListMetrics {
    rows: IntCounter,
    refusals: IntCounterVec,
    reads_ended: IntCounter,
}

impl ListMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| register(registry, IntCounter::new(name, help)?);
        let metrics = Self {
            rows: counter("osc_list_rows_total", "Rows that lists looked at")?,
            refusals: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "osc_list_refusals_total",
                        "Lists that were refused because of their address's earlier or other ones",
                    ),
                    &["reason"],
                )?,
            )?,
            reads_ended: counter(
                "osc_reads_ended_total",
                "Lists that were broken off because one state of the store was read for too long",
            )?,
        };
        for refusal in [ListRefusal::Rows, ListRefusal::AtOnce] {
            metrics.refusals.with_label_values(&[refusal.label()]);
        }
        Ok(metrics)
    }

    /// Counts rows that a list looked at.
    pub fn looked_at(&self, rows: usize) {
        self.rows.inc_by(u64::try_from(rows).unwrap_or(u64::MAX));
    }

    /// Counts a list that was refused.
    pub fn refused(&self, refusal: ListRefusal) {
        self.refusals.with_label_values(&[refusal.label()]).inc();
    }

    /// Counts a list that was broken off because it was read for too long.
    pub fn read_ended(&self) {
        self.reads_ended.inc();
    }
}

impl ListRefusal {
    fn label(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::AtOnce => "at_once",
        }
    }
}
