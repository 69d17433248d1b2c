//! Whether the operations on one entry have an order that explains their answers: the search of Wing and Gong, with Lowe's
//! cache of configurations that failed.
//!
//! An operation of unknown outcome may take effect at any time after it began, or never. The search therefore places it only
//! where it explains an answer: an order that does not need it is also an order without it, or with it at a later place. Of two
//! such operations that no answer distinguishes, the search tries one.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::model::{Call, Entry, Number, Outcome};

/// Places of a search at most: more would take too long.
const MOST_PLACES: usize = 1_000_000;
/// Operations that a refutation shows.
const SHOWN: usize = 12;

/// One operation. All times come from one counter: no two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) call: Call,
    pub(super) outcome: Outcome,
    /// The time of the request.
    pub(super) began: u64,
    /// When it was answered. Of no meaning where the outcome is unknown.
    pub(super) ended: u64,
}

/// Why no order was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refutation {
    /// There is none.
    NoOrder {
        /// The state that the longest order leads to.
        state: Entry,
        /// The earliest operations that come next, none of which does.
        next: Vec<Operation>,
    },
    /// There are too many to try.
    Undecided,
}

impl fmt::Display for Refutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrder { state, next } => {
                write!(f, "no operation can come next over {state:?}:")?;
                next.iter()
                    .try_for_each(|operation| write!(f, "\n  {operation:?}"))
            }
            Self::Undecided => write!(f, "{MOST_PLACES} places are not enough to decide"),
        }
    }
}

/// Searches for an order.
pub(super) fn check(operations: &[Operation]) -> Result<(), Refutation> {
    let mut sorted = operations.to_vec();
    sorted.sort_by_key(|operation| operation.began);
    let named = sorted.iter().filter_map(named).collect();
    let (unknown, known) = sorted
        .into_iter()
        .partition(|operation| operation.outcome == Outcome::Unknown);
    let search = Search {
        known,
        unknown,
        named,
        visited: HashMap::new(),
    };
    search.run()
}

/// The write that an operation identifies.
fn named(operation: &Operation) -> Option<Number> {
    match (operation.call, operation.outcome) {
        (_, Outcome::Shown(number)) => number,
        (Call::PutOver { seen, .. } | Call::DeleteOver { seen }, _) => Some(seen),
        _ => None,
    }
}

/// How far an order has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    entry: Entry,
    /// The order contains all known operations before this one.
    next: usize,
    /// Later known operations in the order, ascending.
    ahead: Vec<usize>,
    /// Operations of unknown outcome in the order, ascending.
    used: Vec<usize>,
    /// How many of them stand at the end of the order: they have explained no answer yet.
    unexplained: usize,
}

impl Place {
    fn with_known(&self, index: usize, entry: Entry) -> Self {
        let mut ahead = self.ahead.clone();
        ahead.insert(ahead.partition_point(|earlier| *earlier < index), index);
        let reached = ahead
            .iter()
            .zip(self.next..)
            .take_while(|(done, expected)| *done == expected)
            .count();
        ahead.drain(..reached);
        Self {
            entry,
            next: self.next + reached,
            ahead,
            used: self.used.clone(),
            unexplained: 0,
        }
    }

    fn with_unknown(&self, index: usize, entry: Entry) -> Self {
        let mut used = self.used.clone();
        used.insert(used.partition_point(|earlier| *earlier < index), index);
        Self {
            entry,
            next: self.next,
            ahead: self.ahead.clone(),
            used,
            unexplained: self.unexplained + 1,
        }
    }
}

/// A place, and the places that can follow it.
struct Branch {
    place: Place,
    /// The search tries the last one first.
    moves: Vec<Place>,
    /// Whether operations of unknown outcome are among the moves, or cannot help: the search tries them where all others fail.
    is_complete: bool,
}

/// A place, but for the operations of unknown outcome that it has used.
type Reached = (usize, Vec<usize>, Entry, usize);

struct Search {
    known: Vec<Operation>,
    unknown: Vec<Operation>,
    /// The writes that an answer or a condition identifies.
    named: HashSet<Number>,
    /// The places of the search, each with the sets of used operations of unknown outcome: a superset makes nothing more
    /// possible.
    visited: HashMap<Reached, Vec<Vec<usize>>>,
}

impl Search {
    fn run(mut self) -> Result<(), Refutation> {
        let start = Place::default();
        let mut furthest = start.clone();
        let mut places = 0;
        let mut path = vec![self.branch(start)];
        while let Some(branch) = path.last_mut() {
            if branch.place.next == self.known.len() {
                return Ok(());
            }
            let Some(place) = branch.moves.pop() else {
                if branch.is_complete {
                    path.pop();
                } else {
                    branch.is_complete = true;
                    branch.moves = self.by_unknown(&branch.place);
                }
                continue;
            };
            if !self.is_new(&place) {
                continue;
            }
            places += 1;
            if places > MOST_PLACES {
                return Err(Refutation::Undecided);
            }
            if place.next + place.ahead.len() > furthest.next + furthest.ahead.len() {
                furthest = place.clone();
            }
            path.push(self.branch(place));
        }
        let next = self.open(&furthest).map(|(_, operation)| *operation);
        Err(Refutation::NoOrder {
            next: next.take(SHOWN).collect(),
            state: furthest.entry.clone(),
        })
    }

