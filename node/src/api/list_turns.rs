//! Whose turn it is to have a list without a limit made.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::domain::Origin;

/// Origins after which those are looked for that have no list any more.
const MANY: usize = 1024;

/// The lists that are made for each origin.
#[derive(Debug)]
pub(super) struct ListTurns {
    at_once: usize,
    origins: Mutex<HashMap<Origin, Weak<Semaphore>>>,
}

/// A turn; over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl ListTurns {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            at_once,
            origins: Mutex::default(),
        }
    }

    /// Waits for the turn of an origin; `None` where others of it have all turns for so long.
    pub(super) async fn wait(&self, origin: Origin, limit: Duration) -> Option<Turn> {
        let permit = timeout(limit, self.of(origin).acquire_owned());
        let permit = permit.await.ok()?.ok()?;
        Some(Turn { _permit: permit })
    }

    fn of(&self, origin: Origin) -> Arc<Semaphore> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= MANY {
            origins.retain(|_, turns| turns.strong_count() > 0);
        }
        // Who has a turn, or waits for one, keeps it.
        let turns = origins.entry(origin).or_default();
        turns.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(self.at_once));
            *turns = Arc::downgrade(&new);
            new
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn origin(n: u32) -> Origin {
        IpAddr::from(Ipv4Addr::from_bits(n)).into()
    }

    #[tokio::test]
    async fn an_origin_has_one_turn_at_a_time_and_others_do_not_wait_for_it() {
        let (turns, moment) = (ListTurns::new(1), Duration::from_millis(20));
        let first = turns.wait(origin(1), moment).await.unwrap();
        assert!(turns.wait(origin(1), moment).await.is_none());
        assert!(turns.wait(origin(2), moment).await.is_some());
        let (second, ()) = tokio::join!(turns.wait(origin(1), Duration::from_mins(1)), async {
            drop(first);
        });
        assert!(second.is_some());
    }

    #[tokio::test]
    async fn origins_without_lists_are_forgotten() {
        let turns = ListTurns::new(1);
        for n in 0..3_000 {
            turns.wait(origin(n), Duration::ZERO).await.unwrap();
        }
        assert!(turns.origins.lock().unwrap().len() <= MANY + 1);
    }
}
