//! Rows that were read lately, as long as nothing was written since.

use std::sync::Arc;

use moka::sync::Cache;

use super::commits::CommitCount;
use crate::domain::{Content, Identity, Row};

/// Configuration is read far more often than written: most reads need no SQLite.
#[derive(Debug, Clone)]
pub(super) struct RowCache(Cache<Identity, (CommitCount, Arc<Row>)>);

impl RowCache {
    /// A cache of so many bytes of ciphertext.
    pub(super) fn new(capacity: usize) -> Self {
        let bytes = |identity: &Identity, (_, row): &(CommitCount, Arc<Row>)| {
            let texts = [
                Some(identity.key.as_str()),
                Some(identity.environment.as_str()),
                row.content.as_ref().map(Content::as_str),
            ];
            let bytes: usize = texts.into_iter().flatten().map(str::len).sum();
            // What the structures take is about this.
            u32::try_from(bytes + 512).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .weigher(bytes)
                .max_capacity(u64::try_from(capacity).unwrap_or(u64::MAX))
                .build(),
        )
    }

    /// The row, if it was read at this count.
    pub(super) fn get(&self, identity: &Identity, now: CommitCount) -> Option<Arc<Row>> {
        let (read_at, row) = self.0.get(identity)?;
        (read_at == now).then_some(row)
    }

    /// Keeps a row that was read after `count` was taken.
    pub(super) fn put(&self, identity: Identity, count: CommitCount, row: &Arc<Row>) {
        self.0.insert(identity, (count, Arc::clone(row)));
    }
}