    fn branch(&self, place: Place) -> Branch {
        let (moves, is_complete) = self.by_known(&place);
        Branch {
            place,
            moves,
            is_complete,
        }
    }

    /// Known operations that are not in the order.
    fn open<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = (usize, &'a Operation)> {
        let later = self.known.iter().enumerate().skip(place.next);
        later.filter(move |(index, _)| place.ahead.binary_search(index).is_err())
    }

    /// When the first of them ended: an operation that began later cannot come before it.
    fn first_end(&self, place: &Place) -> u64 {
        let mut first = u64::MAX;
        for (_, operation) in self.open(place) {
            if operation.began > first {
                break;
            }
            first = first.min(operation.ended);
        }
        first
    }

    /// Where known operations lead, the one that ended first last; and whether the search can skip all other operations.
    fn by_known(&self, place: &Place) -> (Vec<Place>, bool) {
        let until = self.first_end(place);
        let mut candidates: Vec<_> = self
            .open(place)
            .take_while(|(_, operation)| operation.began < until)
            .collect();
        candidates.sort_by_key(|(_, operation)| std::cmp::Reverse(operation.ended));
        let mut places = Vec::new();
        for (index, operation) in candidates {
            let states = after_known(place, operation);
            // An operation that changes nothing comes at once: later it could only make more durable. A promotion may have
            // something to undo then.
            if operation.call != Call::Promotion && states.contains(&place.entry) {
                return (vec![place.with_known(index, place.entry.clone())], true);
            }
            let entries = states.into_iter();
            places.extend(entries.map(|entry| place.with_known(index, entry)));
        }
        (places, false)
    }

    /// Where operations of unknown outcome lead.
    fn by_unknown(&self, place: &Place) -> Vec<Place> {
        let until = self.first_end(place);
        let begun = self
            .unknown
            .iter()
            .enumerate()
            .take_while(|(_, operation)| operation.began < until);
        let unused = begun.filter(|(index, _)| place.used.binary_search(index).is_err());
        let mut tried = HashSet::new();
        let places = unused.filter_map(|(index, operation)| {
            if !tried.insert(self.as_told_apart(operation.call)) {
                return None;
            }
            let entry = after_unknown(place, operation)?;
            Some(place.with_unknown(index, entry))
        });
        places.collect()
    }

    /// The same call for all calls that no answer and no condition distinguishes.
    fn as_told_apart(&self, call: Call) -> Call {
        let told = |number| {
            if self.named.contains(&number) {
                number
            } else {
                // A number that no write has.
                0
            }
        };
        match call {
            Call::Create(number) => Call::Create(told(number)),
            Call::Put(number) => Call::Put(told(number)),
            Call::PutOver { seen, number } => Call::PutOver {
                seen,
                number: told(number),
            },
            Call::Read | Call::Delete | Call::DeleteOver { .. } | Call::Promotion => call,
        }
    }

    /// Remembers a place; `false` where an earlier place already allowed everything that this one allows.
    fn is_new(&mut self, place: &Place) -> bool {
        let reached = (
            place.next,
            place.ahead.clone(),
            place.entry.clone(),
            place.unexplained,
        );
        let before = self.visited.entry(reached).or_default();
        let is_part = |fewer: &Vec<usize>| {
            let mut fewer = fewer.iter();
            fewer.all(|index| place.used.binary_search(index).is_ok())
        };
        if before.iter().any(is_part) {
            return false;
        }
        before.push(place.used.clone());
        true
    }
}

/// The states after a known operation. Where the last operation of unknown outcome did not help it, the order without that one
/// exists too.
fn after_known(place: &Place, operation: &Operation) -> Vec<Entry> {
    let Operation { call, outcome, .. } = *operation;
    let mut states = place.entry.after(call, outcome);
    if place.unexplained > 0 {
        let without = place.entry.without_last().after(call, outcome);
        states.retain(|state| !without.contains(state));
    }
    states
}

/// The state after an operation of unknown outcome. It directly follows another one only where that one makes it possible, and
/// only where it leads to a state that was not shown since the last known operation.
fn after_unknown(place: &Place, operation: &Operation) -> Option<Entry> {
    let after = |entry: &Entry| entry.after(operation.call, Outcome::Unknown).pop();
    let state = after(&place.entry)?;
    let is_possible_without =
        || place.unexplained > 0 && after(&place.entry.without_last()).is_some();
    let is_nothing_new = place.entry.showed_before(place.unexplained, state.shown());
    (!is_nothing_new && !is_possible_without()).then_some(state)
}
