//! A store of entries in memory, and the ways in which it can break its promises.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Write, Written},
    domain::{Category, Clock, Content, Identity, Incarnation, Row, Timestamp, Version},
    store::{
        Atomicity, ChangeCursor, Changes, ConflictPage, EntrySnapshot, EntryStore, GatheredRows,
        ListedEntry, LostVersion, Reach, ReadError, Scanned, Selection, WriteError, WriteHealth,
    },
};
use tokio::sync::Notify;

use crate::subject::Subject;

/// Microseconds between two changes: the resolution of the clock.
const A_TICK: i64 = 1000;

/// How a store breaks a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    CreatesOverLiveEntries,
    WritesOverAnyVersion,
    EveryWriteIsACreation,
    ForgetsDeletesAtOnce,
    VersionsBeginAnew,
    WakesNobody,
    LosesTheLatestWrite,
    ListsByAge,
    PagesOverlap,
    ListsEverything,
    ListsWhatIsWrittenMeanwhile,
    ChangesByName,
    ChangesWithoutDeletes,
    ChangesFromTheBeginning,
    ChangesSkipWhatDoesNotFit,
    TakesAnyCursor,
    ConflictsByAge,
    SaysItIsFull,
    CountsTombstones,
    ConfirmsNothing,
    KeepsHalfOfABatch,
    EndsABatchAtARefusal,
}

#[derive(Debug, Clone)]
pub(crate) struct Memory {
    fault: Fault,
    state: Arc<Mutex<State>>,
    more: Arc<Notify>,
}

/// The content of the store.
#[derive(Debug, Clone, Default)]
struct State {
    /// Differs from that of every other store.
    life: usize,
    /// The rows, each with the number of its last change.
    rows: BTreeMap<Identity, (i64, Row)>,
    /// The number of the latest change, and the time in ticks.
    latest: i64,
    /// The number of the latest delete that is forgotten.
    forgotten: i64,
    conflicts: Vec<Row>,
}

impl Memory {
    pub(crate) fn with(fault: Fault) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let memory = Self {
            fault,
            state,
            more: Arc::default(),
        };
        // No two states have the same address while both exist.
        memory.state().life = Arc::as_ptr(&memory.state).addr();
        memory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn is_still_so(&self, seen: Expected, stored: Option<&Row>) -> bool {
        match seen {
            Expected::Nothing => stored.is_none(),
            Expected::NothingLive => {
                stored.is_none_or(Row::is_tombstone) || self.has(Fault::CreatesOverLiveEntries)
            }
            Expected::Version(version) | Expected::Lost(version) => {
                stored.is_some_and(|row| row.version == version)
                    || self.has(Fault::WritesOverAnyVersion)
            }
        }
    }

    fn cursor(life: usize, seq: i64) -> ChangeCursor {
        ChangeCursor::new(format!("{life}-{seq}"))
    }

    /// The number that a cursor stands for; `None` where the reader must begin again.
    fn place(&self, state: &State, cursor: &ChangeCursor) -> Option<i64> {
        let place = || {
            let (life, seq) = cursor.as_str().split_once('-')?;
            let seq: i64 = seq.parse().ok()?;
            let is_known = (state.forgotten..=state.latest).contains(&seq);
            (life == state.life.to_string() && is_known).then_some(seq)
        };
        if self.has(Fault::TakesAnyCursor) || self.has(Fault::ChangesFromTheBeginning) {
            return Some(place().unwrap_or_default());
        }
        place()
    }

    /// Makes a write in a state of the store.
    fn make(&self, state: &mut State, write: Write) -> Result<Written, WriteError> {
        let stored = state.rows.get(&write.identity).map(|(_, row)| row.clone());
        if !self.is_still_so(write.seen, stored.as_ref()) {
            return Err(WriteError::Changed);
        }
        state.latest += 1;
        let now = Timestamp::from_micros(state.latest * A_TICK);
        let replaced = stored.as_ref().map(|row| row.version.clock);
        let clock = if self.has(Fault::VersionsBeginAnew) {
            replaced.unwrap_or_default().next()
        } else {
            Clock::at(now).max(write.named.unwrap_or_default().next())
        };
        let version = Version {
            clock,
            incarnation: Incarnation::from_raw(1),
        };
        let live = stored.filter(|row| !row.is_tombstone());
        let (category, token, seal, born) = match write.change {
            Change::Put {
                category,
                token,
                seal,
            } => (category, Some(token), seal, now),
            Change::Bring {
                category,
                token,
                seal,
                created_at,
            } => (category, Some(token), seal, created_at),
            Change::Delete => (None, None, None, now),
            Change::Adopt { .. } => return Err(WriteError::NotServing("it has all values")),
        };
        let created_at = live
            .filter(|_| !self.has(Fault::EveryWriteIsACreation))
            .map_or(born, |row| row.created_at);
        let row = Row {
            identity: write.identity.clone(),
            category,
            content: token.map(Content::Token),
            created_at,
            updated_at: now,
            version,
            clocks: [(version.incarnation, version.clock)].into(),
            extra: seal.map(|seal| seal.into_extra(None)),
        };
        if row.is_tombstone() && self.has(Fault::ForgetsDeletesAtOnce) {
            state.rows.remove(&write.identity);
        } else {
            let seq = state.latest;
            state.rows.insert(write.identity, (seq, row));
        }
        Ok(Written {
            version,
            created_at,
            updated_at: now,
            held_by: 1,
            wanted: 1,
        })
    }
}

