//! The changes since a cursor, for readers that keep up with a store.

use super::{EntryStore, ReadError};
use crate::domain::Row;

/// Where a reader stands in the order of a store's changes, as text that only this store understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeCursor(String);

impl ChangeCursor {
    /// A cursor as a reader returns it; the store checks whether it is valid.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The cursor as a reader keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The changes after a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Entries in their present state, tombstones included, in the order of their last changes; none where nothing changed.
    Since {
        /// The entries.
        rows: Vec<Row>,
        /// The cursor behind them.
        next: ChangeCursor,
    },
    /// The cursor is of another store or of another life of this one, or later deletes are forgotten: the reader must read all
    /// entries anew, from [`EntryStore::latest_change`] on.
    BeginAgain,
}

/// Follows the changes of a store. A reader that stops waiting loses nothing: the cursor moves only with delivered changes.
#[derive(Debug)]
pub struct Subscription<S> {
    store: S,
    cursor: ChangeCursor,
}

impl<S: EntryStore> Subscription<S> {
    pub(super) fn new(store: S, after: ChangeCursor) -> Self {
        Self {
            store,
            cursor: after,
        }
    }

    /// Waits for changes; gives `most` entries at most, and the cursor behind them. After [`Changes::BeginAgain`] it gives
    /// nothing else.
    ///
    /// # Errors
    /// Where the store cannot be read. The cursor stays.
    pub async fn next(&mut self, most: usize) -> Result<Changes, ReadError> {
        loop {
            let commit = self.store.next_commit();
            let changes = self.store.changes(&self.cursor, most).await?;
            let Changes::Since { rows, next } = &changes else {
                return Ok(changes);
            };
            self.cursor.clone_from(next);
            if !rows.is_empty() {
                return Ok(changes);
            }
            commit.await;
        }
    }
}
