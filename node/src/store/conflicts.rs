//! Values that lost against a concurrent write, a page at a time.

use crate::domain::{Row, RowHash};

/// Ciphertext of a page of conflicts, in bytes, before it ends; it has one conflict at least.
pub const CONFLICT_PAGE_BYTES: usize = 1 << 20;

/// Some losing versions of conflicts, the latest first.
#[derive(Debug)]
pub struct ConflictPage {
    /// The versions.
    pub rows: Vec<LostVersion>,
    /// The number before which the next page begins; `None` at the end.
    pub next: Option<i64>,
}

/// A losing version of a conflict.
#[derive(Debug)]
pub struct LostVersion {
    /// The version, as far as it could be read.
    pub row: Row,
    /// The hash with which it was kept.
    pub hash: RowHash,
}

impl LostVersion {
    /// Whether it is the one that was written, by its hash.
    pub fn is_as_written(&self) -> bool {
        self.row.hash() == self.hash
    }
}