impl EntryStore for Memory {
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<Row>>, ReadError> {
        let row = self.find_unread(identity).await?;
        Ok(row.map(Arc::new))
    }

    async fn find_unread(&self, identity: &Identity) -> Result<Option<Row>, ReadError> {
        let state = self.state();
        Ok(state.rows.get(identity).map(|(_, row)| row.clone()))
    }

    async fn commit(&self, write: Write, _: AckLevel) -> Result<Written, WriteError> {
        let written = self.make(&mut self.state(), write)?;
        self.more.notify_waiters();
        Ok(written)
    }

    async fn commit_batch(
        &self,
        writes: Vec<Write>,
        _: AckLevel,
        atomicity: Atomicity,
    ) -> Vec<Result<Written, WriteError>> {
        let mut state = self.state();
        let before = state.clone();
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut refused = false;
        for write in writes {
            let outcome = if refused && self.has(Fault::EndsABatchAtARefusal) {
                Err(WriteError::Changed)
            } else {
                self.make(&mut state, write)
            };
            refused |= outcome.is_err();
            outcomes.push(outcome);
        }
        if refused && atomicity == Atomicity::All {
            if !self.has(Fault::KeepsHalfOfABatch) {
                *state = before;
            }
            for outcome in &mut outcomes {
                if outcome.is_ok() {
                    *outcome = Err(WriteError::OthersRefused);
                }
            }
        }
        drop(state);
        self.more.notify_waiters();
        outcomes
    }

    async fn confirm(&self, _: &Identity, _: Option<Version>) -> Result<bool, ReadError> {
        Ok(!self.has(Fault::ConfirmsNothing))
    }

    async fn list<T, F>(&self, _: Duration, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn EntrySnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        let moment = Moment {
            store: self.clone(),
            state: self.state().clone(),
        };
        read(&moment)
    }

    async fn latest_change(&self) -> Result<ChangeCursor, ReadError> {
        let state = self.state();
        Ok(Self::cursor(state.life, state.latest))
    }

    async fn changes(&self, after: &ChangeCursor, most: usize) -> Result<Changes, ReadError> {
        let state = self.state();
        let Some(place) = self.place(&state, after) else {
            return Ok(Changes::BeginAgain);
        };
        let place = if self.has(Fault::ChangesFromTheBeginning) {
            0
        } else {
            place
        };
        let mut changed: Vec<_> = state
            .rows
            .values()
            .filter(|(seq, _)| *seq > place)
            .collect();
        if !self.has(Fault::ChangesByName) {
            changed.sort_by_key(|(seq, _)| *seq);
        }
        let is_all = changed.len() <= most || self.has(Fault::ChangesSkipWhatDoesNotFit);
        changed.truncate(most);
        let next = match changed.last() {
            Some((seq, _)) if !is_all => *seq,
            _ => state.latest,
        };
        let told = |row: &Row| !(row.is_tombstone() && self.has(Fault::ChangesWithoutDeletes));
        let rows = changed.into_iter().map(|(_, row)| row.clone());
        Ok(Changes::Since {
            rows: rows.filter(told).collect(),
            next: Self::cursor(state.life, next),
        })
    }

    fn next_commit(&self) -> impl Future<Output = ()> + Send + use<> {
        let more = if self.has(Fault::WakesNobody) {
            Arc::default()
        } else {
            Arc::clone(&self.more)
        };
        more.notified_owned()
    }

