//! Data keys for requests: derived once for all requests at the same time, and cached once they proved themselves.
//!
//! Each origin has a cache of its own: a key that one client proved tells another client nothing, and takes as long for it as
//! any key that is tried for the first time.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    DerivationQueueFull,
    cached_key::CachedKey,
    derivation_pool::{DerivationPool, Running},
};
use crate::{
    crypto::{DataKey, Iterations, Salt, UserKey},
    domain::{Origin, Timestamp},
    metrics::KeyMetrics,
};

const CACHE_IDLE: Duration = Duration::from_mins(5);
const CACHE_ABSOLUTE: Duration = Duration::from_hours(1);

/// Turns user keys into data keys. Derivation never runs on the threads that serve requests.
pub struct KeyRing {
    index_key: [u8; 32],
    /// Each key of an origin once: when its last entry goes, it is wiped.
    cache: Cache<KeyPlace, Arc<CachedKey>>,
    running: AllRunning,
    pool: DerivationPool,
    metrics: KeyMetrics,
}

/// A data key of one request, and its record in the cache.
#[derive(Debug)]
pub struct Derivation {
    /// The key.
    pub key: Arc<DataKey>,
    place: KeyPlace,
    /// When the key was requested first: an entry that it creates itself comes after that.
    since: Timestamp,
    cached: Option<Arc<CachedKey>>,
    /// While a request that shares the derivation lasts, other requests of its origin with the same key join it.
    _waiting: Option<Arc<Waiting>>,
}

/// A derivation that others can join until this is dropped; when the last one goes before it began, it never runs.
#[derive(Debug)]
struct Waiting {
    done: Running,
    place: KeyPlace,
    running: AllRunning,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Another derivation may have taken its place.
        let is_over = |other: &Weak<Self>| other.strong_count() == 0;
        if running.get(&self.place.index).is_some_and(is_over) {
            running.remove(&self.place.index);
        }
    }
}

impl Derivation {
    /// When the key was requested first.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether an entry was created before the key was requested, so that opening it proves more than a create of one's own.
    pub fn is_older(&self, created_at: Timestamp) -> bool {
        created_at < self.since
    }

    /// Whether the key opened an entry for this origin since it is cached.
    pub(crate) fn has_opened(&self) -> bool {
        self.cached
            .as_ref()
            .is_some_and(|cached| cached.has_opened())
    }
}

/// A keyed hash of a user key: finds it in the cache without the cache holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Index([u8; 32]);

/// The place of a user key of one origin in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPlace {
    index: Index,
    origin: Origin,
}

impl KeyPlace {
    /// Where the requests come from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    #[cfg(test)]
    pub(crate) fn of_test(key: u32, origin: Origin) -> Self {
        let mut index = [0; 32];
        let (first, _) = index.split_at_mut(4);
        first.copy_from_slice(&key.to_le_bytes());
        Self {
            index: Index(index),
            origin,
        }
    }

    /// A number that stands for the key while this process lives. Two keys practically never share one.
    pub fn number(&self) -> u64 {
        let (first, _) = self.index.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_le_bytes(*first)
    }
}

type AllRunning = Arc<Mutex<HashMap<Index, Weak<Waiting>>>>;

impl KeyRing {
    /// Starts the threads. `index_key` is random and lives as long as the process; so many keys are cached at most, each once for
    /// each origin that uses it.
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

    /// Where a user key of this origin would be cached.
    pub fn place(&self, user_key: &UserKey, origin: Origin) -> KeyPlace {
        KeyPlace {
            index: self.index(user_key),
            origin,
        }
    }

    /// The record of a user key of this origin.
    pub(crate) fn known(&self, place: &KeyPlace) -> Option<Arc<CachedKey>> {
        self.cache.get(place)
    }

    /// Wipes expired keys. The cache itself does so only in use, and an idle node does not use it.
    pub fn wipe_expired(&self) {
        self.cache.run_pending_tasks();
    }

    /// How many keys are cached, about.
    pub fn cached_keys(&self) -> u64 {
        self.cache.entry_count()
    }

    /// The data key of a user key: from the cache where it opened an entry for this origin, otherwise from a derivation that
    /// already runs for it, or from a new one.
    ///
    /// # Errors
    /// [`DerivationQueueFull`] where too many derivations wait.
    pub(crate) async fn data_key(
        &self,
        user_key: &UserKey,
        place: KeyPlace,
        known: Option<Arc<CachedKey>>,
        now: Timestamp,
    ) -> Result<Derivation, DerivationQueueFull> {
        let usable = known.as_ref().filter(|known| known.has_opened());
        self.metrics.looked_up(usable.is_some());
        let since = known.as_ref().map_or(now, |known| known.since());
        if let Some(usable) = usable {
            return Ok(Derivation {
                key: Arc::clone(usable.key()),
                place,
                since,
                cached: known,
                _waiting: None,
            });
        }
        let waiting = self.join_or_start(user_key, place)?;
        let mut done = waiting.done.clone();
        let key = match done.wait_for(Option::is_some).await {
            Ok(key) => key.clone(),
            // It lost its place to another origin.
            Err(_) => None,
        };
        Ok(Derivation {
            key: key.ok_or(DerivationQueueFull)?,
            place,
            since,
            cached: known,
            _waiting: Some(waiting),
        })
    }

