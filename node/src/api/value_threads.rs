//! Threads for the work on large values: as many as there are cores, and less important to the kernel than those that serve
//! requests, so that large values do not make small ones wait.

use std::{io, num::NonZeroUsize};

use tokio::time::timeout;

use super::answer::error::ApiError;
use crate::{
    budget::ROOM_WAIT,
    json::STACK,
    os::worker_threads::{Lost, WorkerKind, WorkerThreads},
};

/// What the threads add to the niceness of the process. With 10 a thread has about a tenth of a core that another one wants too; on idle cores it is as fast as ever.
const NICER: i32 = 10;

/// The threads, and whose turn it is. They end with it.
#[derive(Debug)]
pub(super) struct ValueThreads(WorkerThreads<()>);

impl ValueThreads {
    /// Starts them.
    pub(super) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let kind = WorkerKind {
            name: "value",
            stack: STACK,
            nicer: NICER,
        };
        Ok(Self(WorkerThreads::start(kind, vec![(); cores])?))
    }

    /// Waits for a turn, and for the work.
    pub(super) async fn work<T, F>(&self, job: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turn = timeout(ROOM_WAIT, self.0.turn())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(ApiError::ValuesBusy)?;
        turn.work(|()| job())
            .await
            .map_err(|Lost| ApiError::Internal("the work on a large value did not end".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_is_less_important_than_serving() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let threads = ValueThreads::start().unwrap();
        // The tests themselves may be less important than other programs.
        let expected = (niceness() + NICER).min(19);
        assert_eq!(threads.work(niceness).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn work_that_panics_is_refused() {
        let threads = ValueThreads::start().unwrap();
        let lost = threads.work(|| panic!("of a test")).await;
        lost.map(|(): ()| ()).unwrap_err();
    }
}
