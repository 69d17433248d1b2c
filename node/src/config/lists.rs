//! The cost limits of lists.

use std::time::Duration;

use super::Values;

/// Limits of lists. The defaults are those of the limits page of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListBounds {
    /// Rows that the node looks at for one page, whether the client's key opens them or not.
    pub page_rows: usize,
    /// Rows that the node looks at for the lists of one address within a minute; 0 for no limit.
    pub rows_per_minute: u64,
    /// Lists without `limit` that are made for one address at a time.
    pub at_once: usize,
    /// Rows up to which a list without `limit` is read from one state of the store.
    pub snapshot_rows: usize,
    /// How long one state of the store is kept for a list.
    pub read_time: Duration,
}

impl ListBounds {
    pub(super) fn of(values: &mut Values<'_>) -> Self {
        let mut rows = |name| values.within(name, "a number of rows", 1..=100_000_000);
        let (page_rows, snapshot_rows) = (rows("LIST_PAGE_ROWS"), rows("LIST_SNAPSHOT_ROWS"));
        let seconds = values.within("READ_SECONDS", "a number of seconds", 1..=3600);
        Self {
            page_rows: page_rows.unwrap_or(1),
            rows_per_minute: values.parse("LIST_ROWS_PER_MINUTE", "a number of rows"),
            at_once: values
                .within("LISTS_AT_ONCE", "a number of lists", 1..=1024)
                .unwrap_or(1),
            snapshot_rows: snapshot_rows.unwrap_or(1),
            read_time: Duration::from_secs(seconds.unwrap_or(1)),
        }
    }
}