    /// Keeps a key that creates an entry. Other unproven keys are never kept: a flood of wrong keys must not push out the right
    /// ones.
    pub fn remember(&self, derivation: &Derivation) {
        if derivation.cached.is_none() {
            self.keep(derivation);
        }
    }

    /// Keeps a key that opened an entry, so that the next request finds it.
    pub fn opened(&self, derivation: &Derivation, older: bool) {
        match &derivation.cached {
            Some(cached) => cached.opened(older),
            None => self.keep(derivation).opened(older),
        }
    }

    fn keep(&self, derivation: &Derivation) -> Arc<CachedKey> {
        // The record of another request with the key stays.
        let entry = self.cache.entry(derivation.place).or_insert_with(|| {
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

    fn join_or_start(
        &self,
        user_key: &UserKey,
        place: KeyPlace,
    ) -> Result<Arc<Waiting>, DerivationQueueFull> {
        // Declared before the lock, which its `drop` takes.
        let finished;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.get(&place.index).and_then(Weak::upgrade) {
            // A finished derivation would show at once that the key is in use: only the origin that uses it may see that.
            Some(other) if other.place.origin != place.origin && other.done.borrow().is_some() => {
                finished = Some(other);
            }
            Some(other) => return Ok(other),
            None => finished = None,
        }
        let waiting = Arc::new(Waiting {
            done: self.pool.derive(user_key.clone(), place.origin)?,
            place,
            running: Arc::clone(&self.running),
        });
        running.insert(place.index, Arc::downgrade(&waiting));
        drop(running);
        drop(finished);
        Ok(waiting)
    }
}

fn cache(most: u64, idle: Duration) -> Cache<KeyPlace, Arc<CachedKey>> {
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
    use std::net::IpAddr;

    use super::*;
    use crate::keys::derivation_pool;

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

    fn origin(n: u8) -> Origin {
        IpAddr::from([192, 0, 2, n]).into()
    }

    fn user_key() -> UserKey {
        UserKey::from_header(b"correct horse")
    }

    async fn derived(ring: &KeyRing, user_key: &UserKey) -> Derivation {
        let (place, now) = (ring.place(user_key, origin(1)), Timestamp::from_micros(2));
        let derived = ring.data_key(user_key, place, ring.known(&place), now);
        derived.await.unwrap()
    }

    #[tokio::test]
    async fn a_key_is_used_from_the_cache_only_after_it_opened_something_there() {
        let ring = ring(1);
        let here = ring.place(&user_key(), origin(1));
        let there = ring.place(&user_key(), origin(2));
        let first = derived(&ring, &user_key()).await;
        assert!(ring.known(&here).is_none());
        ring.remember(&first);
        assert!(!ring.known(&here).unwrap().has_opened());
        ring.opened(&first, false);
        assert!(ring.known(&here).unwrap().has_opened());
        assert!(ring.known(&there).is_none(), "another address");
    }

    #[tokio::test]
    async fn what_a_key_showed_is_kept_when_another_request_remembers_it_too() {
        let ring = ring(1);
        let slow = derived(&ring, &user_key()).await;
        let quick = derived(&ring, &user_key()).await;
        ring.remember(&quick);
        let place = ring.place(&user_key(), origin(1));
        let has_opened = || ring.known(&place).unwrap().has_opened_older();
        assert!(!has_opened(), "a create says nothing");
        ring.opened(&quick, true);
        ring.remember(&slow);
        ring.opened(&slow, false);
        assert!(has_opened());
        assert!(slow.is_older(Timestamp::from_micros(1)));
        assert!(!slow.is_older(Timestamp::from_micros(2)));
    }

    #[tokio::test]
    async fn an_expired_key_is_wiped_although_nobody_asks_for_any() {
        let (idle, mut ring) = (Duration::from_millis(50), ring(1));
        ring.cache = cache(10, idle);
        let derived = derived(&ring, &user_key()).await;
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
        let place = |n: usize, from: u8| ring.place(&key(n), origin(from));
        let mut waiting = Vec::new();
        let refused = (0..derivation_pool::QUEUE_PER_THREAD + 2).filter(|n| {
            let started = ring.join_or_start(&key(*n), place(*n, 1));
            started.map(|started| waiting.push(started)).is_err()
        });
        assert!(refused.count() >= 1);
        let shared = ring.join_or_start(&key(0), place(0, 2)).unwrap();
        assert!(Arc::ptr_eq(&shared, &waiting[0]), "it runs already");
        assert!(
            ring.join_or_start(&key(1000), place(1000, 2)).is_ok(),
            "one origin does not fill the queue for others"
        );
        // Requests that went away are derived for no longer.
        drop((shared, waiting));
        assert!(ring.running.lock().unwrap().is_empty());
        let again: Vec<_> = (0..derivation_pool::QUEUE_PER_THREAD / 2)
            .map(|n| ring.join_or_start(&key(n), place(n, 1)))
            .collect();
        assert!(again.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_derivation_that_is_over_is_shared_with_its_own_address_alone() {
        let ring = ring(1);
        let first = derived(&ring, &user_key()).await;
        let again = derived(&ring, &user_key()).await;
        assert!(Arc::ptr_eq(&first.key, &again.key));
        let elsewhere = ring.place(&user_key(), origin(2));
        let now = Timestamp::from_micros(2);
        let elsewhere = ring.data_key(&user_key(), elsewhere, None, now).await;
        assert!(!Arc::ptr_eq(&first.key, &elsewhere.unwrap().key));
    }
}
