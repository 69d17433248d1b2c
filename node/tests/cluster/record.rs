//! The record of what clients received: every operation from its request to its answer.

use std::{collections::HashMap, sync::Mutex};

/// The change of an operation. Every value is written once, so a value identifies its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Put(u64),
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No answer, or an ambiguous one: the write may have happened, and may still happen.
    Unknown,
    /// It did not happen.
    Refused,
    Acknowledged {
        version: String,
        /// How many nodes held it.
        held: usize,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) key: String,
    pub(crate) change: Change,
    pub(crate) node: usize,
    pub(crate) outcome: Outcome,
    /// Whether its client still waits.
    pub(crate) under_way: bool,
    /// The number of operations that were acknowledged before this one.
    pub(crate) place: usize,
}

impl Operation {
    /// The version, if it was acknowledged.
    pub(crate) fn version(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Acknowledged { version, .. } => Some(version),
            Outcome::Unknown | Outcome::Refused => None,
        }
    }
}

/// A read that contradicts what its client knew.
#[derive(Debug, Clone)]
pub(crate) struct WrongRead {
    /// The version that it named.
    pub(crate) named: String,
    pub(crate) what: String,
}

/// All operations since the last check, and the known state from before.
#[derive(Debug, Default)]
pub(crate) struct Record {
    operations: Mutex<Vec<Operation>>,
    wrong_reads: Mutex<Vec<WrongRead>>,
    tally: Mutex<Tally>,
}

/// How many operations there were in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
    /// Writes that only one node acknowledged, whose disk was removed later.
    pub(crate) excused: usize,
    pub(crate) reads: usize,
}

impl Record {
    /// Records the start of an operation; the returned number names it until the next check.
    pub(crate) fn begin(&self, node: usize, key: &str, change: Change) -> usize {
        let mut operations = self.operations.lock().unwrap();
        operations.push(Operation {
            key: key.to_owned(),
            change,
            node,
            outcome: Outcome::Unknown,
            under_way: true,
            place: 0,
        });
        self.tally.lock().unwrap().unknown += 1;
        operations.len() - 1
    }

    pub(crate) fn end(&self, operation: usize, outcome: Outcome) {
        let mut operations = self.operations.lock().unwrap();
        let mut tally = self.tally.lock().unwrap();
        operations[operation].under_way = false;
        operations[operation].place = tally.acknowledged;
        match outcome {
            Outcome::Unknown => return,
            Outcome::Refused => tally.refused += 1,
            Outcome::Acknowledged { .. } => tally.acknowledged += 1,
        }
        tally.unknown -= 1;
        operations[operation].outcome = outcome;
    }

    pub(crate) fn read(&self, wrong: Option<WrongRead>) {
        self.tally.lock().unwrap().reads += 1;
        self.wrong_reads.lock().unwrap().extend(wrong);
    }

    /// Whether no client waits for an answer of this node.
    pub(crate) fn is_quiet(&self, node: usize) -> bool {
        let operations = self.operations.lock().unwrap();
        !operations
            .iter()
            .any(|operation| operation.node == node && operation.under_way)
    }

    /// A node's disk is removed. Writes that this node alone acknowledged after so many acknowledgements are lost with it, and
    /// no promise covers them.
    pub(crate) fn excuse(&self, node: usize, since: usize) {
        let mut operations = self.operations.lock().unwrap();
        for operation in operations.iter_mut() {
            let alone = matches!(operation.outcome, Outcome::Acknowledged { held: 1, .. });
            if alone && operation.node == node && operation.place >= since {
                operation.outcome = Outcome::Unknown;
                self.tally.lock().unwrap().excused += 1;
            }
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock().unwrap()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.tally().acknowledged
    }

    /// All operations by key, and the reads that were wrong.
    pub(crate) fn take(&self) -> (HashMap<String, Vec<Operation>>, Vec<WrongRead>) {
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for operation in std::mem::take(&mut *self.operations.lock().unwrap()) {
            by_key
                .entry(operation.key.clone())
                .or_default()
                .push(operation);
        }
        (
            by_key,
            std::mem::take(&mut *self.wrong_reads.lock().unwrap()),
        )
    }

    /// The state after a check: the next operations start from it.
    pub(crate) fn know(&self, operation: Operation) {
        self.operations.lock().unwrap().push(operation);
    }
}
