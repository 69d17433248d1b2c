//! Lists: many entries of one state of the database, fetched a few at a time, so that no list is in memory as a whole.

use std::{future::Future, ops::ControlFlow, time::Duration};

use deadpool_postgres::{Client, Transaction};
use futures::join;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_postgres::{IsolationLevel, types::ToSql};

use super::{
    PostgresError, PostgresStore,
    columns::{self, withheld, withholding},
    large_rows::LargeRows,
    timeline::{LatestTimeline, TIMELINE},
};
use crate::{
    domain::{Category, Row},
    log::logged_name,
    os::worker_threads::{Lost, WorkerKind, WorkerThreads},
    store::{
        EntrySnapshot, GatheredRows, ListedEntry, Reach, ReadError, Scanned, Selection,
        VISITOR_STACK,
    },
};

/// Rows of the first fetch. The next one gets as many as fit into about a megabyte, by the size of the earlier ones, and at most
/// a multiple of their number: a page ends soon.
const FIRST_FETCH: i32 = 16;
const GROWTH: usize = 8;
const MOST_OF_A_FETCH: usize = 1024;
pub(super) const FETCH_BYTES: usize = 1 << 20;
/// Larger tokens, in bytes, do not come with their rows: the size of earlier rows says nothing of them. So a fetch has 8 MiB of
/// tokens at most.
const SMALL_TOKEN: usize = 8 << 10;

/// The threads in which lists are read. Each list has a connection while it is read.
#[derive(Debug)]
pub(super) struct ListThreads(WorkerThreads<()>);

impl ListThreads {
    pub(super) fn start(count: usize) -> Result<Self, PostgresError> {
        let kind = WorkerKind {
            name: "list",
            stack: VISITOR_STACK,
            nicer: 0,
        };
        WorkerThreads::start(kind, vec![(); count.max(1)])
            .map(Self)
            .map_err(PostgresError::Threads)
    }
}

impl PostgresStore {
    pub(super) async fn read_list<T, F>(&self, limit: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        self.identity()?;
        let timeout = self.0.settings.timeout;
        let latest = Instant::now() + limit.max(timeout);
        let turn = tokio::time::timeout(limit, self.0.lists.0.turn());
        let turn = turn
            .await
            .map_err(|_| ReadError::Busy)?
            .map_err(|Lost| ReadError::Ended)?;
        // The deadline includes the wait for the turn.
        let deadline = latest.min(Instant::now() + timeout);
        let (store, runtime) = (self.clone(), Handle::current());
        let work = turn.work(move |()| {
            let _context = runtime.enter();
            store.read_state(&runtime, deadline, read)
        });
        work.await.map_err(|Lost| ReadError::Ended)?
    }

    /// Reads one state of the database, in a thread that may block. It begins before the deadline, or the read fails.
    fn read_state<T, F>(&self, runtime: &Handle, deadline: Instant, read: F) -> Result<T, ReadError>
    where
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError>,
    {
        let timeout = self.0.settings.timeout;
        let mut connection = until(runtime, deadline, self.0.connections.reads.get())?;
        connection.begin();
        let client = connection.client_mut()?;
        let timeline = &self.0.connections.timeline;
        let transaction = until(runtime, deadline, begin(client, timeout, timeline))?;
        let (result, is_over) = read_with(transaction, runtime, timeout, read);
        if is_over {
            connection.end();
        }
        result
    }
}

/// The reader's result on one state of the database, and whether the connection is free for others again.
fn read_with<T, F>(
    transaction: Transaction<'_>,
    runtime: &Handle,
    timeout: Duration,
    read: F,
) -> (Result<T, ReadError>, bool)
where
    F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError>,
{
    let snapshot = Snapshot {
        transaction,
        runtime,
        timeout,
    };
    let result = read(&snapshot);
    let Snapshot { transaction, .. } = snapshot;
    // The node sends nothing more to a server that does not answer.
    let is_there = !matches!(result, Err(ReadError::Away(_)));
    let is_over =
        is_there && within(runtime, timeout, async { Ok(transaction.commit().await?) }).is_ok();
    (result, is_over)
}

/// A transaction that sees one state of the database.
async fn begin<'c>(
    client: &'c mut Client,
    timeout: Duration,
    timeline: &LatestTimeline,
) -> Result<Transaction<'c>, PostgresError> {
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    // A page is read in the order of its names from its place on, whatever the planner expects of the whole table.
    let terms = format!(
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL statement_timeout = {}",
        timeout.as_millis()
    );
    let asked = transaction
        .prepare_cached(&format!("SELECT {TIMELINE}"))
        .await?;
    // Sent together: one round trip to the server.
    let (limited, told) = join!(
        transaction.batch_execute(&terms),
        transaction.query_one(&asked, &[]),
    );
    limited?;
    timeline.accept(told?.try_get(0)?)?;
    Ok(transaction)
}

/// Waits for the database, in a thread that may block.
fn within<T>(
    runtime: &Handle,
    timeout: Duration,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    until(runtime, Instant::now() + timeout, work)
}

/// The same until a deadline.
fn until<T>(
    runtime: &Handle,
    deadline: Instant,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    runtime.block_on(async {
        timeout_at(deadline, work)
            .await
            .map_err(|_| PostgresError::Slow)?
            .map_err(PostgresError::of_store)
    })
}

struct Snapshot<'s> {
    transaction: Transaction<'s>,
    runtime: &'s Handle,
    timeout: Duration,
}

