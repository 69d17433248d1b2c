//! Threads that all do one kind of work, each with an object of its own, such as a connection. At most one job per thread runs
//! at a time; the others wait for their turn.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job<O> = Box<dyn FnOnce(&O) + Send>;

/// The common properties of the threads of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerKind {
    /// Their names, up to their numbers.
    pub(crate) name: &'static str,
    /// Their stacks, in bytes.
    pub(crate) stack: usize,
    /// Their addition to the niceness of the process; the sum is 19 at most.
    pub(crate) nicer: i32,
}

/// The threads, and the queue of their jobs. They end with it.
#[derive(Debug)]
pub(crate) struct WorkerThreads<O> {
    turns: Arc<Semaphore>,
    jobs: mpsc::Sender<Job<O>>,
}

/// A free thread, reserved for the holder of this.
#[derive(Debug)]
pub(crate) struct Turn<'t, O> {
    threads: &'t WorkerThreads<O>,
    permit: OwnedSemaphorePermit,
}

/// The work panicked, or its threads have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work did not end")]
pub(crate) struct Lost;

impl<O: Send + 'static> WorkerThreads<O> {
    /// Starts a thread for each of these.
    pub(crate) fn start(kind: WorkerKind, own: Vec<O>) -> io::Result<Self> {
        let turns = Arc::new(Semaphore::new(own.len()));
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for (number, own) in own.into_iter().enumerate() {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name(format!("{}-{number}", kind.name))
                .stack_size(kind.stack)
                .spawn(move || serve(kind, &own, &waiting))?;
        }
        Ok(Self { turns, jobs })
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Result<Turn<'_, O>, Lost> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        Ok(Turn {
            threads: self,
            permit: permit.map_err(|_| Lost)?,
        })
    }
}

impl<O: Send + 'static> Turn<'_, O> {
    /// Has the work done, and waits for it.
    pub(crate) async fn work<T, F>(self, job: F) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: FnOnce(&O) -> T + Send + 'static,
    {
        let Self { threads, permit } = self;
        let (done, result) = oneshot::channel();
        let job = move |own: &O| {
            let result = job(own);
            // Before the answer: its receiver may ask for the next turn.
            drop(permit);
            // A client that went away has no use for it.
            let _ = done.send(result);
        };
        threads.jobs.send(Box::new(job)).map_err(|_| Lost)?;
        result.await.map_err(|_| Lost)
    }
}

/// Runs jobs until no more can come.
fn serve<O>(kind: WorkerKind, own: &O, waiting: &Mutex<mpsc::Receiver<Job<O>>>) {
    if kind.nicer != 0 {
        // On Linux it is of this thread alone. Where it is not allowed, the work is as important as all other.
        let _ = rustix::process::nice(kind.nicer);
    }
    loop {
        // In a line of its own: the lock must not be held during the work.
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = next else {
            return;
        };
        // The hook has logged it; the task that waits for the work hears that it is lost.
        let _ = catch_unwind(AssertUnwindSafe(|| job(own)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NICER: i32 = 10;

    fn threads(count: u8) -> WorkerThreads<u8> {
        let kind = WorkerKind {
            name: "work",
            stack: 1 << 20,
            nicer: NICER,
        };
        WorkerThreads::start(kind, (0..count).collect()).unwrap()
    }

    async fn done<T, F>(threads: &WorkerThreads<u8>, job: F) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: FnOnce(&u8) -> T + Send + 'static,
    {
        threads.turn().await.unwrap().work(job).await
    }

    #[tokio::test]
    async fn work_is_done_by_no_more_threads_than_were_started_each_with_its_own() {
        let threads = threads(2);
        for _ in 0..50 {
            let of_thread = |own: &u8| (*own, std::thread::current().name().map(str::to_owned));
            let (own, name) = done(&threads, of_thread).await.unwrap();
            assert_eq!(name, Some(format!("work-{own}")));
            assert!(own < 2);
        }
        let held = (threads.turn().await, threads.turn().await);
        assert!(threads.turns.try_acquire().is_err(), "no third one");
        drop(held);
    }

    #[tokio::test]
    async fn work_that_panics_is_lost_and_its_thread_goes_on() {
        let threads = threads(1);
        for _ in 0..10 {
            let lost = done(&threads, |_| panic!("of a test")).await;
            assert_eq!(lost.map(|(): ()| ()), Err(Lost));
        }
        assert_eq!(done(&threads, |own| *own).await, Ok(0));
    }

    #[tokio::test]
    async fn threads_are_as_much_less_important_as_their_kind_says() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        // The tests themselves may be less important than other programs.
        let expected = (niceness() + NICER).min(19);
        let threads = threads(1);
        assert_eq!(done(&threads, move |_| niceness()).await, Ok(expected));
    }
}
