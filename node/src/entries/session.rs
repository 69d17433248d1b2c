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
}

impl<'e> Session<'e> {
    pub(super) fn new(entries: &'e Entries, principal: Principal) -> Self {
        Self { entries, principal }
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
