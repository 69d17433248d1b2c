//! Entries as one principal reads and writes them: no request does without one.

use std::ops::Deref;

use super::Entries;
use crate::domain::Principal;

/// The entries, and who makes the request. It goes with every read and write, also to the node that has a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session<'e> {
    entries: &'e Entries,
    /// Who makes the request.
    pub(super) principal: Principal,
    /// By what the store knows a create again that is repeated; `None` for one that is not to be known.
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

    /// The same for a request that its caller may repeat, because he got no answer.
    pub(crate) fn known_by(self, request: Option<&'e str>) -> Self {
        Self { request, ..self }
    }

    /// Who makes the request.
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
