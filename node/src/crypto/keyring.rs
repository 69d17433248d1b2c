//! Data keys for requests: derived once for all that ask at the same time, and cached once they proved themselves.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    DataKey, DerivationQueueFull, Iterations, Salt, UserKey,
    cached_key::CachedKey,
    derivation_pool::{DerivationPool, Running},
};
use crate::{domain::Timestamp, metrics::KeyMetrics};

const CACHE_IDLE: Duration = Duration::from_mins(5);
const CACHE_ABSOLUTE: Duration = Duration::from_hours(1);

/// Turns user keys into data keys. Derivation never runs on the threads that serve requests.
pub struct KeyRing {
    index_key: [u8; 32],
    /// Each key once: when its entry goes, it is wiped.
    cache: Cache<Index, Arc<CachedKey>>,
    running: AllRunning,
    pool: DerivationPool,
    metrics: KeyMetrics,
}

/// A data key of one request, and what the cache knows of it already.
#[derive(Debug)]
pub struct Derivation {
    /// The key.
    pub key: Arc<DataKey>,
    index: Index,
    /// When it was asked for first: what it creates itself comes after that.
    since: Timestamp,
    cached: Option<Arc<CachedKey>>,
    /// As long as the request that started it lasts, others with the same key join it.
    _started: Option<Started>,
}

/// A derivation that others can join until this is dropped.
#[derive(Debug)]
struct Started {
    running: AllRunning,
    index: Index,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.index);
    }
}

impl Derivation {
    /// What the cache knows of the key, where it held it.
    pub(crate) fn cached(&self) -> Option<&Arc<CachedKey>> {
        self.cached.as_ref()
    }

    /// When the key was asked for first.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether something came into being before the key was asked for, so that opening it proves more than a create of
    /// one's own.
    pub fn is_older(&self, created_at: Timestamp) -> bool {
        created_at < self.since
    }
}

/// A keyed hash of a user key: finds it in the cache without the cache holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Index([u8; 32]);

type AllRunning = Arc<Mutex<HashMap<Index, Running>>>;

impl KeyRing {
    /// Starts the threads. `index_key` is random and lives as long as the process; so many keys are cached at most.
    pub fn start(
        salt: &Salt,
        iterations: Iterations,
        threads: NonZeroUsize,
        index_key: [u8; 32],
        cached_keys: u64,
        metrics: KeyMetrics,
    ) -> std::io::Result<Self> {
        Ok(Self {
            index_key,
            cache: cache(cached_keys, CACHE_IDLE),
            running: AllRunning::default(),
            pool: DerivationPool::start(salt, iterations, threads, metrics.clone())?,
            metrics,
        })
    }

