//! Federated: the values of a list, from their owners: one call to each for a part of the list, all at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
    time::Instant,
};

use futures::future::join_all;

use super::{Entries, Session, find::is_elsewhere};
use crate::{
    cluster::{Place, ValueLocation, View},
    domain::{Category, Identity, Principal, Row},
    store::{EntrySnapshot, ListedEntry, Reach, ReadError, Scanned, Selection},
};

/// Entries whose values are fetched together.
const PART: usize = 256;
/// The same where few values are sent before others are read.
const SMALL_PART: usize = 32;

/// Reads lists, and records the missing values.
pub(crate) struct ScatterGather {
    entries: Entries,
    principal: Principal,
    /// `None` where every node has every value.
    view: Option<Arc<View>>,
    /// Entries of a part: about as many as the page wants.
    part: usize,
    /// Nodes that did not give their values, or that this node has not heard.
    pub(crate) missing: BTreeSet<String>,
    /// Entries whose values are lost.
    pub(crate) lost: usize,
}

impl ScatterGather {
    pub(crate) fn new(session: Session<'_>, limit: Option<usize>, missing: Vec<String>) -> Self {
        Self {
            view: session.federation.as_ref().map(|it| it.replica.view()),
            principal: session.principal,
            entries: Entries::clone(&session),
            part: limit.map_or(PART, |limit| (limit + 1).clamp(16, PART)),
            missing: missing.into_iter().collect(),
            lost: 0,
        }
    }

    /// From now on the visitor breaks early.
    pub(crate) fn in_small_parts(&mut self) {
        self.part = self.part.min(SMALL_PART);
    }

    /// Visits the selected entries in (environment, key) order until the visitor breaks, within a reach, as far as their
    /// values can be had.
    pub(crate) fn scan(
        &mut self,
        snapshot: &dyn EntrySnapshot,
        selection: &Selection,
        reach: Reach,
        visit: &mut dyn FnMut(ListedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Scanned, ReadError> {
        if self.entries.federation.is_none() {
            return snapshot.scan(selection, reach, visit);
        }
        let mut selection = selection.clone();
        let mut all = Scanned::default();
        loop {
            let left = reach.rows.saturating_sub(all.looked_at);
            let rows = self.part.min(left);
            let (part, scanned) = snapshot.rows(&selection, Reach { rows, ..reach })?;
            all.looked_at += scanned.looked_at;
            let rows = tokio::runtime::Handle::current().block_on(self.complete(part));
            for row in &rows {
                let still_selected = selection.category.as_deref().is_none_or(|wanted| {
                    row.category.as_ref().map(Category::as_str) == Some(wanted)
                });
                if still_selected
                    && let Some(entry) = ListedEntry::of(row)
                    && visit(entry).is_break()
                {
                    return Ok(all);
                }
            }
            if all.looked_at >= reach.rows || Instant::now() >= reach.until {
                all.stopped_at = scanned.stopped_at;
                return Ok(all);
            }
            match scanned.stopped_at {
                None => return Ok(all),
                after => selection.after = after,
            }
        }
    }

    /// The rows with their values, without rows whose values are missing.
    async fn complete(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let mut wanted: BTreeMap<Place, Vec<Identity>> = BTreeMap::new();
        let Some(view) = &self.view else {
            return rows;
        };
        for row in rows.iter().filter(|row| is_elsewhere(row)) {
            match view.holder(row.version.incarnation) {
                ValueLocation::At(place) => {
                    wanted.entry(place).or_default().push(row.identity.clone());
                }
                ValueLocation::Silent { name } => drop(self.missing.insert(name)),
                ValueLocation::Unclear { names } => self.missing.extend(names),
                ValueLocation::Here | ValueLocation::Gone => self.lost += 1,
            }
        }
        let mut had = BTreeMap::new();
        if let Some(federation) = &self.entries.federation {
            let session = self.entries.of(self.principal);
            let asked = wanted.iter().map(async |(place, identities)| {
                let rows = session.fetch(federation, place, identities).await;
                (place, identities, rows)
            });
            for (place, identities, fetched) in join_all(asked).await {
                let mut fetched = fetched.unwrap_or_default();
                for identity in identities {
                    had.insert(identity.clone(), (&place.name, fetched.remove(identity)));
                }
            }
        }
        let mut complete = Vec::with_capacity(rows.len());
        for row in rows {
            if !is_elsewhere(&row) {
                complete.push(row);
                continue;
            }
            match had.remove(&row.identity) {
                Some((_, Some(found))) if is_newer(&found, &row) && !is_elsewhere(&found) => {
                    // A tombstone means that the owner deleted it a moment ago.
                    complete.push(found);
                }
                Some((owner, _)) => drop(self.missing.insert(owner.clone())),
                None => {}
            }
        }
        complete
    }
}

/// Whether an owner's row is at least as new as the directory's.
fn is_newer(found: &Row, known: &Row) -> bool {
    found.version >= known.version
}
