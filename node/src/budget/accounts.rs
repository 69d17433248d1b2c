//! How much each origin holds of a share.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::domain::Origin;

/// Maps with a lock each, so that requests of different origins do not wait for each other.
const SHARDS: usize = 16;
/// Accounts of a shard from which on the empty ones are forgotten.
const TIDY_FROM: usize = 512;

/// The bytes that one origin holds.
pub(super) type Account = Arc<AtomicUsize>;

/// The accounts of one share.
#[derive(Debug)]
pub(super) struct Accounts {
    shards: [Mutex<HashMap<Origin, Account>>; SHARDS],
    hasher: RandomState,
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }

    /// The account of an origin; the map keeps it at least while the caller has it or it holds bytes.
    pub(super) fn of(&self, origin: Origin) -> Account {
        let place = usize::try_from(self.hasher.hash_one(origin) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else {
            return Account::default();
        };
        let mut accounts = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&origin) {
            return Arc::clone(account);
        }
        if accounts.len() >= TIDY_FROM {
            accounts.retain(|_, account| {
                Arc::strong_count(account) > 1 || account.load(Ordering::Relaxed) > 0
            });
        }
        Arc::clone(accounts.entry(origin).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn origin(number: u32) -> Origin {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn accounts_that_hold_nothing_are_forgotten_and_others_are_not() {
        let accounts = Accounts::new();
        let held = accounts.of(origin(u32::MAX));
        held.store(7, Ordering::Relaxed);
        for number in 0..u32::try_from(SHARDS * TIDY_FROM * 4).unwrap() {
            accounts.of(origin(number));
        }
        let kept: usize = accounts
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert!(kept <= SHARDS * TIDY_FROM);
        assert_eq!(accounts.of(origin(u32::MAX)).load(Ordering::Relaxed), 7);
    }
}
