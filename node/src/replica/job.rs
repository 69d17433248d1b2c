//! The jobs of the writer thread, and their answers.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    budget::Reservation,
    cluster::{
        AckLevel, Address, AdminOrder, AdminOutcome, AdminRefusal, Answer, Digest, Envelope,
        ExchangeId, Input, ReplyId, Request, Write, WriteRefusal, Written,
    },
    domain::Identity,
    store::{Atomicity, WriteError},
};

/// The caller that waits for a write.
type WriteReply = oneshot::Sender<Result<Written, WriteError>>;

/// Writes of one transaction.
#[derive(Debug)]
pub(super) struct WriteBatch {
    pub(super) writes: Vec<(Write, WriteReply)>,
    pub(super) level: AckLevel,
    pub(super) atomicity: Atomicity,
}

/// One job.
#[derive(Debug)]
pub(super) enum Job {
    Write(Write, AckLevel, WriteReply),
    Batch(WriteBatch),
    Request {
        message: Box<Envelope<Request>>,
        /// The room of the message, given back once it is handled: its sender may be gone before.
        room: Option<Arc<Reservation>>,
        reply: oneshot::Sender<Envelope<Answer>>,
    },
    Answered {
        from: Address,
        exchange: ExchangeId,
        answer: Option<Box<Envelope<Answer>>>,
        /// The room of the answer, given back once the answer is handled.
        room: Option<Reservation>,
    },
    Scanned(ExchangeId, Option<Box<Digest>>),
    Order(
        AdminOrder,
        oneshot::Sender<Result<AdminOutcome, AdminRefusal>>,
    ),
    Listed(Vec<Address>),
    /// A reader found a row that does not fit its hash.
    Damaged(Identity),
    Tick,
    /// Empties the log where it is time.
    Tidy,
    /// Waits until all earlier jobs are done.
    Look(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

impl Job {
    /// The room of what came from another node; its taker keeps it until that is handled.
    pub(super) fn take_room(&mut self) -> Option<Arc<Reservation>> {
        match self {
            Self::Request { room, .. } => room.take(),
            Self::Answered { room, .. } => room.take().map(Arc::new),
            _ => None,
        }
    }

    /// How many clients' writes it is.
    pub(super) fn writes(&self) -> usize {
        match self {
            Self::Write(..) => 1,
            Self::Batch(batch) => batch.writes.len(),
            _ => 0,
        }
    }
}

/// The caller that waits for an output.
#[derive(Debug)]
enum Waiter {
    Write(WriteReply),
    Request(oneshot::Sender<Envelope<Answer>>),
    Order(oneshot::Sender<Result<AdminOutcome, AdminRefusal>>),
}

/// All waiting callers, by the id that the engine knows.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    last: u64,
    waiting: HashMap<ReplyId, Waiter>,
    /// The callers whose inputs are in the open transaction.
    uncommitted: Vec<ReplyId>,
}

impl Waiters {
    fn add(&mut self, waiter: Waiter) -> ReplyId {
        self.last += 1;
        let id = ReplyId(self.last);
        self.waiting.insert(id, waiter);
        self.uncommitted.push(id);
        id
    }

    /// The engine's input of a job; `None` for a job that does not concern the engine, or that has several inputs.
    pub(super) fn input(&mut self, job: Job) -> Option<Input> {
        Some(match job {
            Job::Write(write, level, reply) => Input::Write {
                write,
                level,
                reply: self.add(Waiter::Write(reply)),
            },
            Job::Request {
                message,
                room,
                reply,
            } => {
                // Its turn has come.
                drop(room);
                Input::Request {
                    message,
                    reply: self.add(Waiter::Request(reply)),
                }
            }
            Job::Answered {
                from,
                exchange,
                answer,
                room: _,
            } => Input::Answered {
                from,
                exchange,
                answer,
            },
            Job::Order(order, reply) => Input::Order {
                order,
                reply: self.add(Waiter::Order(reply)),
            },
            Job::Scanned(id, digest) => Input::Scanned { id, digest },
            Job::Listed(addresses) => Input::Listed(addresses),
            Job::Damaged(identity) => Input::Damaged(identity),
            Job::Tick => Input::Tick,
            Job::Batch(_) | Job::Tidy | Job::Look(_) | Job::Close(_) => return None,
        })
    }

