//! Threads for the work on large values: as many as there are cores, and less important to the kernel than those that serve
//! requests, so that large values do not make small ones wait.

use std::{
    io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::answer::error::ApiError;
use crate::{budget::ROOM_WAIT, json::STACK};

/// What the threads add to the niceness of the process; the sum is 19 at most. With 10 a thread has about a tenth of a core
/// that another one wants too; on idle cores it is as fast as ever.
const NICER: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, and whose turn it is. They end with it.
#[derive(Debug)]
pub(super) struct ValueThreads {
    turns: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
}

impl ValueThreads {
    /// Starts them.
    pub(super) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..cores {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name(format!("value-{number}"))
                .stack_size(STACK)
                .spawn(move || serve(&waiting))?;
        }
        Ok(Self {
            turns: Arc::new(Semaphore::new(cores)),
            jobs,
        })
    }

    /// Waits for a turn, and for the work.
    pub(super) async fn work<T, F>(&self, job: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turns = Arc::clone(&self.turns);
        let turn = timeout(ROOM_WAIT, turns.acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(ApiError::ValuesBusy)?;
        let (done, result) = oneshot::channel();
        let job = move || {
            let result = job();
            drop(turn);
            // A client that went away has no use for it.
            let _ = done.send(result);
        };
        let lost = || ApiError::Internal("the work on a large value did not end".into());
        self.jobs.send(Box::new(job)).map_err(|_| lost())?;
        result.await.map_err(|_| lost())
    }
}

/// Does what comes until nothing can come any more.
fn serve(waiting: &Mutex<mpsc::Receiver<Job>>) {
    // On Linux it is of this thread alone. Where it is not allowed, the work is as important as all other.
    let _ = rustix::process::nice(NICER);
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
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn the_work_is_less_important_than_serving() {
        let threads = ValueThreads::start().unwrap();
        // The tests themselves may be less important than other programs.
        let expected = (niceness() + NICER).min(19);
        assert_eq!(threads.work(niceness).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn work_that_panics_is_lost_and_its_thread_goes_on() {
        let threads = ValueThreads::start().unwrap();
        for _ in 0..100 {
            let lost = threads.work(|| panic!("of a test")).await;
            lost.map(|(): ()| ()).unwrap_err();
        }
        assert_eq!(threads.work(|| 7).await.unwrap(), 7);
    }
}
