//! What lists one address may have made.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    NodeState,
    answer::error::ApiError,
    list_turns::{ListTurns, Turn},
    row_limit::RowLimit,
};
use crate::{config::ListBounds, metrics::ListRefusal, store::EntryStore};

/// How long a list waits for another one of its address.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// The bounds of lists, and what addresses took of them.
#[derive(Debug)]
pub(super) struct ListAdmission {
    pub(super) bounds: ListBounds,
    rows: Mutex<RowLimit>,
    turns: ListTurns,
}

impl ListAdmission {
    pub(super) fn new(bounds: ListBounds) -> Self {
        Self {
            bounds,
            rows: Mutex::new(RowLimit::new(bounds.rows_per_minute)),
            turns: ListTurns::new(bounds.at_once),
        }
    }

    /// The limit itself; never kept over an `await`.
    fn rows(&self) -> MutexGuard<'_, RowLimit> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeState {
    /// Refuses lists of an address that looked at too many rows.
    pub(super) fn may_list(&self, address: IpAddr) -> Result<(), ApiError> {
        let may_look = self.lists.rows().may_look(address.into(), Instant::now());
        may_look.map_err(|retry_after| {
            self.metrics.lists.refused(ListRefusal::Rows);
            ApiError::TooManyRows { retry_after }
        })
    }

    /// Notes that a list looked at so many rows.
    pub(super) fn looked_at(&self, address: IpAddr, rows: usize) {
        self.metrics.lists.looked_at(rows);
        self.lists
            .rows()
            .looked(address.into(), rows, Instant::now());
    }

    /// Waits for the turn of a list of everything. Where a page may look at all of it there is nothing to wait for.
    pub(super) async fn list_turn(&self, address: IpAddr) -> Result<Option<Turn>, ApiError> {
        let rows = usize::try_from(self.entries.store().live_entries()).unwrap_or(usize::MAX);
        if rows <= self.lists.bounds.page_rows {
            return Ok(None);
        }
        let turn = self.lists.turns.wait(address.into(), TURN_WAIT).await;
        if turn.is_none() {
            self.metrics.lists.refused(ListRefusal::AtOnce);
            return Err(ApiError::AnotherList);
        }
        Ok(turn)
    }
}
