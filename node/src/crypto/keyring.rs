//! Data keys for requests: a bounded pool of derivation threads, and a cache of keys that proved themselves.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{DataKey, Iterations, Salt, UserKey, derive};
use crate::metrics::KeyMetrics;

/// Derivations that may wait for each thread; one takes about 55 ms of CPU.
const QUEUE_PER_THREAD: usize = 64;
const CACHED_KEYS: u64 = 10_000;
const CACHE_IDLE: Duration = Duration::from_mins(5);
const CACHE_ABSOLUTE: Duration = Duration::from_hours(1);

/// Turns user keys into data keys. Derivation never runs on the threads that serve requests.
pub struct KeyRing {
    index_key: [u8; 32],
    /// Each key once: when its entry goes, it is wiped.
    cache: Cache<Index, Arc<DataKey>>,
    running: Running,
    jobs: SyncSender<Job>,
    metrics: KeyMetrics,
}

/// A data key of one request, and whether the cache holds it already.
#[derive(Debug)]
pub struct Derivation {
    /// The key.
    pub key: Arc<DataKey>,
    index: Index,
    cached: bool,
}

impl Derivation {
    /// Whether the key had proved itself before.
    pub fn was_cached(&self) -> bool {
        self.cached
    }
}

/// Too many new user keys at once; try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many key derivations are waiting")]
pub struct DerivationQueueFull;

/// A keyed hash of a user key: finds it in the cache without the cache holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Index([u8; 32]);

type Running = Arc<Mutex<HashMap<Index, watch::Receiver<Option<Arc<DataKey>>>>>>;

struct Job {
    user_key: UserKey,
    index: Index,
    done: watch::Sender<Option<Arc<DataKey>>>,
}

impl KeyRing {
    /// Starts the threads. `index_key` is random and lives as long as the process.
    pub fn start(
        salt: &Salt,
        iterations: Iterations,
        threads: NonZeroUsize,
        index_key: [u8; 32],
        metrics: KeyMetrics,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_PER_THREAD * threads.get());
        let queue = Arc::new(Mutex::new(queue));
        let running = Running::default();
        for number in 0..threads.get() {
            let deriver = Deriver {
                queue: Arc::clone(&queue),
                running: Arc::clone(&running),
                salt: salt.clone(),
                iterations,
                metrics: metrics.clone(),
            };
            std::thread::Builder::new()
                .name(format!("derive-{number}"))
                .spawn(move || deriver.serve())?;
        }
        Ok(Self {
            index_key,
            cache: cache(CACHE_IDLE),
            running,
            jobs,
            metrics,
        })
    }

    /// The data key of a user key that proved itself lately.
    pub fn cached(&self, user_key: &UserKey) -> Option<Derivation> {
        let index = self.index(user_key);
        let key = self.cache.get(&index);
        self.metrics.looked_up(key.is_some());
        key.map(|key| Derivation {
            key,
            index,
            cached: true,
        })
    }

    /// Whether a user key proved itself lately.
    pub fn is_cached(&self, user_key: &UserKey) -> bool {
        self.cache.contains_key(&self.index(user_key))
    }

    /// Wipes what has expired. The cache itself does so only when it is used, and an idle node does not use it.
    pub fn wipe_expired(&self) {
        self.cache.run_pending_tasks();
    }

    /// How many keys are cached, about.
    pub fn cached_keys(&self) -> u64 {
        self.cache.entry_count()
    }

    /// The data key of a user key, from a derivation that already runs for it, or from a new one.
    pub async fn derive(&self, user_key: &UserKey) -> Result<Derivation, DerivationQueueFull> {
        let index = self.index(user_key);
        let mut done = self.join_or_start(user_key, index)?;
        let key = match done.wait_for(Option::is_some).await {
            Ok(key) => key.clone(),
            Err(_) => None,
        };
        Ok(Derivation {
            key: key.ok_or(DerivationQueueFull)?,
            index,
            cached: false,
        })
    }

    /// Keeps a key that opened or created something, so that the next request finds it. Others are never kept:
    /// a flood of wrong keys must not push out the right ones.
    pub fn remember(&self, derivation: &Derivation) {
        if !derivation.cached {
            self.cache
                .insert(derivation.index, Arc::clone(&derivation.key));
        }
    }

    fn index(&self, user_key: &UserKey) -> Index {
        // A fixed-length secret in front of the only other input, and SHA-256 of that once more: no length extension.
        let inner = Sha256::new_with_prefix(self.index_key)
            .chain_update(user_key.password())
            .finalize();
        Index(
            Sha256::new_with_prefix(self.index_key)
                .chain_update(inner)
                .finalize()
                .into(),
        )
    }

    fn join_or_start(
        &self,
        user_key: &UserKey,
        index: Index,
    ) -> Result<watch::Receiver<Option<Arc<DataKey>>>, DerivationQueueFull> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = running.get(&index) {
            return Ok(done.clone());
        }
        let (done, result) = watch::channel(None);
        self.jobs
            .try_send(Job {
                user_key: user_key.clone(),
                index,
                done,
            })
            .map_err(|_| {
                self.metrics.refused();
                DerivationQueueFull
            })?;
        self.metrics.queued();
        running.insert(index, result.clone());
        Ok(result)
    }
}

