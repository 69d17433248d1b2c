//! Rows of which all are written or none, in one transaction.

use super::{
    Work, WorkRoom,
    look::of_row,
    prepare::Step,
    task::{Done, Task},
};
use crate::{
    api::{answer::error::ApiError, extract::auth::Caller},
    store::{Atomicity, WriteError},
};

/// How often a batch is tried over entries that others change too.
const ATTEMPTS: usize = 5;

impl Work<'_> {
    /// Writes all rows, or says why none is written.
    pub(super) async fn write_all(
        &self,
        caller: &Caller<'_>,
        tasks: &mut [Task],
        room: &mut WorkRoom,
    ) -> Result<(), ApiError> {
        for attempt in 0..ATTEMPTS {
            let (mut writes, mut kinds) = (Vec::with_capacity(tasks.len()), Vec::new());
            for (place, task) in tasks.iter().enumerate() {
                let Some(operation) = task.open() else {
                    continue;
                };
                let step = self.prepare(caller, operation, attempt > 0, room).await;
                if let Step::Write(write, kind) = step.map_err(|error| of_row(place, error))? {
                    writes.push(write);
                    kinds.push(kind);
                }
            }
            // Where something is not there any more, all is looked at again.
            if writes.len() < tasks.len() {
                continue;
            }
            let level = self.terms.level;
            let session = self.session();
            let commit = session.commit_batch(writes, level, Atomicity::All);
            let outcomes: Vec<_> = commit.await.into_iter().enumerate().collect();
            let refused = outcomes.iter().find_map(|(place, outcome)| match outcome {
                Ok(_) | Err(WriteError::OthersRefused) => None,
                Err(error) => Some((*place, error.clone())),
            });
            match refused {
                None => {
                    let done = outcomes.into_iter().zip(kinds).zip(tasks.iter_mut());
                    for (((_, outcome), kind), task) in done {
                        let outcome = outcome.map(|written| Done { kind, written });
                        task.outcome = Some(outcome.map_err(ApiError::from));
                    }
                    return Ok(());
                }
                Some((_, WriteError::Changed)) => {}
                Some((place, error)) => return Err(of_row(place, error.into())),
            }
        }
        Err(ApiError::ChangedMeanwhile)
    }
}