impl Snapshot<'_> {
    /// Visits the selected rows as long as the visitor goes on.
    fn each(
        &self,
        selection: &Selection,
        reach: Reach,
        visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<Scanned, ReadError> {
        let rows_and_one = i64::try_from(reach.rows.saturating_add(1)).unwrap_or(i64::MAX);
        let environment = selection.environment.as_deref().map(str::as_bytes);
        let after = selection.after.as_ref();
        let (after_environment, after_key) = after.map_or((&b""[..], &b""[..]), |(place, key)| {
            (place.as_bytes(), key.as_bytes())
        });
        // No key is empty, so without a last key every row comes.
        let place = match environment {
            Some(_) => "environment = $1 AND (environment, key) > ($2, $3)",
            None => "$1::bytea IS NULL AND (environment, key) > ($2, $3)",
        };
        let sql = format!(
            "SELECT {} FROM opensecureconf.entries AS e WHERE {place} ORDER BY environment, key LIMIT $4",
            withholding(SMALL_TOKEN)
        );
        let portal = within(self.runtime, self.timeout, async {
            let statement = self.transaction.prepare_cached(&sql).await?;
            let parameters: [&(dyn ToSql + Sync); 4] =
                [&environment, &after_environment, &after_key, &rows_and_one];
            Ok(self.transaction.bind(&statement, &parameters).await?)
        })?;
        let (mut scanned, mut fetch) = (Scanned::default(), FIRST_FETCH);
        let mut bytes = 0_usize;
        loop {
            let fetched = within(self.runtime, self.timeout, async {
                Ok(self.transaction.query_portal(&portal, fetch).await?)
            })?;
            let is_last = i32::try_from(fetched.len()).is_ok_and(|fetched| fetched < fetch);
            let mut large = LargeRows::of(&fetched, SMALL_TOKEN)?;
            for found in &fetched {
                if scanned.stopped_at.is_some() {
                    return Ok(scanned);
                }
                let size = withheld(found, 0, SMALL_TOKEN)?;
                let whole = match size {
                    None => None,
                    Some(_) => Some(within(
                        self.runtime,
                        self.timeout,
                        large.next(&self.transaction),
                    )?),
                };
                let (row, name) = match columns::read(whole.as_ref().unwrap_or(found), 0) {
                    Ok(None) => continue,
                    Ok(Some(row)) => {
                        let name = (
                            row.identity.environment.as_str().to_owned(),
                            row.identity.key.as_str().to_owned(),
                        );
                        (Some(row), name)
                    }
                    // The list shows the other entries all the same; a read of this entry by name reports the damage.
                    Err(PostgresError::Damaged {
                        key,
                        environment,
                        what,
                    }) => {
                        tracing::error!(
                            key = %logged_name(&key),
                            environment = %logged_name(&environment),
                            what,
                            "damaged_entry_not_listed"
                        );
                        (None, (environment, key))
                    }
                    Err(error) => return Err(error.into()),
                };
                scanned.looked_at += 1;
                if let Some(row) = row {
                    let length = row.content.as_ref().map_or(0, |it| it.as_str().len());
                    bytes = bytes.saturating_add(if size.is_none() { length } else { 0 });
                    if is_wanted(&row, selection) && visit(row).is_break() {
                        return Ok(scanned);
                    }
                }
                if scanned.looked_at >= reach.rows || std::time::Instant::now() >= reach.until {
                    scanned.stopped_at = Some(name);
                }
            }
            if is_last {
                scanned.stopped_at = None;
                return Ok(scanned);
            }
            fetch = next_fetch(bytes, scanned.looked_at);
        }
    }
}

/// The number of rows in about a megabyte, by the rows so far.
fn next_fetch(bytes: usize, rows: usize) -> i32 {
    let each = (bytes / rows.max(1)).max(1);
    let most = rows.saturating_mul(GROWTH).clamp(GROWTH, MOST_OF_A_FETCH);
    i32::try_from((FETCH_BYTES / each).clamp(1, most)).unwrap_or(FIRST_FETCH)
}

fn is_wanted(row: &Row, selection: &Selection) -> bool {
    let category = row.category.as_ref().map(Category::as_str);
    let is_of_it = selection.category.is_none() || selection.category.as_deref() == category;
    !row.is_tombstone() && is_of_it
}

impl EntrySnapshot for Snapshot<'_> {
    fn scan(
        &self,
        selection: &Selection,
        reach: Reach,
        visit: &mut dyn FnMut(ListedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Scanned, ReadError> {
        self.each(selection, reach, &mut |row| {
            ListedEntry::of(&row).map_or(ControlFlow::Continue(()), &mut *visit)
        })
    }

    fn rows(&self, selection: &Selection, reach: Reach) -> Result<(Vec<Row>, Scanned), ReadError> {
        let mut gathered = GatheredRows::default();
        let scanned = self.each(selection, reach, &mut |row| gathered.take(row))?;
        Ok(gathered.end(scanned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_about_a_megabyte_whatever_a_row_has() {
        assert_eq!(next_fetch(0, 128), 1024);
        assert_eq!(next_fetch(16 << 20, 16), 1);
        assert_eq!(next_fetch(16 << 14, 16), 64);
        assert_eq!(next_fetch(usize::MAX, 1), 1);
    }

    #[test]
    fn a_fetch_grows_with_what_a_list_has_seen() {
        assert_eq!(next_fetch(0, 0), 8);
        assert_eq!(next_fetch(16 * 200, 16), 128);
        assert_eq!(next_fetch(144 * 200, 144), 1024);
    }
}