fn cache(idle: Duration) -> Cache<Index, Arc<DataKey>> {
    Cache::builder()
        .max_capacity(CACHED_KEYS)
        .time_to_idle(idle)
        .time_to_live(CACHE_ABSOLUTE)
        .build()
}

/// One thread of the pool.
struct Deriver {
    queue: Arc<Mutex<Receiver<Job>>>,
    running: Running,
    salt: Salt,
    iterations: Iterations,
    metrics: KeyMetrics,
}

impl Deriver {
    /// Derives until the key ring is gone.
    fn serve(&self) {
        while let Some(Job {
            user_key,
            index,
            done,
        }) = self.next()
        {
            let start = Instant::now();
            let key = derive(&user_key, &self.salt, self.iterations);
            self.metrics.derived(start.elapsed());
            // Sent before it is taken out: a request that comes in between finds the result.
            done.send_replace(Some(Arc::new(key)));
            self.running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&index);
        }
    }

    fn next(&self) -> Option<Job> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let job = queue.recv().ok()?;
        self.metrics.taken();
        Some(job)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} cached)", self.cache.entry_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(iterations: u32) -> KeyRing {
        let salt = Salt::from_bytes(&[1; 64]).unwrap();
        KeyRing::start(
            &salt,
            Iterations(iterations),
            NonZeroUsize::MIN,
            [2; 32],
            KeyMetrics::unregistered().unwrap(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_key_is_cached_only_after_it_was_remembered() {
        let ring = ring(1);
        let user_key = UserKey::from_header(b"correct horse");
        let derived = ring.derive(&user_key).await.unwrap();
        assert!(ring.cached(&user_key).is_none());
        ring.remember(&derived);
        assert!(ring.cached(&user_key).unwrap().was_cached());
    }

    #[tokio::test]
    async fn an_expired_key_is_wiped_although_nobody_asks_for_any() {
        let (idle, mut ring) = (Duration::from_millis(50), ring(1));
        ring.cache = cache(idle);
        let user_key = UserKey::from_header(b"correct horse");
        let derived = ring.derive(&user_key).await.unwrap();
        ring.remember(&derived);
        let key = Arc::downgrade(&derived.key);
        drop(derived);
        for _ in 0..400 {
            if key.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(idle).await;
            ring.wipe_expired();
        }
        panic!("the key is still in memory");
    }

    #[tokio::test]
    async fn new_keys_beyond_the_queue_are_turned_away_and_running_ones_are_shared() {
        let ring = ring(5_000_000);
        let key = |n: usize| UserKey::from_header(format!("key {n}").as_bytes());
        let mut waiting = Vec::new();
        let refused = (0..QUEUE_PER_THREAD + 2).filter(|n| {
            match ring.join_or_start(&key(*n), ring.index(&key(*n))) {
                Ok(done) => {
                    waiting.push(done);
                    false
                }
                Err(DerivationQueueFull) => true,
            }
        });
        assert!(refused.count() >= 1);
        let shared = ring.join_or_start(&key(0), ring.index(&key(0))).unwrap();
        assert!(shared.same_channel(&waiting[0]));
    }
}
