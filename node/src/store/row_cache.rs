//! Rows that were read lately, as long as there was no write since.

use std::sync::Arc;

use moka::sync::Cache;

use super::commits::CommitCount;
use crate::domain::{Content, Identity, Row};

/// Rows that enter the cache before it checks sizes: it keeps the last writes apart, with the rows that they replaced.
const UNSEEN: usize = 64;

/// The approximate size of an entry's structures, in bytes.
const STRUCTURES: usize = 512;

/// Configuration is read far more often than written: most reads need no SQLite.
#[derive(Debug, Clone)]
pub(super) struct RowCache {
    rows: Cache<Identity, (CommitCount, Arc<Row>)>,
    /// Larger rows are not kept, in bytes: opening one takes longer than reading it.
    largest: usize,
}

impl RowCache {
    /// A cache of so many bytes of ciphertext.
    pub(super) fn new(capacity: usize) -> Self {
        let weight = |identity: &Identity, (_, row): &(CommitCount, Arc<Row>)| {
            u32::try_from(size_of(identity, row)).unwrap_or(u32::MAX)
        };
        let rows = Cache::builder()
            .weigher(weight)
            .max_capacity(u64::try_from(capacity).unwrap_or(u64::MAX))
            .build();
        Self {
            rows,
            largest: (capacity / UNSEEN).max(2 * STRUCTURES),
        }
    }

    /// The row, if it was read at this count.
    pub(super) fn get(&self, identity: &Identity, now: CommitCount) -> Option<Arc<Row>> {
        let (read_at, row) = self.rows.get(identity)?;
        (read_at == now).then_some(row)
    }

    /// Keeps a row that was read after `count` was taken, unless it is large.
    pub(super) fn put(&self, identity: &Identity, count: CommitCount, row: &Arc<Row>) {
        if size_of(identity, row) <= self.largest {
            self.rows.insert(identity.clone(), (count, Arc::clone(row)));
        }
    }
}

fn size_of(identity: &Identity, row: &Row) -> usize {
    let texts = [
        Some(identity.key.as_str()),
        Some(identity.environment.as_str()),
        row.content.as_ref().map(Content::as_str),
    ];
    let bytes: usize = texts.into_iter().flatten().map(str::len).sum();
    bytes + STRUCTURES
}

#[cfg(test)]
mod tests {
    use super::{super::sqlite::row_of, *};
    use crate::store::commits::Commits;

    /// Whether a cache of this size holds a row with a token of that length, and how often the row is held beside the test.
    fn kept(capacity: usize, token: usize) -> (bool, usize) {
        let cache = RowCache::new(capacity);
        let count = Commits::default().count();
        let row = Arc::new(row_of("k", 1, &"x".repeat(token)));
        cache.put(&row.identity, count, &row);
        let held = Arc::strong_count(&row) - 1;
        (cache.get(&row.identity, count).is_some(), held)
    }

    #[test]
    fn a_row_is_kept_but_a_large_one_is_not_held_even_for_a_moment() {
        assert_eq!(kept(4 << 20, 10_000), (true, 1));
        assert_eq!(kept(4 << 20, (4 << 20) / UNSEEN), (false, 0));
    }
}
