//! Connections for reading: some for reads of a few rows, on the caller's thread, and others for lists and for large rows, on
//! threads of their own.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, time::timeout};

use super::{OpenError, file::DatabaseFile, scan_threads::ScanThreads};
use crate::store::{LIST_WAIT, ReadError};

/// A fixed set of read-only connections. Lists wait for slow clients, so they never have all of them.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
    scans: ScanThreads,
    large: ScanThreads,
}

impl Readers {
    /// Opens this many connections, two at least: half of them for lists.
    pub(super) fn open(file: &DatabaseFile, count: usize) -> Result<Self, OpenError> {
        let scans = NonZeroUsize::new(count / 2).unwrap_or(NonZeroUsize::MIN);
        let idle = (scans.get()..count.max(2))
            .map(|_| file.connect_reader())
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self {
            free: Semaphore::new(idle.len()),
            idle: Mutex::new(idle),
            scans: ScanThreads::start(file, ScanThreads::LISTS, scans)?,
            large: ScanThreads::start(file, ScanThreads::LARGE_ROWS, NonZeroUsize::MIN)?,
        })
    }

    /// Runs a read of a few rows on a free connection, on this very thread; waits for one when all are busy.
    /// Such a read takes microseconds, and a hop to another thread many times as long.
    pub(super) async fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let _permit = self.free.acquire().await.map_err(|_| ReadError::Ended)?;
        let connection = self.take()?;
        let result = query(&connection);
        self.put_back(connection);
        Ok(result?)
    }

    /// Runs a read of many rows where blocking is allowed.
    pub(super) async fn scan<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        self.scan_within(LIST_WAIT, query).await
    }

    /// The same for a caller that waits this long for a connection.
    pub(super) async fn scan_within<T, F>(&self, limit: Duration, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let turn = timeout(limit, self.scans.turn())
            .await
            .map_err(|_| ReadError::Busy)??;
        turn.scan(query).await
    }

    /// Runs a read of a large row where blocking is allowed: copying and hashing it takes milliseconds, which others would wait.
    pub(super) async fn read_large<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let turn = timeout(LIST_WAIT, self.large.turn())
            .await
            .map_err(|_| ReadError::Busy)??;
        turn.scan(query).await
    }

    fn take(&self) -> Result<Connection, ReadError> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .ok_or(ReadError::Ended)
    }

    fn put_back(&self, connection: Connection) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }
}
