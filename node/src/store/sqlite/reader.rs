//! Connections for reading, used on threads where blocking is allowed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, time::timeout};

use super::file::DatabaseFile;
use crate::store::{OpenError, ReadError};

/// How long a list waits for a connection while slow clients hold them all.
pub(super) const SCAN_WAIT: Duration = Duration::from_secs(5);

/// A fixed set of read-only connections.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    /// Lists wait for slow clients, so they never take all connections.
    scans: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(file: &DatabaseFile, count: usize) -> Result<Self, OpenError> {
        let idle = (0..count)
            .map(|_| file.connect_reader())
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self {
            idle: Mutex::new(idle),
            free: Arc::new(Semaphore::new(count)),
            scans: Arc::new(Semaphore::new((count / 2).max(1))),
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
    pub(super) async fn scan<T, F>(self: &Arc<Self>, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        self.scan_within(SCAN_WAIT, query).await
    }

    /// The same for who waits for a connection as long as this.
    pub(super) async fn scan_within<T, F>(
        self: &Arc<Self>,
        patience: Duration,
        query: F,
    ) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let _scan = timeout(patience, self.scans.acquire())
            .await
            .map_err(|_| ReadError::Busy)?
            .map_err(|_| ReadError::Ended)?;
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .map_err(|_| ReadError::Ended)?;
        let readers = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let connection = readers.take()?;
            let result = query(&connection);
            readers.put_back(connection);
            drop(permit);
            result
        });
        read.await.map_err(|_| ReadError::Ended)?
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
