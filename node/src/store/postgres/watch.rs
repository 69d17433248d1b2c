//! The background work of a store. Each kind has a task of its own, which begins anew when the one before has ended: none waits for
//! another kind, and none meets itself.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::sleep;

use super::{PostgresError, PostgresStore, Shared};
use crate::{
    domain::Timestamp,
    store::{Deadline, WriteHealth},
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
    tokio::spawn(wake_readers(store()));
    tokio::spawn(again(CLOSE, store(), close_retired));
    tokio::spawn(again(TRY, store(), try_a_write));
    tokio::spawn(again(KNOCK, store(), knock));
    tokio::spawn(again(HELD_BACK, store(), look_for_held_back));
    tokio::spawn(again(COUNT, store(), keep_house));
}

/// Does work again and again, as long as there is a store: each time so long after the time before has ended.
async fn again<W, F>(pause: Duration, store: Weak<Shared>, work: W)
where
    W: Fn(PostgresStore) -> F,
    F: Future<Output = ()>,
{
    while let Some(store) = after(pause, &store).await {
        work(store).await;
    }
}

/// The store after a pause; `None` where it is gone.
async fn after(pause: Duration, store: &Weak<Shared>) -> Option<PostgresStore> {
    sleep(pause).await;
    let shared = store.upgrade()?;
    Some(PostgresStore(shared, Deadline::default()))
}

/// Finds commits of other nodes.
async fn wake_readers(store: Weak<Shared>) {
    let mut latest = None;
    while let Some(store) = after(LOOK, &store).await {
        if store.0.wake.somebody_waits()
            && let Ok(cursor) = store.latest_cursor().await
            && latest.as_ref() != Some(&cursor)
        {
            latest = Some(cursor);
            store.0.wake.commits();
        }
    }
}

async fn close_retired(store: PostgresStore) {
    store.0.connections.close_retired();
}

async fn knock(store: PostgresStore) {
    store.0.connections.knock().await;
}

/// Finds out whether writes work again.
async fn try_a_write(store: PostgresStore) {
    if store.0.condition.writes.get() != WriteHealth::Accepting {
        // Its outcome is the condition.
        let _ = store.touch(0, store.deadline()).await;
    }
}

async fn look_for_held_back(store: PostgresStore) {
    if let Err(error) = store.look_for_held_back().await {
        tracing::debug!(%error, "database_not_looked_at");
    }
}

async fn keep_house(store: PostgresStore) {
    if let Err(error) = recount_and_forget(&store).await {
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