    /// The engine's inputs of a batch.
    pub(super) fn batch(&mut self, batch: WriteBatch) -> Vec<Input> {
        let WriteBatch {
            writes,
            level,
            atomicity,
        } = batch;
        let awaited = writes
            .into_iter()
            .map(|(write, reply)| (write, self.add(Waiter::Write(reply))));
        match atomicity {
            Atomicity::Each => awaited
                .map(|(write, reply)| Input::Write {
                    write,
                    level,
                    reply,
                })
                .collect(),
            Atomicity::All => vec![Input::WriteAll {
                writes: awaited.collect(),
                level,
            }],
        }
    }

    /// The transaction is durable.
    pub(super) fn committed(&mut self) {
        self.uncommitted.clear();
    }

    /// The transaction failed: every caller in it gets the error.
    pub(super) fn failed(&mut self, error: &WriteError) {
        for id in std::mem::take(&mut self.uncommitted) {
            if let Some(Waiter::Write(reply)) = self.waiting.remove(&id) {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }

    // A client that went away needs no answer; its write stands.

    pub(super) fn written(&mut self, id: ReplyId, result: Result<Written, WriteRefusal>) {
        if let Some(Waiter::Write(reply)) = self.waiting.remove(&id) {
            let _ = reply.send(result.map_err(WriteError::from));
        }
    }

    pub(super) fn answer(&mut self, id: ReplyId, message: Envelope<Answer>) {
        if let Some(Waiter::Request(reply)) = self.waiting.remove(&id) {
            let _ = reply.send(message);
        }
    }

    pub(super) fn done(&mut self, id: ReplyId, result: Result<AdminOutcome, AdminRefusal>) {
        if let Some(Waiter::Order(reply)) = self.waiting.remove(&id) {
            let _ = reply.send(result);
        }
    }
}

impl From<WriteRefusal> for WriteError {
    fn from(refusal: WriteRefusal) -> Self {
        match refusal {
            WriteRefusal::Changed => Self::Changed,
            WriteRefusal::NotServing(reason) => Self::NotServing(reason),
            WriteRefusal::OthersRefused => Self::OthersRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::budget::Pool;

    #[test]
    fn a_message_keeps_its_room_until_it_is_handled_although_its_sender_is_gone() {
        let pool = Pool::shared("peers", 1 << 20);
        let room = pool.try_reserve(Ipv4Addr::UNSPECIFIED.into(), 1000);
        let hello = serde_json::json!({
            "protocol": { "major": 1, "minor": 2 }, "release": "none", "cluster": "", "mode": "replica", "name": "one",
            "incarnation": 1, "process_epoch": 2, "turn": 1, "heard": null, "epoch_began": 0, "address": null,
            "cluster_uid": null, "salt": null, "ready": false, "source": false, "acknowledges": false, "fenced": false,
            "has_rows": false, "head": 0, "purged": 0, "origin": null, "received": null, "roster": 0, "entries": 0, "time": 0,
        });
        let (reply, answer) = oneshot::channel();
        let mut job = Job::Request {
            message: Box::new(Envelope {
                hello: serde_json::from_value(hello).unwrap(),
                body: Request::Heartbeat,
            }),
            room: Some(Arc::new(room.unwrap())),
            reply,
        };
        drop(answer);
        assert_eq!(pool.in_use().reserved, 1000);
        let room = job.take_room();
        assert!(Waiters::default().input(job).is_some());
        assert_eq!(pool.in_use().reserved, 1000);
        drop(room);
        assert_eq!(pool.in_use().reserved, 0);
    }
}
