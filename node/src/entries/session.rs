//! Entries as one principal reads and writes them: every request has a session.

use std::{ops::Deref, time::Instant};

use super::{Entries, Store};
use crate::{
    domain::Principal,
    store::{Deadline, EntryStore},
};

/// The entries, and the principal of the request, which goes with every read and write, also to the node that has a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session<'e> {
    entries: &'e Entries,
    /// The principal of the request.
    pub(super) principal: Principal,
    /// The mark by which the store recognises a repeated create; `None` where repeats are not recognised.
    pub(super) request: Option<&'e str>,
    /// When the request has waited long enough for the store.
    pub(super) deadline: Deadline,
}

impl<'e> Session<'e> {
    /// Begins: the request is here as a whole.
    pub(super) fn new(entries: &'e Entries, principal: Principal) -> Self {
        Self {
            entries,
            principal,
            request: None,
            deadline: Deadline::after(entries.store.limit()),
        }
    }

    /// The same for a request that its client may repeat, because it got no answer.
    pub(crate) fn known_by(self, request: Option<&'e str>) -> Self {
        Self { request, ..self }
    }

    /// The same for the next part of a request that has any number of them: each has the time of a request.
    pub(crate) fn renewed(self) -> Self {
        let deadline = Deadline::after(self.entries.store.limit());
        Self { deadline, ..self }
    }

    /// The same with another end of its time.
    pub(crate) fn until(self, deadline: Deadline) -> Self {
        Self { deadline, ..self }
    }

    /// When the request has waited long enough for the store.
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Does work that needs no store, and may wait for its turn: that time is not counted.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        self.deadline = self.deadline.later_by(began.elapsed());
        done
    }

    /// The principal of the request.
    pub(crate) fn principal(&self) -> Principal {
        self.principal
    }

    /// The store, for calls of this request.
    pub(crate) fn store(&self) -> Store {
        self.of(&self.entries.store)
    }

    /// One of the kinds of store, for calls of this request.
    pub(crate) fn of<S: EntryStore>(&self, store: &S) -> S {
        store.until(self.deadline)
    }
}

impl Deref for Session<'_> {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        self.entries
    }
}