    /// The data key of a user key that proved itself lately.
    pub fn cached(&self, user_key: &UserKey) -> Option<Derivation> {
        let index = self.index(user_key);
        let cached = self.cache.get(&index);
        self.metrics.looked_up(cached.is_some());
        cached.map(|cached| Derivation {
            key: Arc::clone(cached.key()),
            index,
            since: cached.since(),
            cached: Some(cached),
            _started: None,
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

    /// The data key of a user key, from a derivation that already runs for it, or from a new one, to which `admit` agrees.
    /// What that gave comes along.
    pub async fn derive<T, E: From<DerivationQueueFull>>(
        &self,
        user_key: &UserKey,
        now: Timestamp,
        admit: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Derivation, Option<T>), E> {
        let index = self.index(user_key);
        let (mut done, started) = self.join_or_start(user_key, index, admit)?;
        let (started, admitted) = started.unzip();
        let key = match done.wait_for(Option::is_some).await {
            Ok(key) => key.clone(),
            Err(_) => None,
        };
        let derivation = Derivation {
            key: key.ok_or(DerivationQueueFull)?,
            index,
            since: now,
            cached: None,
            _started: started,
        };
        Ok((derivation, admitted))
    }

    /// Keeps a key that opens or creates something, so that the next request finds it. Others are never kept:
    /// a flood of wrong keys must not push out the right ones.
    pub fn remember(&self, derivation: &Derivation) {
        if derivation.cached.is_none() {
            self.keep(derivation);
        }
    }

    /// Keeps a key that opened something older than itself.
    pub fn opened(&self, derivation: &Derivation) {
        match &derivation.cached {
            Some(cached) => cached.opened(),
            None => self.keep(derivation).opened(),
        }
    }

    /// Keeps a key to which a list showed nothing older than itself; tells whether that was the first one.
    pub fn listed_in_vain(&self, derivation: &Derivation) -> bool {
        match &derivation.cached {
            Some(cached) => cached.listed_in_vain(),
            None => self.keep(derivation).listed_in_vain(),
        }
    }

    fn keep(&self, derivation: &Derivation) -> Arc<CachedKey> {
        // What another request of the key noted meanwhile stays.
        let entry = self.cache.entry(derivation.index).or_insert_with(|| {
            let key = Arc::clone(&derivation.key);
            Arc::new(CachedKey::new(key, derivation.since))
        });
        entry.into_value()
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

    fn join_or_start<T, E: From<DerivationQueueFull>>(
        &self,
        user_key: &UserKey,
        index: Index,
        admit: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Running, Option<(Started, T)>), E> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = running.get(&index) {
            return Ok((done.clone(), None));
        }
        let admitted = admit()?;
        let result = self.pool.derive(user_key.clone())?;
        running.insert(index, result.clone());
        let started = Started {
            running: Arc::clone(&self.running),
            index,
        };
        Ok((result, Some((started, admitted))))
    }
}

fn cache(most: u64, idle: Duration) -> Cache<Index, Arc<CachedKey>> {
    Cache::builder()
        .max_capacity(most)
        .time_to_idle(idle)
        .time_to_live(CACHE_ABSOLUTE)
        .build()
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} cached)", self.cache.entry_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::derivation_pool;

    fn ring(iterations: u32) -> KeyRing {
        let salt = Salt::from_bytes(&[1; 64]).unwrap();
        KeyRing::start(
            &salt,
            Iterations(iterations),
            NonZeroUsize::MIN,
            [2; 32],
            10,
            KeyMetrics::unregistered().unwrap(),
        )
        .unwrap()
    }

    async fn derived(ring: &KeyRing, user_key: &UserKey) -> Derivation {
        let now = Timestamp::from_micros(2);
        let derived = ring.derive(user_key, now, || Ok::<_, DerivationQueueFull>(()));
        derived.await.unwrap().0
    }

    #[tokio::test]
    async fn a_key_is_cached_only_after_it_was_remembered() {
        let ring = ring(1);
        let user_key = UserKey::from_header(b"correct horse");
        let derived = derived(&ring, &user_key).await;
        assert!(ring.cached(&user_key).is_none());
        ring.remember(&derived);
        assert!(ring.cached(&user_key).unwrap().cached().is_some());
    }

    #[tokio::test]
    async fn what_a_key_showed_is_kept_when_another_request_remembers_it_too() {
        let ring = ring(1);
        let user_key = UserKey::from_header(b"correct horse");
        let slow = derived(&ring, &user_key).await;
        let quick = derived(&ring, &user_key).await;
        ring.remember(&quick);
        assert!(ring.listed_in_vain(&quick), "the first");
        assert!(!ring.listed_in_vain(&slow));
        let has_opened = || {
            ring.cached(&user_key)
                .unwrap()
                .cached()
                .unwrap()
                .has_opened()
        };
        assert!(!has_opened(), "a create says nothing");
        ring.opened(&quick);
        ring.remember(&slow);
        assert!(has_opened());
        assert!(slow.is_older(Timestamp::from_micros(1)));
        assert!(!slow.is_older(Timestamp::from_micros(2)));
    }

    #[tokio::test]
    async fn an_expired_key_is_wiped_although_nobody_asks_for_any() {
        let (idle, mut ring) = (Duration::from_millis(50), ring(1));
        ring.cache = cache(10, idle);
        let user_key = UserKey::from_header(b"correct horse");
        let derived = derived(&ring, &user_key).await;
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
        let admitted = || Ok::<_, DerivationQueueFull>(());
        let mut waiting = Vec::new();
        let refused = (0..derivation_pool::QUEUE_PER_THREAD + 2).filter(|n| {
            match ring.join_or_start(&key(*n), ring.index(&key(*n)), admitted) {
                Ok((done, new)) => {
                    assert!(new.is_some());
                    waiting.push((done, new));
                    false
                }
                Err(DerivationQueueFull) => true,
            }
        });
        assert!(refused.count() >= 1);
        let shared = ring.join_or_start(&key(0), ring.index(&key(0)), admitted);
        let (shared, admitted_again) = shared.unwrap();
        assert!(shared.same_channel(&waiting[0].0));
        assert!(admitted_again.is_none(), "it is the same guess");
    }
}
