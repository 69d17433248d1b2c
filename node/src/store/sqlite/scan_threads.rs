//! Threads for lists, each with a connection of its own. What a list allocates and gives back stays within its thread: on
//! tokio's blocking threads, which take turns, each of them kept the memory of a list.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use rusqlite::Connection;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
};

use super::file::DatabaseFile;
use crate::store::{OpenError, ReadError};

/// Their stacks, in bytes: whoever visits a row may read its value there, however deep that is (a test in `api` holds it
/// against `json::STACK`, which the store knows nothing of).
pub(crate) const STACK: usize = 8 << 20;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The threads, and whose turn it is. They end with it.
#[derive(Debug)]
pub(super) struct ScanThreads {
    turns: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
}

/// One of the threads is free for whoever has this.
pub(super) struct Turn<'t> {
    threads: &'t ScanThreads,
    permit: OwnedSemaphorePermit,
}

impl ScanThreads {
    /// Opens the connections, and starts their threads.
    pub(super) fn start(file: &DatabaseFile, count: NonZeroUsize) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..count.get() {
            let (connection, waiting) = (file.connect_reader()?, Arc::clone(&waiting));
            std::thread::Builder::new()
                .name(format!("scan-{number}"))
                .stack_size(STACK)
                .spawn(move || serve(&connection, &waiting))
                .map_err(OpenError::Threads)?;
        }
        Ok(Self {
            turns: Arc::new(Semaphore::new(count.get())),
            jobs,
        })
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, ReadError> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        Ok(Turn {
            threads: self,
            permit: permit.map_err(|_| ReadError::Ended)?,
        })
    }
}

impl Turn<'_> {
    /// Runs a read of many rows. It may block on what the caller's runtime does.
    pub(super) async fn scan<T, F>(self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let Self { threads, permit } = self;
        let (runtime, (done, result)) = (Handle::current(), oneshot::channel());
        let job = move |connection: &Connection| {
            let _context = runtime.enter();
            let result = query(connection);
            // Before the answer: who got it may ask for the next turn.
            drop(permit);
            // A client that went away has no use for it.
            let _ = done.send(result);
        };
        let sent = threads.jobs.send(Box::new(job));
        sent.map_err(|_| ReadError::Ended)?;
        result.await.map_err(|_| ReadError::Ended)?
    }
}

/// Does what comes until nothing can come any more.
fn serve(connection: &Connection, waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // In a line of its own: the lock must not be held during the work.
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = next else {
            return;
        };
        // The hook has told of it; whoever waits for the work hears that it is lost.
        let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
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

    async fn name_of_thread(threads: &ScanThreads) -> String {
        let turn = threads.turn().await.unwrap();
        let name = |_: &Connection| Ok(std::thread::current().name().unwrap_or("").to_owned());
        turn.scan(name).await.unwrap()
    }

    #[tokio::test]
    async fn lists_run_on_no_more_threads_than_there_are_connections() {
        let folder = TempDir::new().unwrap();
        let threads = threads(&folder, 2);
        for _ in 0..50 {
            let name = name_of_thread(&threads).await;
            assert!(["scan-0", "scan-1"].contains(&&*name), "{name}");
        }
        let held = (threads.turn().await, threads.turn().await);
        assert!(threads.turns.try_acquire().is_err(), "no third one");
        drop(held);
    }

    #[tokio::test]
    async fn a_read_that_panics_is_lost_and_its_thread_goes_on() {
        let folder = TempDir::new().unwrap();
        let threads = threads(&folder, 1);
        for _ in 0..10 {
            let turn = threads.turn().await.unwrap();
            let lost = turn.scan(|_| -> Result<(), _> { panic!("of a test") });
            assert!(matches!(lost.await, Err(ReadError::Ended)));
        }
        assert_eq!(name_of_thread(&threads).await, "scan-0");
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
