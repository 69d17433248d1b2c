//! Batches: many changes of different entries in one request, under one user key.
//!
//! | file | idea |
//! |---|---|
//! | `task` | a row, and what became of it |
//! | `look` | what stands where a row goes, and what is refused whatever the user key opens |
//! | `prepare` | what a row writes |
//! | `room` | the memory that it all takes |
//! | `each` | rows that stand for themselves: a chunk at a time, while earlier ones wait for other nodes |
//! | `all` | rows of which all are written or none |
//! | `silence` | a store that did not answer a step |
//! | `lines` | the answer, a line for each row |
//!
//! What single requests promise holds for each row: its refusals come in the same order and the same words, its value is opened
//! and sealed in the same way, and it is durable when its line is sent. A batch is one try of its user key, and fails once
//! however many entries that does not open.

mod all;
mod each;
mod lines;
mod look;
mod prepare;
mod room;
mod silence;
mod task;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use tokio::sync::oneshot;

use self::{
    lines::Lines,
    room::WorkRoom,
    silence::Silence,
    task::{Tally, Task},
};
use super::{
    Node, NodeState,
    answer::{
        error::{ApiError, Unanswered},
        streaming::stream,
        untaken::Taker,
    },
    extract::{auth::CallerKey, rows::Rows},
};
use crate::{
    domain::Principal,
    entries::{Partial, Session, WriteTerms},
    store::Atomicity,
};

/// The route.
pub(super) const PATH: &str = "/configs/batch";

const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A batch as it was asked for.
pub(super) struct Batch {
    pub(super) node: Node,
    pub(super) principal: Principal,
    pub(super) key: CallerKey,
    pub(super) taker: Taker,
    pub(super) terms: WriteTerms,
    pub(super) partial: Partial,
    pub(super) atomicity: Atomicity,
    pub(super) rows: Rows,
}

/// Where the body of the answer goes.
type Answer = oneshot::Sender<Result<Body, ApiError>>;

/// What all rows of a batch have in common.
struct Work<'n> {
    node: &'n NodeState,
    session: Session<'n>,
    /// Whether the store did not answer a step.
    silence: Silence,
    taker: &'n Taker,
    terms: WriteTerms,
    partial: Partial,
    atomicity: Atomicity,
}

impl<'n> Work<'n> {
    /// The session of the next step. Each step may wait for the store as long as a request may; once one had no answer, all that
    /// follow have that time together, until the store answers one of them.
    fn session(&self) -> Session<'n> {
        let renewed = self.session.renewed();
        match self.silence.deadline() {
            Some(deadline) => renewed.until(deadline),
            None => renewed,
        }
    }

    /// Passes the refusal of a step on, after a look at whether the store was silent.
    fn heed(&self, error: ApiError) -> ApiError {
        if let Some(unanswered) = error.unanswered() {
            let deadline = self.session.renewed().deadline();
            self.silence.begins(unanswered, deadline);
        }
        error
    }

    /// Notes that the store carried a step out.
    fn answered(&self, step: Unanswered) {
        self.silence.ends(step);
    }
}

/// Does what a batch asks for. The answer begins when the user key is derived, or where all rows are written or none, when that
/// is decided.
pub(super) async fn answer(batch: Batch) -> Result<Response, ApiError> {
    let (answer, body) = oneshot::channel();
    tokio::spawn(run(batch, answer));
    let ended = |_| ApiError::Internal("a batch ended without an answer".into());
    let mut response = Response::new(body.await.map_err(ended)??);
    response.headers_mut().insert(header::CONTENT_TYPE, LINES);
    Ok(response)
}

/// The whole of it, in a task of its own: the client gets lines while later rows are written. Where the client goes away, no
/// further row begins.
async fn run(batch: Batch, mut answer: Answer) {
    let Batch {
        node,
        principal,
        key,
        taker,
        terms,
        partial,
        atomicity,
        rows: Rows {
            all: rows,
            answer: window,
            room,
        },
    } = batch;
    let work = Work {
        node: &node,
        session: node.entries.of(principal),
        silence: Silence::default(),
        taker: &taker,
        terms,
        partial,
        atomicity,
    };
    let mut tasks: Vec<_> = rows.into_iter().map(Task::from).collect();
    let begin = async {
        let room = WorkRoom::new(&node, taker.address, room, &tasks, atomicity).await?;
        work.refuse_what_is_settled(&key, &mut tasks).await?;
        let caller = if tasks.iter().all(Task::is_settled) {
            None
        } else {
            Some(key.derive(&node).await?)
        };
        Ok::<_, ApiError>((room, caller))
    };
    let begun = tokio::select! {
        begun = begin => begun,
        () = answer.closed() => return,
    };
    let (mut room, caller) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // A client that went away needs no answer.
            let _ = answer.send(Err(error));
            return;
        }
    };
    if let (Atomicity::All, Some(caller)) = (atomicity, &caller)
        && let Err(error) = work.write_all(caller, &mut tasks, &mut room).await
    {
        let _ = answer.send(Err(caller.not_created(error)));
        return;
    }
    let (sender, body) = stream(node.timeouts, node.answers.streamed(&taker));
    let mut lines = Lines::new(sender, window, terms);
    let mut tally = Tally::default();
    // What is written already the log has to name, also where the client is gone.
    if answer.send(Ok(body)).is_err() && atomicity == Atomicity::Each {
        return;
    }
    let sent = match &caller {
        Some(caller) if atomicity == Atomicity::Each => {
            work.write_each(caller, tasks, &mut room, &mut lines, &mut tally)
                .await
        }
        _ => {
            for task in &tasks {
                work.note(task, &mut tally);
            }
            lines.send(tasks).await
        }
    };
    if let Some(caller) = &caller
        && sent.is_ok()
        && tally.nothing_was_created()
    {
        caller.carried_out_nothing();
    }
    let sent = match sent {
        Ok(()) => lines.end().await,
        broken_off => broken_off,
    };
    if let Err(reason) = sent {
        tracing::warn!(reason = %reason, "batch_aborted");
    }
    work.tell(&tally);
}
