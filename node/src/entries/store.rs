//! The store that a node was started with. Requests use only the promises of every store.
//!
//! An enum, because the store is known only when the node starts: a type parameter would go through every handler and compile
//! all of them once for each store, and `dyn` would box a future for each GET. A match costs a comparison.

use std::{sync::Arc, time::Duration};

use futures::future::Either;

use super::NodeKind;
use crate::{
    cluster::{AckLevel, Write, Written},
    domain::{Identity, Row, Version},
    replica::Replica,
    store::{
        Atomicity, ChangeCursor, Changes, ConflictPage, Deadline, EntrySnapshot, EntryStore,
        ReadError, WriteError, WriteHealth, postgres::PostgresStore,
    },
};

/// One of the stores.
#[derive(Debug, Clone)]
pub enum Store {
    /// SQLite, written by the engine of this node.
    Replica(Arc<Replica>),
    /// PostgreSQL, which this node shares with others.
    Shared(PostgresStore),
}

impl Store {
    /// The store of a node of this kind.
    pub fn of(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::Replicating(node) => Self::Replica(Arc::new(node.replica.clone())),
            NodeKind::Shared(store) => Self::Shared(store.clone()),
        }
    }

    /// For how long one request may wait, with all its calls; `None` where one writer on this node serves all requests in turn.
    pub(super) fn limit(&self) -> Option<Duration> {
        match self {
            Self::Replica(_) => None,
            Self::Shared(store) => Some(store.limit()),
        }
    }
}

impl EntryStore for Store {
    fn until(&self, deadline: Deadline) -> Self {
        match self {
            Self::Replica(replica) => Self::Replica(Arc::clone(replica)),
            Self::Shared(store) => Self::Shared(store.until(deadline)),
        }
    }

    async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        match self {
            Self::Replica(replica) => replica.find(identity).await,
            Self::Shared(store) => store.find(identity).await,
        }
    }

    async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        match self {
            Self::Replica(replica) => replica.find_unread(identity).await,
            Self::Shared(store) => store.find_unread(identity).await,
        }
    }

    async fn commit(&self, write: Write, level: AckLevel) -> Result<Written, WriteError> {
        match self {
            Self::Replica(replica) => replica.commit(write, level).await,
            Self::Shared(store) => store.commit(write, level).await,
        }
    }

    async fn commit_for(
        &self,
        write: Write,
        level: AckLevel,
        request: Option<&str>,
    ) -> Result<Written, WriteError> {
        match self {
            Self::Replica(replica) => replica.commit_for(write, level, request).await,
            Self::Shared(store) => store.commit_for(write, level, request).await,
        }
    }

    async fn commit_batch(
        &self,
        writes: Vec<Write>,
        level: AckLevel,
        atomicity: Atomicity,
    ) -> Vec<Result<Written, WriteError>> {
        match self {
            Self::Replica(replica) => replica.commit_batch(writes, level, atomicity).await,
            Self::Shared(store) => store.commit_batch(writes, level, atomicity).await,
        }
    }

    async fn confirm(
        &self,
        identity: &Identity,
        version: Option<Version>,
    ) -> Result<bool, ReadError> {
        match self {
            Self::Replica(replica) => replica.confirm(identity, version).await,
            // The store's own method of this name has the errors of a database.
            Self::Shared(store) => EntryStore::confirm(store, identity, version).await,
        }
    }

    async fn list<T, F>(&self, limit: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        match self {
            Self::Replica(replica) => replica.list(limit, read).await,
            Self::Shared(store) => store.list(limit, read).await,
        }
    }

    async fn latest_change(&self) -> Result<ChangeCursor, ReadError> {
        match self {
            Self::Replica(replica) => replica.latest_change().await,
            Self::Shared(store) => store.latest_change().await,
        }
    }

    async fn changes(&self, after: &ChangeCursor, most: usize) -> Result<Changes, ReadError> {
        match self {
            Self::Replica(replica) => replica.changes(after, most).await,
            Self::Shared(store) => store.changes(after, most).await,
        }
    }

    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<> {
        match self {
            Self::Replica(replica) => Either::Left(replica.next_commit()),
            Self::Shared(store) => Either::Right(store.next_commit()),
        }
    }

    async fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ConflictPage, ReadError> {
        match self {
            Self::Replica(replica) => replica.conflicts(before, limit).await,
            Self::Shared(store) => store.conflicts(before, limit).await,
        }
    }

    async fn probe(&self) -> Result<(), ReadError> {
        match self {
            Self::Replica(replica) => replica.probe().await,
            Self::Shared(store) => store.probe().await,
        }
    }

    fn write_health(&self) -> WriteHealth {
        match self {
            Self::Replica(replica) => replica.write_health(),
            Self::Shared(store) => store.write_health(),
        }
    }

    fn live_entries(&self) -> u64 {
        match self {
            Self::Replica(replica) => replica.live_entries(),
            Self::Shared(store) => store.live_entries(),
        }
    }
}
