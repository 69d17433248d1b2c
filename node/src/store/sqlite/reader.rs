//! Connections for reading: some for reads of a few rows, on the caller's thread, and others for lists, on threads of their own.

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
    /// Held while a large row is read.
    large: Semaphore,
    scans: ScanThreads,
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
            large: Semaphore::new(1),
            idle: Mutex::new(idle),
            scans: ScanThreads::start(file, scans)?,
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

    /// The same for a large row, which takes milliseconds: one at a time, and behind what waits for this thread, so that the other
    /// threads serve whatever many such reads wait. Measured: on threads of their own these reads took twice the memory (16 writers
    /// of 1 MB of emoji 170 instead of 90 MiB).
    pub(super) async fn read_large<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let _turn = self.large.acquire().await.map_err(|_| ReadError::Ended)?;
        tokio::task::yield_now().await;
        self.read(query).await
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
