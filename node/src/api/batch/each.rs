//! Rows that stand for themselves. They are committed in chunks, each in one transaction; the next chunks are prepared while
//! earlier ones are synced and wait for other nodes. Answers keep the order of the rows.

use std::{collections::VecDeque, pin::pin};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};

use super::{
    Lines, Tally, Work, WorkRoom,
    prepare::Step,
    task::{Done, Kind, Task},
};
use crate::{
    api::{
        answer::{error::Unanswered, streaming::BrokenOff},
        extract::auth::Caller,
    },
    cluster::Write,
    store::{Atomicity, BATCH_ROWS, WriteError},
};

/// Values of a chunk together, in bytes as they are stored, unless it is a single row.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// Chunks of one batch that are committed and not answered at a time.
pub(super) const CHUNKS_UNDER_WAY: usize = 4;
/// Rows that are prepared before other work of the thread has its turn.
const TURN: usize = 16;

/// Rows that are committed together.
#[derive(Default)]
struct Chunk {
    tasks: Vec<Task>,
    writes: Vec<PreparedWrite>,
}

/// The write of the row at this place of its chunk.
struct PreparedWrite {
    place: usize,
    kind: Kind,
    write: Write,
}

/// A chunk after its commit, and the places of those rows that changed meanwhile.
struct Committed {
    tasks: Vec<Task>,
    changed: Vec<usize>,
}

impl Work<'_> {
    /// Does all rows, and sends their lines.
    pub(super) async fn write_each(
        &self,
        caller: &Caller<'_>,
        tasks: Vec<Task>,
        room: &mut WorkRoom,
        lines: &mut Lines,
        tally: &mut Tally,
    ) -> Result<(), BrokenOff> {
        let (mut waiting, mut committed) = (chunks(tasks), VecDeque::new());
        let mut under_way: FuturesOrdered<BoxFuture<'_, Committed>> = FuturesOrdered::new();
        let mut broken_off = None;
        loop {
            if let Some(tasks) = waiting.pop_front() {
                let mut prepare = pin!(self.prepare_chunk(caller, tasks, &mut *room));
                let chunk = loop {
                    // What was prepared before is handed to the writer first.
                    tokio::select! {
                        biased;
                        Some(chunk) = under_way.next(), if !under_way.is_empty() => {
                            committed.push_back(chunk);
                        }
                        chunk = &mut prepare => break chunk,
                    }
                };
                under_way.push_back(self.commit_chunk(chunk).boxed());
            }
            let is_full = waiting.is_empty() || under_way.len() >= CHUNKS_UNDER_WAY;
            if is_full && committed.is_empty() {
                match under_way.next().await {
                    Some(chunk) => committed.push_back(chunk),
                    None => return broken_off.map_or(Ok(()), Err),
                }
            }
            while let Some(mut chunk) = committed.pop_front() {
                if broken_off.is_none() {
                    self.settle(caller, &mut chunk, room).await;
                }
                // Of what is written the log says who wrote it, also where the client is gone.
                for task in &chunk.tasks {
                    self.note(task, tally);
                }
                if broken_off.is_none() {
                    broken_off = lines.send(chunk.tasks).await.err();
                }
                if broken_off.is_some() {
                    waiting.clear();
                }
            }
        }
    }

    async fn prepare_chunk(
        &self,
        caller: &Caller<'_>,
        tasks: Vec<Task>,
        room: &mut WorkRoom,
    ) -> Chunk {
        let mut chunk = Chunk::default();
        for (place, mut task) in tasks.into_iter().enumerate() {
            if let Some(operation) = task.open() {
                let outcome = match self.prepare(caller, operation, false, room).await {
                    Ok(Step::Write(write, kind)) => {
                        chunk.writes.push(PreparedWrite { place, kind, write });
                        None
                    }
                    Ok(Step::Done(done)) => Some(Ok(done)),
                    Ok(Step::Again) => Some(self.write_alone(caller, operation, room).await),
                    Err(error) => Some(Err(error)),
                };
                task.outcome = outcome.map(|outcome| outcome.map_err(|error| self.heed(error)));
            }
            chunk.tasks.push(task);
            if place % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        chunk
    }

    async fn commit_chunk(&self, chunk: Chunk) -> Committed {
        let Chunk { mut tasks, writes } = chunk;
        let mut changed = Vec::new();
        if writes.is_empty() {
            return Committed { tasks, changed };
        }
        let (places, writes): (Vec<_>, Vec<_>) = writes
            .into_iter()
            .map(|PreparedWrite { place, kind, write }| ((place, kind), write))
            .unzip();
        let level = self.terms.level;
        let session = self.session();
        let commit = session.commit_batch(writes, level, Atomicity::Each);
        let outcomes = commit.await;
        if outcomes.iter().any(Result::is_ok) {
            self.answered(Unanswered::Write);
        }
        for ((place, kind), outcome) in places.into_iter().zip(outcomes) {
            if outcome == Err(WriteError::Changed) {
                changed.push(place);
            } else if let Some(task) = tasks.get_mut(place) {
                let outcome = outcome.map(|written| Done { kind, written });
                task.outcome = Some(outcome.map_err(|error| self.heed(error.into())));
            }
        }
        Committed { tasks, changed }
    }

    /// Does those rows by themselves that changed meanwhile.
    async fn settle(&self, caller: &Caller<'_>, chunk: &mut Committed, room: &mut WorkRoom) {
        for place in std::mem::take(&mut chunk.changed) {
            if let Some(task) = chunk.tasks.get_mut(place)
                && let Some(operation) = task.open()
            {
                let outcome = self.write_alone(caller, operation, room).await;
                task.outcome = Some(outcome.map_err(|error| self.heed(error)));
            }
        }
    }
}

/// The rows in chunks of as many as a store commits at once, and of values that are not large together.
fn chunks(tasks: Vec<Task>) -> VecDeque<Vec<Task>> {
    let mut chunks = VecDeque::new();
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for task in tasks {
        let stored = task.stored();
        if !chunk.is_empty() && (chunk.len() == BATCH_ROWS || bytes + stored > CHUNK_BYTES) {
            chunks.push_back(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += stored;
        chunk.push(task);
    }
    if !chunk.is_empty() {
        chunks.push_back(chunk);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::answer::error::ApiError;

    #[test]
    fn a_chunk_has_as_many_rows_as_single_writes_wait_for() {
        let tasks = |number| -> Vec<_> {
            std::iter::repeat_with(|| Task::from(Err(ApiError::UnreadableBody)))
                .take(number)
                .collect()
        };
        let lengths = |number| -> Vec<_> { chunks(tasks(number)).iter().map(Vec::len).collect() };
        assert_eq!(lengths(0), Vec::<usize>::new());
        assert_eq!(lengths(BATCH_ROWS), [BATCH_ROWS]);
        assert_eq!(lengths(BATCH_ROWS * 2 + 1), [BATCH_ROWS, BATCH_ROWS, 1]);
    }
}
