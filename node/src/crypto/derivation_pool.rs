//! The threads that derive data keys, and the bounded queue in front of them.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Instant,
};

use tokio::sync::watch;

use super::{DataKey, Iterations, Salt, UserKey, derive};
use crate::metrics::KeyMetrics;

/// Derivations that may wait for each thread; one takes about 55 ms of CPU.
pub(super) const QUEUE_PER_THREAD: usize = 64;

/// A derivation under way; its key once that is there.
pub(super) type Running = watch::Receiver<Option<Arc<DataKey>>>;

/// Too many new user keys at once; try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many key derivations are waiting")]
pub struct DerivationQueueFull;

struct Job {
    user_key: UserKey,
    done: watch::Sender<Option<Arc<DataKey>>>,
}

/// Derives on threads of its own, which end with it.
pub(super) struct DerivationPool {
    jobs: SyncSender<Job>,
    metrics: KeyMetrics,
}

impl DerivationPool {
    pub(super) fn start(
        salt: &Salt,
        iterations: Iterations,
        threads: NonZeroUsize,
        metrics: KeyMetrics,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_PER_THREAD * threads.get());
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.get() {
            let deriver = Deriver {
                queue: Arc::clone(&queue),
                salt: salt.clone(),
                iterations,
                metrics: metrics.clone(),
            };
            std::thread::Builder::new()
                .name(format!("derive-{number}"))
                .spawn(move || deriver.serve())?;
        }
        Ok(Self { jobs, metrics })
    }

    /// Begins a derivation where there is room for one more.
    pub(super) fn derive(&self, user_key: UserKey) -> Result<Running, DerivationQueueFull> {
        let (done, running) = watch::channel(None);
        if self.jobs.try_send(Job { user_key, done }).is_err() {
            self.metrics.refused();
            return Err(DerivationQueueFull);
        }
        self.metrics.queued();
        Ok(running)
    }
}

/// One of the threads.
struct Deriver {
    queue: Arc<Mutex<Receiver<Job>>>,
    salt: Salt,
    iterations: Iterations,
    metrics: KeyMetrics,
}

impl Deriver {
    /// Derives until the pool is gone.
    fn serve(&self) {
        while let Some(Job { user_key, done }) = self.next() {
            let start = Instant::now();
            let key = derive(&user_key, &self.salt, self.iterations);
            self.metrics.derived(start.elapsed());
            done.send_replace(Some(Arc::new(key)));
        }
    }

    fn next(&self) -> Option<Job> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let job = queue.recv().ok()?;
        self.metrics.taken();
        Some(job)
    }
}