    async fn conflicts(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ConflictPage, ReadError> {
        let state = self.state();
        let numbered = (1..).zip(&state.conflicts);
        let mut left: Vec<(i64, &Row)> = numbered
            .filter(|(n, _)| before.is_none_or(|before| *n < before))
            .collect();
        if !self.has(Fault::ConflictsByAge) {
            left.reverse();
        }
        let is_all = left.len() <= limit;
        left.truncate(limit);
        Ok(ConflictPage {
            next: left.last().filter(|_| !is_all).map(|(n, _)| *n),
            rows: left.into_iter().map(|(_, row)| lost(row)).collect(),
        })
    }

    async fn probe(&self) -> Result<(), ReadError> {
        Ok(())
    }

    fn write_health(&self) -> WriteHealth {
        if self.has(Fault::SaysItIsFull) {
            return WriteHealth::DiskFull;
        }
        WriteHealth::Accepting
    }

    fn live_entries(&self) -> u64 {
        let state = self.state();
        let counts = |row: &Row| !row.is_tombstone() || self.has(Fault::CountsTombstones);
        let live = state.rows.values().filter(|(_, row)| counts(row));
        u64::try_from(live.count()).unwrap()
    }
}

/// A store as it was when a list began.
struct Moment {
    store: Memory,
    state: State,
}

impl Moment {
    /// The rows of the wanted environment behind the wanted place, in the order of a list.
    fn after(&self, selection: &Selection) -> Vec<Row> {
        let state = if self.store.has(Fault::ListsWhatIsWrittenMeanwhile) {
            self.store.state().clone()
        } else {
            self.state.clone()
        };
        let mut rows: Vec<_> = state.rows.into_values().collect();
        if self.store.has(Fault::ListsByAge) {
            rows.sort_by_key(|(seq, _)| *seq);
        }
        let is_after = |row: &Row| match &selection.after {
            None => true,
            Some(after) if self.store.has(Fault::PagesOverlap) => names(row) >= *after,
            Some(after) => names(row) > *after,
        };
        let wanted = selection.environment.as_deref();
        let rows = rows.into_iter().map(|(_, row)| row).filter(|row| {
            self.store.has(Fault::ListsEverything)
                || wanted.is_none_or(|wanted| row.identity.environment.as_str() == wanted)
        });
        rows.filter(is_after).collect()
    }

    fn is_wanted(&self, row: &Row, selection: &Selection) -> bool {
        let category = row.category.as_ref().map(Category::as_str);
        let is_of_it = selection.category.is_none() || selection.category.as_deref() == category;
        !row.is_tombstone() && (is_of_it || self.store.has(Fault::ListsEverything))
    }
}

fn lost(row: &Row) -> LostVersion {
    LostVersion {
        row: row.clone(),
        hash: row.hash(),
    }
}

fn names(row: &Row) -> (String, String) {
    let Identity { environment, key } = &row.identity;
    (environment.as_str().to_owned(), key.as_str().to_owned())
}

impl EntrySnapshot for Moment {
    fn scan(
        &self,
        selection: &Selection,
        reach: Reach,
        visit: &mut dyn FnMut(ListedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Scanned, ReadError> {
        let mut scanned = Scanned::default();
        for row in self.after(selection) {
            if scanned.stopped_at.is_some() {
                return Ok(scanned);
            }
            scanned.looked_at += 1;
            if self.is_wanted(&row, selection)
                && let Some(entry) = ListedEntry::of(&row)
                && visit(entry).is_break()
            {
                return Ok(scanned);
            }
            if scanned.looked_at >= reach.rows || Instant::now() >= reach.until {
                scanned.stopped_at = Some(names(&row));
            }
        }
        scanned.stopped_at = None;
        Ok(scanned)
    }

    fn rows(&self, selection: &Selection, reach: Reach) -> Result<(Vec<Row>, Scanned), ReadError> {
        let mut gathered = GatheredRows::default();
        let scanned = self.scan(selection, reach, &mut |entry| {
            let name = Identity::of(entry.environment, entry.key);
            let row = name.and_then(|name| self.state.rows.get(&name));
            row.map_or(ControlFlow::Continue(()), |(_, row)| {
                gathered.take(row.clone())
            })
        })?;
        Ok(gathered.end(scanned))
    }
}

impl Subject for Memory {
    type Store = Self;

    fn store(&self) -> &Self {
        self
    }

    async fn another(&self) -> Self {
        Self::with(self.fault)
    }

    async fn restart(&mut self) {
        if self.has(Fault::LosesTheLatestWrite) {
            let mut state = self.state();
            let latest = state.latest;
            state.rows.retain(|_, (seq, _)| *seq < latest);
        }
    }

    async fn forget_deletes(&mut self) {
        let mut state = self.state();
        let deletes = state.rows.values().filter(|(_, row)| row.is_tombstone());
        let latest = deletes.map(|(seq, _)| *seq).max();
        state.forgotten = state.forgotten.max(latest.unwrap_or_default());
        state.rows.retain(|_, (_, row)| !row.is_tombstone());
    }

    async fn set_aside(&mut self, losers: Vec<Row>) {
        self.state().conflicts.extend(losers);
    }
}
