//! What stands where a row goes, and what is refused whatever the user key opens.

use std::sync::Arc;

use super::{Work, WorkRoom, task::Task};
use crate::{
    api::{
        answer::error::{ApiError, Unanswered},
        extract::{
            auth::CallerKey,
            rows::{Operation, Verb},
        },
        large_values::LARGE_TOKEN,
        sealing::token_of,
    },
    cluster::Expected,
    domain::Row,
    entries::{Found, Purpose},
    store::Atomicity,
};

/// What stands where a row goes.
pub(super) enum Standing {
    /// A name that is free.
    Free(Expected),
    /// What was found of an entry that is to be changed, or that there is none.
    Found(Found),
}

impl Standing {
    /// The live row.
    pub(super) fn live(&self) -> Option<&Arc<Row>> {
        match self {
            Self::Free(_) => None,
            Self::Found(found) => found.live(),
        }
    }

    /// What the commit has to find there still.
    pub(super) fn seen(&self) -> Expected {
        match self {
            Self::Free(seen) => *seen,
            Self::Found(Found::Row(row)) => Expected::of(row.as_deref()),
            Self::Found(Found::Lost(version)) => Expected::Lost(*version),
        }
    }
}

impl Work<'_> {
    /// Refuses the rows that can be refused before the user key is looked at, so that their answers say nothing of it. A row
    /// that is refused refuses all where they belong together.
    pub(super) async fn refuse_what_is_settled(
        &self,
        key: &CallerKey,
        tasks: &mut [Task],
    ) -> Result<(), ApiError> {
        for (place, task) in tasks.iter_mut().enumerate() {
            if let Some(operation) = task.open() {
                // What is changed is looked at in any case, when its turn comes. Of a key that is at work on this connection there
                // is nothing to say, and the writer looks at the name.
                let known = match operation.verb {
                    Verb::Create => key.is_at_work(),
                    Verb::Update | Verb::Upsert | Verb::Delete => key.is_exempt(),
                };
                if !known && let Err(error) = self.look(operation).await {
                    task.outcome = Some(Err(self.heed(error)));
                }
            }
            if self.atomicity == Atomicity::All
                && let Some(Err(error)) = task.outcome.take()
            {
                return Err(of_row(place, error));
            }
        }
        Ok(())
    }

    /// What stands there; refused where nothing can be done to it. As single requests do it.
    async fn look(&self, operation: &Operation) -> Result<Standing, ApiError> {
        let standing = self.look_once(operation).await?;
        self.answered(Unanswered::Read);
        Ok(standing)
    }

    async fn look_once(&self, operation: &Operation) -> Result<Standing, ApiError> {
        let (session, identity) = (self.session(), &operation.identity);
        if operation.verb == Verb::Create {
            return Ok(Standing::Free(session.free_name(identity).await?));
        }
        if !operation.may_create() {
            let changing = Purpose::Changing;
            let row = session.find_live(identity, self.partial, changing).await?;
            return Ok(Standing::Found(Found::Row(Some(row))));
        }
        let found = session.find(identity, self.partial).await?;
        if operation.preconditions.create_only() {
            // Where that changes just now, the commit meets it.
            self.permit(operation, &found).await?;
        }
        Ok(Standing::Found(found))
    }

    /// The same, with room for opening what stands there.
    pub(super) async fn look_within(
        &self,
        operation: &Operation,
        room: &mut WorkRoom,
    ) -> Result<Standing, ApiError> {
        let standing = self.look(operation).await?;
        let large = standing.live().map(|row| token_of(row).len());
        let Some(token) = large.filter(|length| *length > LARGE_TOKEN) else {
            return Ok(standing);
        };
        if room.try_to_open(token) {
            return Ok(standing);
        }
        // Who waits holds nothing.
        drop(standing);
        room.wait_to_open(&self.node.budgets.values, token).await?;
        self.look(operation).await
    }

    /// Refuses a change whose conditions do not hold over what was found; `false` where that is not there any more.
    pub(super) async fn permit(
        &self,
        operation: &Operation,
        found: &Found,
    ) -> Result<bool, ApiError> {
        let live = found.live().map(|row| row.version);
        let Err(refusal) = operation.preconditions.check(live) else {
            return Ok(true);
        };
        let session = self.session();
        let stands = session.confirm(&operation.identity, found.version());
        if stands.await? {
            return Err(ApiError::PreconditionFailed(refusal));
        }
        Ok(false)
    }
}

/// Why a batch is refused of which all rows are written or none.
pub(super) fn of_row(row: usize, error: ApiError) -> ApiError {
    if error.is_not_carried_out() {
        // It is not the row's fault.
        return error;
    }
    ApiError::OfRow {
        row,
        error: Box::new(error),
    }
}
