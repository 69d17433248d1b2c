//! What every store of entries promises, whatever it keeps them in: requests, lists and readers of changes know no more of
//! it than this. `tests/stores/` holds each promise against every store.
//!
//! Its futures are the store's own, so that a GET allocates nothing for being behind this. The code that chooses between stores
//! when the node starts does it by an enum (`entries::Store`).

use std::{fmt, sync::Arc, time::Duration};

use super::{
    ChangeCursor, Changes, ConflictPage, EntrySnapshot, ReadError, Subscription, WriteError,
    WriteHealth,
};
use crate::{
    cluster::{AckLevel, Write, Written},
    domain::{Identity, Row, Version},
};

/// Writes of a batch that a store makes in one transaction where each stands for itself: single writes of others have their
/// turn after so many.
pub const BATCH_ROWS: usize = 64;

/// What becomes of the writes of a batch of which some are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    /// Each stands for itself: the others are made.
    Each,
    /// All are made, or none.
    All,
}

/// A store of entries. Cheap to clone; all clones are one.
pub trait EntryStore: Clone + fmt::Debug + Send + Sync + 'static {
    /// The row of an identity, tombstones included; `None` when it was never written. Where its value is held here, it has
    /// it; else it has what stands for it in the directory.
    ///
    /// # Errors
    /// Where the row is damaged, or the store cannot be read.
    fn find(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<Option<Arc<Row>>, ReadError>> + Send;

    /// The same without the value, as far as it can be read: for a caller that wants to be rid of it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn find_unread(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<Option<Row>, ReadError>> + Send;

    /// Commits a write if the entry is still what the caller saw: compare and set. Durable when this returns `Ok`, and on as
    /// many nodes as it says. Its version is later than every version that the entry had, tombstones included.
    ///
    /// # Errors
    /// Where the entry changed meanwhile, or nothing can be written. Nothing of it is stored then, unless it says that this is
    /// not known ([`WriteError::Unknown`]).
    fn commit(
        &self,
        write: Write,
        level: AckLevel,
    ) -> impl Future<Output = Result<Written, WriteError>> + Send;

    /// The same for a request that its caller may repeat, because he got no answer. A create that is repeated with the name
    /// of the request that made the row is that one again, where a store keeps such names.
    ///
    /// # Errors
    /// As [`Self::commit`].
    fn commit_for(
        &self,
        write: Write,
        level: AckLevel,
        _request: Option<&str>,
    ) -> impl Future<Output = Result<Written, WriteError>> + Send {
        self.commit(write, level)
    }

    /// Commits several writes, of which no two are of one entry, each under the terms of [`Self::commit`]. With
    /// [`Atomicity::Each`] the caller gives [`BATCH_ROWS`] at most; with [`Atomicity::All`] one transaction makes all of them,
    /// and where it makes none, one of them says why and the others are [`WriteError::OthersRefused`]. Gives an outcome for each write, in their order.
    fn commit_batch(
        &self,
        writes: Vec<Write>,
        level: AckLevel,
        atomicity: Atomicity,
    ) -> impl Future<Output = Vec<Result<Written, WriteError>>> + Send;

    /// Makes sure that what a caller learns of an entry, who may not write it for that, is as durable as a commit
    /// is: that it has this version, tombstones included, or that it was never written. `false` where that is not so any more.
    /// Of most stores nothing can be read that is not durable.
    ///
    /// # Errors
    /// Where that cannot be had in time.
    fn confirm(
        &self,
        _identity: &Identity,
        _version: Option<Version>,
    ) -> impl Future<Output = Result<bool, ReadError>> + Send {
        std::future::ready(Ok(true))
    }

    /// Reads many entries of one state of the store, where blocking is allowed, on a stack of [`VISITOR_STACK`] bytes. Waits
    /// for its turn as long as this.
    ///
    /// # Errors
    /// Where its turn does not come, the store cannot be read, or the reader says so.
    ///
    /// [`VISITOR_STACK`]: super::VISITOR_STACK
    fn list<T, F>(
        &self,
        limit: Duration,
        read: F,
    ) -> impl Future<Output = Result<T, ReadError>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static;

    /// The cursor behind the latest change. A reader that wants to have everything takes it, then reads a list, then follows.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn latest_change(&self) -> impl Future<Output = Result<ChangeCursor, ReadError>> + Send;

    /// What changed after a cursor, as it is now: so many entries at most, and about 1 MiB of ciphertext, in the order of
    /// their last changes. An entry that changed again stands behind its last change only.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn changes(
        &self,
        after: &ChangeCursor,
        most: usize,
    ) -> impl Future<Output = Result<Changes, ReadError>> + Send;

    /// Ends when something may have been committed after this call, also where that was before the first poll.
    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<Self>;

    /// A page of losing versions of concurrent writes, the latest first: those before a number of an earlier page, so many at
    /// most, and about [`CONFLICT_PAGE_BYTES`] of ciphertext.
    ///
    /// # Errors
    /// Where the store cannot be read.
    ///
    /// [`CONFLICT_PAGE_BYTES`]: super::CONFLICT_PAGE_BYTES
    fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> impl Future<Output = Result<ConflictPage, ReadError>> + Send;

    /// Makes sure that the store can be read.
    ///
    /// # Errors
    /// Where it cannot.
    fn probe(&self) -> impl Future<Output = Result<(), ReadError>> + Send;

    /// Whether it takes writes, as far as it knows without waiting for anything.
    fn write_health(&self) -> WriteHealth;

    /// How many live entries there are, as far as it knows without waiting for anything.
    fn live_entries(&self) -> u64;

    /// Waits until an entry has this version or a later one, for as long as the caller waits for it.
    ///
    /// # Errors
    /// Where the row is damaged, or the store cannot be read.
    fn wait_for(
        &self,
        identity: &Identity,
        version: Version,
    ) -> impl Future<Output = Result<(), ReadError>> + Send {
        async move {
            loop {
                let commit = self.next_commit();
                let row = self.find(identity).await?;
                if row.is_some_and(|row| row.version >= version) {
                    return Ok(());
                }
                commit.await;
            }
        }
    }

    /// Follows what changes after a cursor.
    fn follow(&self, after: ChangeCursor) -> Subscription<Self> {
        Subscription::new(self.clone(), after)
    }
}
