//! The promises of every store of entries, whatever engine it uses: requests, lists and readers of changes know no more of a
//! store than this. `tests/stores/` tests each promise on every store.
//!
//! Its futures are the store's own, so that this trait costs a GET no allocation. The code that chooses the store when the node
//! starts uses an enum (`entries::Store`).

use std::{fmt, sync::Arc, time::Duration};

use super::{
    ChangeCursor, Changes, ConflictPage, Deadline, EntrySnapshot, ReadError, Subscription,
    WriteError, WriteHealth,
};
use crate::{
    cluster::{AckLevel, Write, Written},
    domain::{Identity, Row, Version},
};

/// Writes of a batch that a store makes in one transaction where each stands for itself: after so many, single writes of others
/// have their turn.
pub const BATCH_ROWS: usize = 64;

/// The outcome for a batch of which some writes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    /// Each stands for itself: the others are carried out.
    Each,
    /// All are made, or none.
    All,
}

/// A store of entries. Cheap to clone; all clones are one.
pub trait EntryStore: Clone + fmt::Debug + Send + Sync + 'static {
    /// The same store for one request: together, its calls wait until this time at most. Most stores are on this machine, and do
    /// not need that. Lists and changes have limits of their own.
    #[must_use]
    fn until(&self, _deadline: Deadline) -> Self {
        self.clone()
    }

    /// The row of an identity, tombstones included; `None` when it was never written. It has its value where this node holds
    /// it, otherwise the directory's content.
    ///
    /// # Errors
    /// Where the row is damaged, or the store cannot be read.
    fn find(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<Option<Arc<Row>>, ReadError>> + Send;

    /// The same without the value, as far as it can be read: for a client that wants to delete it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn find_unread(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<Option<Row>, ReadError>> + Send;

    /// Commits a write if the entry is still as the caller saw it: compare and set. Durable when this returns `Ok`, on as many
    /// nodes as the result says. Its version is later than every version that the entry had, tombstones included.
    ///
    /// # Errors
    /// Where the entry changed meanwhile, or the store accepts no writes. The write is not stored then, unless the error says
    /// that this is not known ([`WriteError::Unknown`]).
    fn commit(
        &self,
        write: Write,
        level: AckLevel,
    ) -> impl Future<Output = Result<Written, WriteError>> + Send;

    /// The same for a request that its client may repeat, because it got no answer. A repeated create with the name of the
    /// request that made the row counts as that one, where a store keeps such names.
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
    /// and where it makes none, one of them has the reason and the others are [`WriteError::OthersRefused`]. Gives an outcome for
    /// each write, in their order.
    fn commit_batch(
        &self,
        writes: Vec<Write>,
        level: AckLevel,
        atomicity: Atomicity,
    ) -> impl Future<Output = Vec<Result<Written, WriteError>>> + Send;

    /// Makes sure that a fact about an entry, which keeps a caller from writing it, is as durable as a commit: that the entry
    /// has this version, tombstones included, or that it was never written. `false` where that has changed. Most stores show
    /// only durable rows.
    ///
    /// # Errors
    /// Where that cannot be confirmed in time.
    fn confirm(
        &self,
        _identity: &Identity,
        _version: Option<Version>,
    ) -> impl Future<Output = Result<bool, ReadError>> + Send {
        std::future::ready(Ok(true))
    }

    /// Reads many entries of one state of the store, where blocking is allowed, on a stack of [`VISITOR_STACK`] bytes, in a thread
    /// that knows the caller's runtime: the reader may wait there for what is asynchronous. Waits this long for its turn.
    ///
    /// # Errors
    /// Where its turn does not come, the store cannot be read, or the reader fails.
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

    /// The cursor behind the latest change. A reader that wants all entries first gets this cursor, then reads a list, then
    /// follows.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn latest_change(&self) -> impl Future<Output = Result<ChangeCursor, ReadError>> + Send;

    /// The entries that changed after a cursor, in their present state: `most` at most, and about 1 MiB of ciphertext, in the
    /// order of their last changes. An entry that changed again stands behind its last change only.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn changes(
        &self,
        after: &ChangeCursor,
        most: usize,
    ) -> impl Future<Output = Result<Changes, ReadError>> + Send;

    /// Ends when there may have been a commit after this call, even before the first poll.
    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<Self>;

    /// A page of losing versions of concurrent writes, the latest first: those before a number of an earlier page, at most
    /// `most`, and about [`CONFLICT_PAGE_BYTES`] of ciphertext.
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

    /// Whether the store accepts writes, as far as it knows without waiting.
    fn write_health(&self) -> WriteHealth;

    /// The number of live entries, as far as the store knows without waiting.
    fn live_entries(&self) -> u64;

    /// Waits until an entry has this version or a later one, as long as the caller waits.
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

    /// Follows the changes after a cursor.
    fn follow(&self, after: ChangeCursor) -> Subscription<Self> {
        Subscription::new(self.clone(), after)
    }
}
