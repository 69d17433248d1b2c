//! The store that a node was started with. Requests know it by what every store promises.
//!
//! An enum, because which one it is is known only when the node starts: a type parameter would go through every handler and
//! make all of them once for each store, and `dyn` would box a future for each GET. To match costs a comparison.

use std::{sync::Arc, time::Duration};

use crate::{
    cluster::{AckLevel, Write, Written},
    domain::{Identity, Row},
    replica::Replica,
    store::{
        ChangeCursor, Changes, ConflictPage, EntrySnapshot, EntryStore, ReadError, WriteError,
        WriteHealth,
    },
};

/// One of the stores.
#[derive(Debug, Clone)]
pub enum Store {
    /// SQLite, written by the engine of this node.
    Replica(Replica),
}

impl EntryStore for Store {
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        match self {
            Self::Replica(replica) => replica.find(identity).await,
        }
    }

    async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        match self {
            Self::Replica(replica) => replica.find_unread(identity).await,
        }
    }

    async fn commit(&self, write: Write, level: AckLevel) -> Result<Written, WriteError> {
        match self {
            Self::Replica(replica) => replica.commit(write, level).await,
        }
    }

    async fn list<T, F>(&self, limit: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        match self {
            Self::Replica(replica) => replica.list(limit, read).await,
        }
    }

    async fn latest_change(&self) -> Result<ChangeCursor, ReadError> {
        match self {
            Self::Replica(replica) => replica.latest_change().await,
        }
    }

    async fn changes(&self, after: &ChangeCursor, most: usize) -> Result<Changes, ReadError> {
        match self {
            Self::Replica(replica) => replica.changes(after, most).await,
        }
    }

    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<> {
        match self {
            Self::Replica(replica) => replica.next_commit(),
        }
    }

    async fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ConflictPage, ReadError> {
        match self {
            Self::Replica(replica) => replica.conflicts(before, limit).await,
        }
    }

    async fn probe(&self) -> Result<(), ReadError> {
        match self {
            Self::Replica(replica) => replica.probe().await,
        }
    }

    fn write_health(&self) -> WriteHealth {
        match self {
            Self::Replica(replica) => replica.write_health(),
        }
    }

    fn live_entries(&self) -> u64 {
        match self {
            Self::Replica(replica) => replica.live_entries(),
        }
    }
}
