//! Commits over an entry: here, or at the node that has its value.

use super::{Error, Session};
use crate::{
    cluster::{AckLevel, Change, Expected, NewValue, ValueLocation, Write, Written},
    domain::{Clock, Identity, Row},
    store::{Atomicity, EntryStore, WriteError},
};

/// How often a change is tried over an entry that others change too.
const COMMITS: usize = 5;

/// The terms of one write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteTerms {
    /// How many nodes must hold it before it is answered.
    pub(crate) level: AckLevel,
    /// The version that the caller knows of: the write comes after it.
    pub(crate) named: Option<Clock>,
}

/// Counts how often a request tried to change an entry that other requests change too.
#[derive(Debug, Default)]
pub(crate) struct RetryBudget {
    tries: usize,
}

impl RetryBudget {
    /// Counts one more try; refuses it at the limit. Requests on other nodes may otherwise win forever.
    pub(crate) fn again(&mut self, session: &Session<'_>) -> Result<(), Error> {
        self.tries += 1;
        if session.federation.is_some() && self.tries >= COMMITS {
            return Err(Error::ChangedMeanwhile);
        }
        if session.deadline.has_passed() {
            let busy = "others change the entry all the time".to_owned();
            return Err(WriteError::Failed(busy).into());
        }
        Ok(())
    }
}

impl Session<'_> {
    /// Whether the node that writes over a live row keeps the seal of the new value.
    pub(crate) fn keeps_seals(&self, live: Option<&Row>) -> bool {
        let (Some(row), Some(federation)) = (live, &self.federation) else {
            return true;
        };
        match federation.replica.view().holder(row.version.incarnation) {
            ValueLocation::At(place) => place.keeps_seals,
            ValueLocation::Here
            | ValueLocation::Silent { .. }
            | ValueLocation::Gone
            | ValueLocation::Unclear { .. } => true,
        }
    }

    /// The other node at which a live row is changed; `None` where this node changes it.
    pub(crate) fn home_elsewhere(&self, row: &Row) -> Option<String> {
        let federation = self.federation.as_ref().filter(|_| !row.is_tombstone())?;
        match federation.replica.view().holder(row.version.incarnation) {
            ValueLocation::At(place) => Some(place.name),
            ValueLocation::Silent { name } => Some(name),
            ValueLocation::Here | ValueLocation::Gone | ValueLocation::Unclear { .. } => None,
        }
    }

    /// Puts a value in the place of the row that was seen, or deletes it, at the node that owns it; `None` when the row changed
    /// meanwhile and must be checked again.
    pub(crate) async fn commit_over(
        &self,
        row: &Row,
        put: Option<NewValue>,
        terms: WriteTerms,
    ) -> Result<Option<Written>, Error> {
        if let Some(federation) = &self.federation
            && !row.is_tombstone()
        {
            match federation.replica.view().holder(row.version.incarnation) {
                // A node that would lose the seal gets a value that needs none.
                ValueLocation::At(place)
                    if !place.keeps_seals && put.as_ref().is_some_and(|put| put.seal.is_some()) =>
                {
                    return Ok(None);
                }
                ValueLocation::At(place) => {
                    return self.write_at(federation, &place, row, put, terms).await;
                }
                ValueLocation::Silent { name } => {
                    return Err(Error::MissingNodes { nodes: vec![name] });
                }
                // A value of an earlier life is here.
                ValueLocation::Here | ValueLocation::Gone | ValueLocation::Unclear { .. } => {}
            }
        }
        self.commit(&row.identity, Expected::of(Some(row)), put.into(), terms)
            .await
    }

    /// Commits changes of different entries here, in one transaction; an outcome for each, in their order.
    pub(crate) async fn commit_batch(
        &self,
        writes: Vec<Write>,
        level: AckLevel,
        atomicity: Atomicity,
    ) -> Vec<Result<Written, WriteError>> {
        self.store().commit_batch(writes, level, atomicity).await
    }

    /// Commits a change here; `None` when the observed version changed meanwhile and must be checked again.
    pub(crate) async fn commit(
        &self,
        identity: &Identity,
        seen: Expected,
        change: Change,
        WriteTerms { level, named }: WriteTerms,
    ) -> Result<Option<Written>, Error> {
        let write = Write {
            identity: identity.clone(),
            seen,
            named,
            change,
        };
        let store = self.store();
        match store.commit_for(write, level, self.request).await {
            Ok(written) => Ok(Some(written)),
            Err(WriteError::Changed) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
