//! The store's knowledge of itself without a query: whether the last write succeeded, and about how many entries there are.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{PostgresError, PostgresStore, timeline::TIMELINE, transaction::Met};
use crate::{
    domain::{Row, Timestamp},
    store::{SharedWriteHealth, WriteHealth},
};

/// Entries that are counted one by one; beyond that the database's own estimate serves.
const COUNTED: i64 = 200_000;

/// SQLSTATE of a server whose disk is full.
pub(super) const DISK_FULL: &str = "53100";
/// How long a search for held-back changes may take.
const LOOK: Duration = Duration::from_secs(1);
/// How long a disk counts as full after it had no room for a write: smaller ones may go on.
const FULL_FOR: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) writes: SharedWriteHealth,
    /// When the server's disk had no room last.
    full_at: Mutex<Option<Instant>>,
    live: AtomicU64,
    /// Writes with an outcome that stayed unknown.
    unknown: AtomicU64,
    /// Since when a change is kept from readers, in microseconds since 1970; 0 where none is.
    held_back_since: AtomicI64,
}

impl Condition {
    /// Notes how a write ended.
    pub(super) fn wrote(&self, outcome: &Result<Met, PostgresError>) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let health = match outcome {
            Ok(_) if full_at.is_some_and(|at| at.elapsed() < FULL_FOR) => WriteHealth::DiskFull,
            Ok(_) => WriteHealth::Accepting,
            Err(PostgresError::Refused(words)) if words.code == DISK_FULL => {
                *full_at = Some(Instant::now());
                WriteHealth::DiskFull
            }
            // Concerns one entry, or one moment.
            Err(
                PostgresError::Locked
                | PostgresError::TakenBack
                | PostgresError::Busy
                | PostgresError::NotAll,
            ) => return,
            Err(_) => WriteHealth::Failing,
        };
        self.writes.set(health);
    }

    /// Notes that no server said whether a write was made.
    pub(super) fn stayed_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes ended without an outcome.
    pub(super) fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// For how long the earliest change that no reader is given yet has waited.
    pub(super) fn held_back(&self, now: Timestamp) -> Duration {
        match self.held_back_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(
                u64::try_from(now.as_micros().saturating_sub(since)).unwrap_or_default(),
            ),
        }
    }

    pub(super) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }
}

impl PostgresStore {
    /// Notes the effect of a write of this node on the number of entries.
    pub(super) fn count(&self, was_live: bool, after: &Row) {
        let live = &self.0.condition.live;
        match (was_live, !after.is_tombstone()) {
            (false, true) => {
                live.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                let _ = live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
                    Some(live.saturating_sub(1))
                });
            }
            _ => {}
        }
    }

    /// Finds out whether an open transaction keeps changes from their readers.
    pub(super) async fn look_for_held_back(&self) -> Result<(), PostgresError> {
        let sql = format!(
            "SELECT {TIMELINE}, (SELECT changed_at FROM opensecureconf.changes \
             WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, number LIMIT 1)"
        );
        // A query for display only must not keep others waiting.
        let rows = self.read(&sql, &[], Instant::now() + LOOK).await?;
        let Some(row) = rows.first() else {
            return Err(PostgresError::Standby);
        };
        let since: Option<i64> = row.try_get(1)?;
        self.0
            .condition
            .held_back_since
            .store(since.unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }

    /// Counts the entries anew, those of other nodes as well.
    pub(super) async fn recount(&self) -> Result<(), PostgresError> {
        let sql = format!(
            "SELECT {TIMELINE}, (SELECT count(*) FROM (SELECT 1 FROM opensecureconf.entries \
             WHERE token IS NOT NULL LIMIT $1) AS live), (SELECT reltuples::bigint FROM pg_class \
             WHERE oid = 'opensecureconf.entries'::regclass)"
        );
        let rows = self.read(&sql, &[&COUNTED], self.deadline()).await?;
        let Some(row) = rows.first() else {
            return Err(PostgresError::Standby);
        };
        let counted: i64 = row.try_get(1)?;
        let estimate: i64 = row.try_get(2)?;
        let live = if counted < COUNTED {
            counted
        } else {
            estimate.max(COUNTED)
        };
        self.0
            .condition
            .live
            .store(live.unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }
}
