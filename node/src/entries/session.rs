//! Entries as one principal reads and writes them: every request has a session.

use std::ops::Deref;

use super::Entries;
use crate::domain::Principal;

/// The entries, and the principal of the request, which goes with every read and write, also to the node that has a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session<'e> {
    entries: &'e Entries,
    /// The principal of the request.
    pub(super) principal: Principal,
    /// The mark by which the store recognises a repeated create; `None` where repeats are not recognised.
    pub(super) request: Option<&'e str>,
}

impl<'e> Session<'e> {
    pub(super) fn new(entries: &'e Entries, principal: Principal) -> Self {
        Self {
            entries,
            principal,
            request: None,
        }
    }

    /// The same for a request that its client may repeat, because it got no answer.
    pub(crate) fn known_by(self, request: Option<&'e str>) -> Self {
        Self { request, ..self }
    }

    /// The principal of the request.
    pub(crate) fn principal(&self) -> Principal {
        self.principal
    }
}

impl Deref for Session<'_> {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        self.entries
    }
}
