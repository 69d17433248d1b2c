//! The threads that derive data keys, and the bounded queue in front of them.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::watch;

use super::turn_queue::{Full, TurnQueue};
use crate::{
    crypto::{DataKey, Iterations, Salt, UserKey, derive},
    domain::Origin,
    metrics::KeyMetrics,
};

/// Derivations that may wait for each thread; one takes about 55 ms of CPU.
pub(crate) const QUEUE_PER_THREAD: usize = 64;

/// A derivation under way; its key once that is there. The channel closes where it lost its place.
pub(crate) type Running = watch::Receiver<Option<Arc<DataKey>>>;

/// Too many new user keys at once; try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many key derivations are waiting")]
pub struct DerivationQueueFull;

struct Job {
    user_key: UserKey,
    done: watch::Sender<Option<Arc<DataKey>>>,
}

impl Job {
    /// Whether a request still waits for it.
    fn is_wanted(&self) -> bool {
        !self.done.is_closed()
    }
}

/// Derives on threads of its own, which end with it.
pub(crate) struct DerivationPool {
    queue: Arc<Queue>,
    metrics: KeyMetrics,
}

/// The waiting derivations, and whether more may come.
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    jobs: TurnQueue<Job>,
    closed: bool,
}

impl DerivationPool {
    pub(crate) fn start(
        salt: &Salt,
        iterations: Iterations,
        threads: NonZeroUsize,
        metrics: KeyMetrics,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::new(Waiting {
                jobs: TurnQueue::new(QUEUE_PER_THREAD * threads.get()),
                closed: false,
            }),
            changed: Condvar::new(),
        });
        let pool = Self { queue, metrics };
        for number in 0..threads.get() {
            let deriver = Deriver {
                queue: Arc::clone(&pool.queue),
                salt: salt.clone(),
                iterations,
                metrics: pool.metrics.clone(),
            };
            std::thread::Builder::new()
                .name(format!("derive-{number}"))
                .spawn(move || deriver.serve())?;
        }
        Ok(pool)
    }

    /// Begins a derivation where there is room for one more of this origin. It runs only as long as a receiver is left.
    pub(crate) fn derive(
        &self,
        user_key: UserKey,
        origin: Origin,
    ) -> Result<Running, DerivationQueueFull> {
        let (done, running) = watch::channel(None);
        let mut waiting = self.queue.lock();
        let job = Job { user_key, done };
        let pushed = waiting.jobs.push(origin, job, Job::is_wanted);
        self.metrics.waiting(waiting.jobs.len());
        drop(waiting);
        // One that lost its place to another origin is refused as well.
        if !matches!(pushed, Ok(None)) {
            self.metrics.refused();
        }
        pushed.map_err(|Full| DerivationQueueFull)?;
        self.queue.changed.notify_one();
        Ok(running)
    }
}

impl Drop for DerivationPool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread of the pool.
struct Deriver {
    queue: Arc<Queue>,
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

    /// The next job that a request still waits for.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.queue.lock();
        loop {
            if waiting.closed {
                return None;
            }
            let job = waiting.jobs.pop();
            self.metrics.waiting(waiting.jobs.len());
            match job {
                Some(job) if job.is_wanted() => return Some(job),
                Some(_) => {}
                None => {
                    let woken = self.queue.changed.wait(waiting);
                    waiting = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_derivation_that_loses_its_place_to_another_address_is_counted_as_refused() {
        let metrics = KeyMetrics::unregistered().unwrap();
        // No thread takes any of them.
        let waiting = Waiting {
            jobs: TurnQueue::new(4),
            closed: false,
        };
        let pool = DerivationPool {
            queue: Arc::new(Queue {
                waiting: Mutex::new(waiting),
                changed: Condvar::new(),
            }),
            metrics: metrics.clone(),
        };
        let derive = |key: u8, from: u8| {
            let origin = IpAddr::from([192, 0, 2, from]).into();
            pool.derive(UserKey::from_header(&[b'k', key]), origin)
        };
        let mut first: Vec<_> = (0..4).map(|key| derive(key, 1).unwrap()).collect();
        assert_eq!(metrics.refusals(), 0);
        let _other = derive(4, 2).unwrap();
        let last = first.pop().unwrap();
        assert!(last.has_changed().is_err(), "it lost its place");
        assert_eq!(metrics.refusals(), 1);
        derive(5, 1).unwrap_err();
        assert_eq!(metrics.refusals(), 2);
    }
}
