//! Values that lost against a concurrent write, a page at a time.

use crate::domain::Row;

/// Ciphertext of a page of conflicts, in bytes, before it ends; it has one conflict at least.
pub const CONFLICT_PAGE_BYTES: usize = 1 << 20;

/// Some losing versions of conflicts, the latest first.
#[derive(Debug)]
pub struct ConflictPage {
    /// The versions.
    pub rows: Vec<Row>,
    /// The number before which the next page begins; `None` at the end.
    pub next: Option<i64>,
}
