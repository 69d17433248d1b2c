//! A replica as a store of entries for requests. The engine commits, in its thread; reads bypass it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Ended, Replica,
    job::{Job, WriteBatch},
};
use crate::{
    cluster::{AckLevel, Write, Written},
    domain::{Identity, Row},
    store::{
        Atomicity, ChangeCursor, Changes, ConflictPage, EntrySnapshot, EntryStore, ReadError, Room,
        WriteError, WriteHealth,
    },
};

impl EntryStore for Replica {
    /// A damaged row is requested from members that have it whole.
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        let found = self.reader.find(identity).await;
        if let Err(ReadError::Damaged { .. }) = &found {
            // Where the queue is full, another read shows it.
            let _ = self.jobs.try_send(Job::Damaged(identity.clone()));
        }
        found
    }

    async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        self.reader.find_unread(identity).await
    }

    async fn commit(&self, write: Write, level: AckLevel) -> Result<Written, WriteError> {
        let (reply, outcome) = oneshot::channel();
        self.ask(Job::Write(write, level, reply))
            .await
            .map_err(|Ended| WriteError::Closed)?;
        outcome.await.map_err(|_| WriteError::Closed)?
    }

    async fn commit_batch(
        &self,
        writes: Vec<Write>,
        level: AckLevel,
        atomicity: Atomicity,
    ) -> Vec<Result<Written, WriteError>> {
        let (writes, outcomes): (Vec<_>, Vec<_>) = writes
            .into_iter()
            .map(|write| {
                let (reply, outcome) = oneshot::channel();
                ((write, reply), outcome)
            })
            .unzip();
        let batch = WriteBatch {
            writes,
            level,
            atomicity,
        };
        // Where the writer has ended, every outcome reports it.
        let _ = self.ask(Job::Batch(batch)).await;
        let mut results = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            results.push(outcome.await.unwrap_or(Err(WriteError::Closed)));
        }
        results
    }

    async fn list<T, F>(&self, limit: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        self.reader.list(limit, read).await
    }

    async fn latest_change(&self) -> Result<ChangeCursor, ReadError> {
        self.reader.latest_change().await
    }

    async fn changes(&self, after: &ChangeCursor, most: usize) -> Result<Changes, ReadError> {
        self.reader.changes(after, most).await
    }

    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reader.next_commit()
    }

    async fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ConflictPage, ReadError> {
        self.reader.conflicts(before, limit).await
    }

    async fn probe(&self) -> Result<(), ReadError> {
        self.reader.probe().await
    }

    /// Checks the disk again where it was full.
    fn write_health(&self) -> WriteHealth {
        let health = self.write_health.get();
        if health == WriteHealth::DiskFull
            && let Ok(space) = self.reader.disk_space()
            && space
                .without(self.reader.sizes().1)
                .room(self.min_free_bytes, 0)
                == Room::Everything
        {
            self.write_health.set(WriteHealth::Accepting);
        }
        self.write_health.get()
    }

    fn live_entries(&self) -> u64 {
        self.live_entries.load(Ordering::Relaxed)
    }
}
