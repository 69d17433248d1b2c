//! Federated: the values of a list, from their owners: each is asked for a part of the list, all at the same time, and again
//! once its first answer is used up. The node holds one answer of each at a time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::Arc,
    time::Instant,
};

use futures::future::join_all;
use tokio::runtime::Handle;

use super::{Entries, Federation, Session, find::is_elsewhere};
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
            let mut elsewhere = self.first_answers(&part);
            let mut last = None;
            for row in part {
                // Owners are asked again and again where values are large.
                if last.is_some() && Instant::now() >= reach.until {
                    all.stopped_at = last;
                    return Ok(all);
                }
                last = Some(names(&row.identity));
                let Some(row) = self.with_value(row, &mut elsewhere) else {
                    continue;
                };
                let still_selected = selection.category.as_deref().is_none_or(|wanted| {
                    row.category.as_ref().map(Category::as_str) == Some(wanted)
                });
                if still_selected
                    && let Some(entry) = ListedEntry::of(&row)
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

    /// The first answers of all owners of values of these rows.
    fn first_answers(&self, rows: &[Row]) -> BTreeMap<Place, ValuesOfOwner> {
        let mut elsewhere = BTreeMap::<_, ValuesOfOwner>::new();
        let (Some(view), Some(federation)) = (&self.view, &self.entries.federation) else {
            return elsewhere;
        };
        for row in rows.iter().filter(|row| is_elsewhere(row)) {
            if let ValueLocation::At(place) = view.holder(row.version.incarnation) {
                let values = elsewhere.entry(place).or_default();
                values.wanted.push(row.identity.clone());
            }
        }
        let session = self.entries.of(self.principal);
        let asked = elsewhere
            .iter_mut()
            .map(|(place, values)| values.ask(session, federation, place));
        Handle::current().block_on(join_all(asked));
        elsewhere
    }

    /// A row with its value; `None` where that is missing.
    fn with_value(
        &mut self,
        row: Row,
        elsewhere: &mut BTreeMap<Place, ValuesOfOwner>,
    ) -> Option<Row> {
        if !is_elsewhere(&row) {
            return Some(row);
        }
        let (view, federation) = (self.view.as_ref()?, self.entries.federation.as_ref()?);
        match view.holder(row.version.incarnation) {
            ValueLocation::At(place) => {
                let values = elsewhere.get_mut(&place)?;
                if values.had.is_empty() {
                    let session = self.entries.of(self.principal);
                    Handle::current().block_on(values.ask(session, federation, &place));
                }
                // A tombstone means that the owner deleted it a moment ago.
                let found = values.had.pop_front().flatten().filter(|found| {
                    found.identity == row.identity && is_newer(found, &row) && !is_elsewhere(found)
                });
                if found.is_none() {
                    self.missing.insert(place.name);
                }
                found
            }
            ValueLocation::Silent { name } => {
                self.missing.insert(name);
                None
            }
            ValueLocation::Unclear { names } => {
                self.missing.extend(names);
                None
            }
            ValueLocation::Here | ValueLocation::Gone => {
                self.lost += 1;
                None
            }
        }
    }
}

/// What one owner answers for a part of a list.
#[derive(Debug, Default)]
struct ValuesOfOwner {
    /// The entries, in the order of the list.
    wanted: Vec<Identity>,
    /// How many of them it has answered.
    answered: usize,
    /// Its last answer, as far as it is not used up.
    had: VecDeque<Option<Row>>,
}

impl ValuesOfOwner {
    /// Asks for the entries that follow. If the owner does not answer, it is asked for none of them any more.
    async fn ask(&mut self, session: Session<'_>, federation: &Federation, place: &Place) {
        let wanted = self.wanted.get(self.answered..).unwrap_or_default();
        if wanted.is_empty() {
            return;
        }
        let found = session.fetch(federation, place, wanted).await;
        let found = found.unwrap_or_default();
        self.answered = if found.is_empty() {
            self.wanted.len()
        } else {
            self.answered + found.len()
        };
        self.had = found.into();
    }
}

fn names(identity: &Identity) -> (String, String) {
    let Identity { environment, key } = identity;
    (environment.as_str().to_owned(), key.as_str().to_owned())
}

/// Whether an owner's row is at least as new as the directory's.
fn is_newer(found: &Row, known: &Row) -> bool {
    found.version >= known.version
}
