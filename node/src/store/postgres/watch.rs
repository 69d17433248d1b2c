//! The background work of a store. Each kind has a task of its own, which begins anew when the one before has ended: none waits for
//! another kind, and none meets itself.

use std::{
    future::ready,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures::FutureExt;
use tokio::time::sleep;

use super::{PostgresError, PostgresStore, Shared};
use crate::{
    domain::Timestamp,
    store::{ChangeCursor, Deadline, WriteHealth},
};

/// How often the database is queried while a caller waits for a commit.
const LOOK: Duration = Duration::from_millis(200);
/// How often connections are closed that have served long enough.
const CLOSE: Duration = Duration::from_secs(1);
/// How often a write is tried while writes fail.
const TRY: Duration = Duration::from_secs(1);
/// How often the store probes whether the server accepts new connections.
const KNOCK: Duration = Duration::from_secs(5);
/// How often it is looked for changes that no reader is given.
const HELD_BACK: Duration = Duration::from_secs(5);
/// How often entries are counted, and old deletes and changes are forgotten.
const COUNT: Duration = Duration::from_mins(1);
/// How long deletes and changes are kept for their readers.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Starts all of it; it ends with the last clone of the store.
pub(super) fn start(store: &Arc<Shared>) {
    let store = || Arc::downgrade(store);
    let latest = Arc::default();
    tokio::spawn(again(LOOK, store(), move |shared| {
        wake_readers(shared, Arc::clone(&latest))
    }));
    tokio::spawn(again(CLOSE, store(), |shared: Arc<Shared>| {
        shared.connections.close_retired();
        ready(())
    }));
    tokio::spawn(again(TRY, store(), try_a_write));
    tokio::spawn(again(KNOCK, store(), knock));
    tokio::spawn(again(HELD_BACK, store(), look_for_held_back));
    tokio::spawn(again(COUNT, store(), keep_house));
}

/// Does work again and again, as long as its owner is there: each time so long after the time before has ended, also where that
/// one panicked.
async fn again<T, W, F>(pause: Duration, owner: Weak<T>, work: W)
where
    W: Fn(Arc<T>) -> F,
    F: Future<Output = ()>,
{
    while let Some(owner) = after(pause, &owner).await {
        let round = AssertUnwindSafe(async { work(owner).await });
        // The hook for panics has named the fault already, and the next round may be spared it.
        if round.catch_unwind().await.is_err() {
            tracing::error!("shared_database_work_broken_off");
        }
    }
}

/// The owner of the work after a pause; `None` where it is gone.
async fn after<T>(pause: Duration, owner: &Weak<T>) -> Option<Arc<T>> {
    sleep(pause).await;
    owner.upgrade()
}

fn store_of(shared: Arc<Shared>) -> PostgresStore {
    PostgresStore(shared, Deadline::default())
}

/// Finds commits of other nodes.
async fn wake_readers(shared: Arc<Shared>, latest: Arc<Mutex<Option<ChangeCursor>>>) {
    let store = store_of(shared);
    if store.0.wake.somebody_waits()
        && let Ok(cursor) = store.latest_cursor().await
    {
        let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref() != Some(&cursor) {
            *latest = Some(cursor);
            store.0.wake.commits();
        }
    }
}

async fn knock(shared: Arc<Shared>) {
    shared.connections.knock().await;
}

/// Finds out whether writes work again.
async fn try_a_write(shared: Arc<Shared>) {
    if shared.condition.writes.get() != WriteHealth::Accepting {
        let store = store_of(shared);
        // Its outcome is the condition.
        let _ = store.touch(0, store.deadline()).await;
    }
}

async fn look_for_held_back(shared: Arc<Shared>) {
    if let Err(error) = store_of(shared).look_for_held_back().await {
        tracing::debug!(%error, "database_not_looked_at");
    }
}

async fn keep_house(shared: Arc<Shared>) {
    if let Err(error) = recount_and_forget(&store_of(shared)).await {
        tracing::debug!(%error, "database_not_tidied");
    }
}

async fn recount_and_forget(store: &PostgresStore) -> Result<(), PostgresError> {
    store.recount().await?;
    let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
    let before = super::now().as_micros().saturating_sub(kept);
    store.forget(Timestamp::from_micros(before)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{sync::Semaphore, task::yield_now};

    use super::*;

    #[derive(Debug)]
    struct Seen {
        running: AtomicUsize,
        most: AtomicUsize,
        rounds: Semaphore,
    }

    /// Work that takes longer than its pause.
    async fn long_work(seen: Arc<Seen>) {
        let running = seen.running.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most.fetch_max(running, Ordering::Relaxed);
        for _ in 0..10 {
            yield_now().await;
        }
        seen.running.fetch_sub(1, Ordering::Relaxed);
        seen.rounds.add_permits(1);
    }

    #[tokio::test]
    async fn work_does_not_meet_itself_and_ends_with_its_owner() {
        let seen = Arc::new(Seen {
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            rounds: Semaphore::new(0),
        });
        let work = tokio::spawn(again(Duration::ZERO, Arc::downgrade(&seen), long_work));
        drop(seen.rounds.acquire_many(5).await.unwrap());
        assert_eq!(seen.most.load(Ordering::Relaxed), 1);
        drop(seen);
        work.await.unwrap();
    }

    #[tokio::test]
    async fn work_that_panics_is_done_again() {
        let rounds = Arc::new(Semaphore::new(0));
        let breaks_off_once = |rounds: Arc<Semaphore>| async move {
            rounds.add_permits(1);
            assert!(rounds.available_permits() > 1, "the first round");
        };
        let owner = Arc::downgrade(&rounds);
        let mut work = tokio::spawn(again(Duration::ZERO, owner, breaks_off_once));
        tokio::select! {
            more = rounds.acquire_many(3) => drop(more.unwrap()),
            ended = &mut work => panic!("{ended:?}"),
        }
        drop(rounds);
        work.await.unwrap();
    }
}
