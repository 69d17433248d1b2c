//! What a store knows of itself without asking: whether the last write was made, and about how many entries there are.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{PostgresError, PostgresStore, transaction::Met};
use crate::{
    domain::Row,
    store::{SharedWriteHealth, WriteHealth},
};

/// Entries that are counted one by one; beyond that the database's own estimate is taken.
const COUNTED: i64 = 200_000;

/// SQLSTATE of a server whose disk is full.
const DISK_FULL: &str = "53100";

#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) writes: SharedWriteHealth,
    live: AtomicU64,
}

impl Condition {
    /// Takes note of how a write ended.
    pub(super) fn wrote(&self, outcome: &Result<Met, PostgresError>) {
        let health = match outcome {
            Ok(_) => WriteHealth::Accepting,
            Err(PostgresError::Refused(words)) if words.code == DISK_FULL => WriteHealth::DiskFull,
            // Says something of one entry, or of one moment.
            Err(PostgresError::Locked | PostgresError::TakenBack | PostgresError::Busy) => return,
            Err(_) => WriteHealth::Failing,
        };
        self.writes.set(health);
    }

    pub(super) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }
}

impl PostgresStore {
    /// Takes note of what a write of this node did to the number of entries.
    pub(super) fn count(&self, before: Option<&Row>, after: &Row) {
        let was_live = before.is_some_and(|row| !row.is_tombstone());
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

    /// Counts the entries anew, those of other nodes as well.
    pub(super) async fn recount(&self) -> Result<(), PostgresError> {
        let sql = "SELECT pg_is_in_recovery(), (SELECT count(*) FROM (SELECT 1 FROM opensecureconf.entries \
                   WHERE token IS NOT NULL LIMIT $1) AS live), (SELECT reltuples::bigint FROM pg_class \
                   WHERE oid = 'opensecureconf.entries'::regclass)";
        let rows = self.read(sql, &[&COUNTED], self.deadline()).await?;
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
