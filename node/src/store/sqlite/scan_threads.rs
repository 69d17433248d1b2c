//! Threads for lists, each with a connection of its own. Memory that a list allocates and frees stays within its thread: among
//! tokio's blocking threads, which take turns, each one kept the memory of a list.

use std::num::NonZeroUsize;

use rusqlite::Connection;
use tokio::runtime::Handle;

use super::{OpenError, file::DatabaseFile};
use crate::{
    os::worker_threads::{Lost, Turn, WorkerKind, WorkerThreads},
    store::{ReadError, VISITOR_STACK},
};

/// The threads, and the queue of their jobs. They end with it.
#[derive(Debug)]
pub(super) struct ScanThreads(WorkerThreads<Connection>);

/// A free connection, reserved for the holder of this.
pub(super) struct ScanTurn<'t>(Turn<'t, Connection>);

impl From<Lost> for ReadError {
    fn from(Lost: Lost) -> Self {
        Self::Ended
    }
}

impl ScanThreads {
    /// Opens the connections, and starts their threads.
    pub(super) fn start(file: &DatabaseFile, count: NonZeroUsize) -> Result<Self, OpenError> {
        let connections = (0..count.get())
            .map(|_| file.connect_reader())
            .collect::<rusqlite::Result<_>>()?;
        let kind = WorkerKind {
            name: "scan",
            stack: VISITOR_STACK,
            nicer: 0,
        };
        let threads = WorkerThreads::start(kind, connections).map_err(OpenError::Threads)?;
        Ok(Self(threads))
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<ScanTurn<'_>, ReadError> {
        Ok(ScanTurn(self.0.turn().await?))
    }
}

impl ScanTurn<'_> {
    /// Runs a read of many rows. It may block on the caller's runtime.
    pub(super) async fn scan<T, F>(self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let runtime = Handle::current();
        let read = move |connection: &Connection| {
            let _context = runtime.enter();
            query(connection)
        };
        self.0.work(read).await?
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn threads(folder: &TempDir, count: usize) -> ScanThreads {
        let file = DatabaseFile::claim(&folder.path().join("configurations.db")).unwrap();
        drop(file.connect_writer().unwrap());
        ScanThreads::start(&file, NonZeroUsize::new(count).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_read_that_panics_is_lost() {
        let folder = TempDir::new().unwrap();
        let threads = threads(&folder, 1);
        let turn = threads.turn().await.unwrap();
        let lost = turn.scan(|_| -> Result<(), _> { panic!("of a test") });
        assert!(matches!(lost.await, Err(ReadError::Ended)));
    }

    #[tokio::test]
    async fn a_read_may_wait_for_the_callers_runtime() {
        let folder = TempDir::new().unwrap();
        let threads = threads(&folder, 1);
        let turn = threads.turn().await.unwrap();
        let waits = |_: &Connection| {
            let nap = tokio::time::sleep(std::time::Duration::from_millis(1));
            Handle::current().block_on(nap);
            Ok(7)
        };
        assert_eq!(turn.scan(waits).await.unwrap(), 7);
    }
}
