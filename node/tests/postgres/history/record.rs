//! The operations of clients and their answers, in the order in which they took place.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use super::{
    checker::{self, Operation, Refutation},
    model::{Call, Number, Outcome},
};
use crate::world::SOON;

/// Entries that clients work on: few, so that many meet on each.
pub(super) const ENTRIES: usize = 8;

/// The history of all entries.
#[derive(Debug)]
pub(super) struct History {
    time: AtomicU64,
    number: AtomicU64,
    entries: Mutex<Vec<Vec<Operation>>>,
    promotions: Mutex<Vec<Operation>>,
    /// Which write a version came from.
    versions: Mutex<HashMap<String, Number>>,
    answered: watch::Sender<usize>,
}

/// An entry whose operations have no valid order.
#[derive(Debug)]
pub(super) struct Refuted {
    entry: usize,
    pub(super) why: Refutation,
}

impl fmt::Display for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.entry, self.why)
    }
}

/// The size of a checked history.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) known: usize,
    pub(super) unknown: usize,
    pub(super) promotions: usize,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            time: AtomicU64::new(0),
            number: AtomicU64::new(1),
            entries: Mutex::new(vec![Vec::new(); ENTRIES]),
            promotions: Mutex::default(),
            versions: Mutex::default(),
            answered: watch::Sender::new(0),
        }
    }

    /// A moment that is later than all before.
    pub(super) fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    /// A number that no write has had yet.
    pub(super) fn new_number(&self) -> Number {
        self.number.fetch_add(1, Ordering::SeqCst)
    }

    /// Records an operation that ends now.
    pub(super) fn end(&self, entry: usize, began: u64, call: Call, outcome: Outcome) {
        let ended = self.now();
        let mut entries = self.entries.lock().unwrap();
        entries.get_mut(entry).unwrap().push(Operation {
            call,
            outcome,
            began,
            ended,
        });
        drop(entries);
        if outcome != Outcome::Unknown {
            self.answered.send_modify(|answered| *answered += 1);
        }
    }

    /// Records a promotion that ends now.
    pub(super) fn promoted(&self, began: u64) {
        let promotion = Operation {
            call: Call::Promotion,
            outcome: Outcome::Done,
            began,
            ended: self.now(),
        };
        self.promotions.lock().unwrap().push(promotion);
    }

    /// Records the version that an answer gives a write, and fails where another write had it.
    pub(super) fn names(&self, version: &str, number: Number) {
        let mut versions = self.versions.lock().unwrap();
        let named = *versions.entry(version.to_owned()).or_insert(number);
        drop(versions);
        assert_eq!(named, number, "{version} came twice");
    }

    /// The number of ended operations whose outcome is known.
    pub(super) fn answered(&self) -> usize {
        *self.answered.borrow()
    }

    /// Waits until so many more have.
    pub(super) async fn more(&self, operations: usize) {
        let mut answered = self.answered.subscribe();
        let wanted = self.answered() + operations;
        loop {
            let before = *answered.borrow_and_update();
            if before >= wanted {
                return;
            }
            let another = tokio::time::timeout(SOON, answered.changed()).await;
            another.expect("clients are answered").unwrap();
        }
    }

    /// Searches for an order of the operations on each entry.
    pub(super) fn check(&self) -> Result<Tally, Refuted> {
        let entries = self.entries.lock().unwrap();
        let promotions = self.promotions.lock().unwrap();
        for (entry, operations) in entries.iter().enumerate() {
            let all = [operations.as_slice(), promotions.as_slice()].concat();
            checker::check(&all).map_err(|why| Refuted { entry, why })?;
        }
        let all = || entries.iter().flatten();
        let unknown = all()
            .filter(|operation| operation.outcome == Outcome::Unknown)
            .count();
        Ok(Tally {
            known: all().count() - unknown,
            unknown,
            promotions: promotions.len(),
        })
    }
}
