//! The background work of a store: finds commits of other nodes, probes whether writes work again, counts entries.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{PostgresError, PostgresStore, Shared};
use crate::{domain::Timestamp, store::WriteHealth};

/// How often the database is queried while a caller waits for a commit.
const LOOK: Duration = Duration::from_millis(200);
/// How often a write is tried while writes fail, and connections are closed that have served long enough.
const TRY: Duration = Duration::from_secs(1);
/// How often the store probes whether the server accepts new connections.
const KNOCK: Duration = Duration::from_secs(5);
/// How often it is looked for changes that no reader is given.
const HELD_BACK: Duration = Duration::from_secs(5);
/// How often entries are counted, and old deletes and changes are forgotten.
const COUNT: Duration = Duration::from_mins(1);
/// How long deletes and changes are kept for their readers.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Goes on until the last clone of the store is gone.
pub(super) async fn watch(store: Weak<Shared>) {
    let mut latest = None;
    let (mut next_try, mut next_count) = (Instant::now() + TRY, Instant::now() + COUNT);
    let mut next_held_back = Instant::now();
    let mut next_knock = Instant::now() + KNOCK;
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = store.upgrade() else {
            return;
        };
        let store = PostgresStore(Arc::clone(&shared));
        if shared.wake.somebody_waits()
            && let Ok(cursor) = store.latest_cursor().await
            && latest.as_ref() != Some(&cursor)
        {
            latest = Some(cursor);
            shared.wake.commits();
        }
        let now = Instant::now();
        if now >= next_try {
            next_try = now + TRY;
            shared.connections.close_retired();
            if shared.condition.writes.get() != WriteHealth::Accepting {
                // Its outcome is the condition.
                let _ = store.touch(0, store.deadline()).await;
            }
        }
        if now >= next_knock {
            next_knock = now + KNOCK;
            shared.connections.knock().await;
            shared.connections.close_retired();
        }
        if now >= next_held_back {
            next_held_back = now + HELD_BACK;
            if let Err(error) = store.look_for_held_back().await {
                tracing::debug!(%error, "database_not_looked_at");
            }
        }
        if now >= next_count {
            next_count = now + COUNT;
            // The task may take a few seconds, and ends long before the next one: callers do not wait for it.
            tokio::spawn(keep_house(store));
        }
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
