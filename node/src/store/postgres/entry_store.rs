//! The database as a store of entries for requests.

use std::{sync::Arc, time::Duration};

use super::{PostgresError, PostgresStore, condition::DISK_FULL, now};
use crate::{
    cluster::{AckLevel, Write, Written},
    domain::{Identity, Row, Version},
    store::{
        Atomicity, ChangeCursor, Changes, ConflictPage, Deadline, EntrySnapshot, EntryStore,
        ReadError, WriteError, WriteHealth,
    },
};

impl From<PostgresError> for ReadError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Damaged {
                key,
                environment,
                what,
            } => Self::Damaged {
                key,
                environment,
                what,
            },
            PostgresError::Lost(loss) => Self::Lost(loss),
            error if error.may_pass() => Self::Away(Box::new(error)),
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl From<PostgresError> for WriteError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::NoWrite(reason) => Self::NotServing(reason),
            PostgresError::Unknown => Self::Unknown,
            PostgresError::Lost(loss) => Self::Lost(loss),
            PostgresError::Refused(words) if words.code == DISK_FULL => Self::DiskFull,
            error if error.is_silence() => Self::Away(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl EntryStore for PostgresStore {
    fn until(&self, deadline: Deadline) -> Self {
        Self(Arc::clone(&self.0), deadline)
    }

    async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        let row = self.find_until(identity, self.deadline()).await?;
        Ok(row.map(Arc::new))
    }

    async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        Ok(self.find_unread_until(identity, self.deadline()).await?)
    }

    /// Only the database holds it, as durably as it is configured to: there are no levels.
    async fn commit(&self, write: Write, _: AckLevel) -> Result<Written, WriteError> {
        self.commit_for(write, AckLevel::default(), None).await
    }

    async fn commit_for(
        &self,
        write: Write,
        _: AckLevel,
        request: Option<&str>,
    ) -> Result<Written, WriteError> {
        let written = self.commit_write(&write, request, now()).await?;
        written.ok_or(WriteError::Changed)
    }

    async fn commit_batch(
        &self,
        writes: Vec<Write>,
        _: AckLevel,
        atomicity: Atomicity,
    ) -> Vec<Result<Written, WriteError>> {
        self.commit_writes(&writes, atomicity).await
    }

    async fn confirm(
        &self,
        identity: &Identity,
        version: Option<Version>,
    ) -> Result<bool, ReadError> {
        // The store's own method, which takes precedence over this one.
        Ok(PostgresStore::confirm(self, identity, version).await?)
    }

    async fn list<T, F>(&self, limit: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        self.read_list(limit, read).await
    }

    async fn latest_change(&self) -> Result<ChangeCursor, ReadError> {
        Ok(self.latest_cursor().await?)
    }

    async fn changes(&self, after: &ChangeCursor, most: usize) -> Result<Changes, ReadError> {
        Ok(self.changes_after(after, most).await?)
    }

    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.wake.next()
    }

    /// None: the database accepts one of two writes over one version.
    async fn conflicts(&self, _: Option<i64>, _: usize) -> Result<ConflictPage, ReadError> {
        Ok(ConflictPage {
            rows: Vec::new(),
            next: None,
        })
    }

    async fn probe(&self) -> Result<(), ReadError> {
        self.probe_now().await
    }

    fn write_health(&self) -> WriteHealth {
        self.0.condition.writes.get()
    }

    fn live_entries(&self) -> u64 {
        self.0.condition.live()
    }
}
