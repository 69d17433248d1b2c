//! A row of a batch, and what became of it.

use axum::http::StatusCode;

use super::{PATH, Work};
use crate::{
    api::{
        answer::error::ApiError,
        entry_events::{created, deleted, updated},
        extract::rows::{Operation, Row, Verb},
        refusal_log::Refused,
    },
    cluster::Written,
    entries::WriteTerms,
    log::AUDIT,
    metrics::Operation as Counted,
    store::Atomicity,
};

/// What a row did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Updated,
    Deleted,
}

/// A change that stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) kind: Kind,
    pub(super) written: Written,
}

impl Done {
    /// The status that a request of its own would have.
    pub(super) fn status(&self, terms: WriteTerms) -> StatusCode {
        let status = match self.kind {
            Kind::Created => StatusCode::CREATED,
            Kind::Updated | Kind::Deleted => StatusCode::OK,
        };
        terms.answer(self.written, status).0
    }
}

pub(super) type Outcome = Result<Done, ApiError>;

/// A row.
#[derive(Debug)]
pub(super) struct Task {
    /// `None` of a row that is no operation.
    pub(super) operation: Option<Operation>,
    /// `None` until it is known.
    pub(super) outcome: Option<Outcome>,
}

impl From<Row> for Task {
    fn from(row: Row) -> Self {
        match row {
            Ok(operation) => Self {
                operation: Some(operation),
                outcome: None,
            },
            Err(error) => Self {
                operation: None,
                outcome: Some(Err(error)),
            },
        }
    }
}

impl Task {
    pub(super) fn is_settled(&self) -> bool {
        self.outcome.is_some()
    }

    /// What is still to be done.
    pub(super) fn open(&self) -> Option<&Operation> {
        self.operation.as_ref().filter(|_| self.outcome.is_none())
    }

    /// How long its value is as it is stored, in bytes.
    pub(super) fn stored(&self) -> usize {
        self.operation.as_ref().map_or(0, Operation::stored)
    }
}

/// What became of the rows, in numbers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    written: usize,
    refused: usize,
    /// Rows that were to create something and did, and those that this node could not carry out.
    created: usize,
    not_carried_out: usize,
    /// Whether the log knows that a key was refused.
    key_refused: bool,
}

impl Tally {
    /// Whether there were rows that might have created something, and this node could carry out none of them.
    pub(super) fn nothing_was_created(&self) -> bool {
        self.created == 0 && self.not_carried_out > 0
    }
}

impl Work<'_> {
    /// Counts and logs what became of a row, as of a request of its own. That the user key is wrong the log says once.
    pub(super) fn note(&self, task: &Task, tally: &mut Tally) {
        let Some(outcome) = &task.outcome else {
            return;
        };
        let principal = self.session.principal();
        let status = match outcome {
            Ok(done) => done.status(self.terms),
            Err(error) => error.status(),
        };
        if let Some(operation) = &task.operation {
            let counted = match operation.verb {
                Verb::Create => Counted::Create,
                Verb::Update | Verb::Upsert => Counted::Update,
                Verb::Delete => Counted::Delete,
            };
            self.node.metrics.operation(counted, status.as_u16());
        }
        match (outcome, &task.operation) {
            (Ok(Done { kind, .. }), Some(Operation { identity, .. })) => {
                tally.written += 1;
                match kind {
                    Kind::Created => {
                        tally.created += 1;
                        created(principal, identity);
                    }
                    Kind::Updated => updated(principal, identity),
                    Kind::Deleted => deleted(principal, identity),
                }
                if *kind != Kind::Deleted {
                    self.node.metrics.encrypted();
                }
            }
            (Ok(_), None) => {}
            (Err(error), operation) => {
                tally.refused += 1;
                let may_create = operation.as_ref().is_some_and(Operation::may_create);
                if may_create && error.is_not_carried_out() {
                    tally.not_carried_out += 1;
                } else if may_create {
                    // The key counts for it.
                    tally.created += 1;
                }
                if let Some(refusal) = error.auth_refusal()
                    && !std::mem::replace(&mut tally.key_refused, true)
                {
                    let refused = Refused {
                        client: self.taker.address,
                        status: status.as_u16(),
                        endpoint: PATH,
                        method: "POST",
                        request_id: None,
                    };
                    self.node.refusal_log.tell(refusal, refused);
                }
            }
        }
    }

    /// Tells the log of the whole.
    pub(super) fn tell(&self, tally: &Tally) {
        let principal = self.session.principal();
        tracing::info!(
            target: AUDIT,
            written = tally.written,
            refused = tally.refused,
            all_or_nothing = self.atomicity == Atomicity::All,
            %principal,
            "config_batch"
        );
    }
}
