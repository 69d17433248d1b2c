//! What a row writes: opened, judged and sealed as in a request of its own.

use std::sync::Arc;

use super::{
    Work, WorkRoom,
    look::Standing,
    task::{Done, Kind, Outcome},
};
use crate::{
    api::{
        answer::error::{ApiError, Unanswered},
        extract::{
            auth::Caller,
            rows::{NewText, Operation, Verb},
        },
        sealing::{open, seal, seal_unbound},
    },
    budget::Budgets,
    cluster::{Expected, NewValue, Write},
    domain::Row,
    entries::{Error, RetryBudget},
    store::Atomicity,
};

/// How far a row is.
pub(super) enum Step {
    /// It is to be committed here.
    Write(Write, Kind),
    /// It is done, at another node.
    Done(Done),
    /// What was found is not there any more: it must be looked at again.
    Again,
}

impl Work<'_> {
    /// Prepares a row for its commit. The name of a create was looked at already, or is by the writer, unless this is `again`.
    pub(super) async fn prepare(
        &self,
        caller: &Caller<'_>,
        operation: &Operation,
        again: bool,
        room: &mut WorkRoom,
    ) -> Result<Step, ApiError> {
        let most = Budgets::largest_value(self.node.budgets.plan());
        let length = operation.stored();
        if length > most {
            return Err(ApiError::ValueTooLarge { length, most });
        }
        room.hold(&self.node.budgets.values).await?;
        let standing = if operation.verb == Verb::Create && !again {
            Standing::Free(Expected::NothingLive)
        } else {
            self.look_within(operation, room).await?
        };
        let step = self.change(caller, operation, standing).await;
        room.release();
        step
    }

    async fn change(
        &self,
        caller: &Caller<'_>,
        operation: &Operation,
        standing: Standing,
    ) -> Result<Step, ApiError> {
        let live = standing.live();
        if let Some(row) = live {
            open(self.node, caller, row).await?;
        }
        if let Standing::Found(found) = &standing
            && !self.permit(operation, found).await?
        {
            return Ok(Step::Again);
        }
        let elsewhere = live.and_then(|row| self.session.home_elsewhere(row));
        if let Some(name) = elsewhere.clone()
            && self.atomicity == Atomicity::All
        {
            let identity = operation.identity.clone();
            return Err(Error::OfAnotherNode { identity, name }.into());
        }
        let put = match &operation.put {
            Some(text) => Some(self.seal(caller, operation, text, live).await?),
            None => None,
        };
        let kind = match (&put, live) {
            (None, _) => Kind::Deleted,
            (Some(_), Some(_)) => Kind::Updated,
            (Some(_), None) => Kind::Created,
        };
        if kind == Kind::Created {
            caller.creates(self.node);
        }
        if let Some(row) = live
            && elsewhere.is_some()
        {
            let written = self.session().commit_over(row, put, self.terms).await?;
            return Ok(match written {
                Some(written) => Step::Done(Done { kind, written }),
                None => Step::Again,
            });
        }
        let write = Write {
            identity: operation.identity.clone(),
            seen: standing.seen(),
            named: self.terms.named,
            change: put.into(),
        };
        Ok(Step::Write(write, kind))
    }

    async fn seal(
        &self,
        caller: &Caller<'_>,
        operation: &Operation,
        text: &NewText,
        live: Option<&Arc<Row>>,
    ) -> Result<NewValue, ApiError> {
        let kept = live.and_then(|row| row.category.as_ref());
        let category = text.category.as_ref().or(kept).cloned();
        let key = &caller.derivation.key;
        let (token, seal) = if self.session.keeps_seals(live.map(|row| &**row)) {
            let (token, seal) = seal(self.node, key, &operation.identity, &text.value).await?;
            (token, Some(seal))
        } else {
            (seal_unbound(self.node, key, &text.value).await?, None)
        };
        Ok(NewValue {
            category,
            token,
            seal,
        })
    }

    /// Does a row by itself: what it saw changed while it was to be committed with others.
    pub(super) async fn write_alone(
        &self,
        caller: &Caller<'_>,
        operation: &Operation,
        room: &mut WorkRoom,
    ) -> Outcome {
        let (session, mut attempts) = (self.session(), RetryBudget::default());
        loop {
            attempts.again(&session)?;
            match self.prepare(caller, operation, true, room).await? {
                Step::Done(done) => return Ok(done),
                Step::Again => {}
                Step::Write(write, kind) => {
                    let Write {
                        identity,
                        seen,
                        change,
                        ..
                    } = write;
                    let commit = session.commit(&identity, seen, change, self.terms);
                    if let Some(written) = commit.await? {
                        self.answered(Unanswered::Write);
                        return Ok(Done { kind, written });
                    }
                }
            }
        }
    }
}
