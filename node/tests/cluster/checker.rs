//! Compares the answers of all nodes with the record of what clients received.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    api::Api,
    record::{Change, Operation, Outcome, Record},
};

/// The faults that a check found; every list must stay empty.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Acknowledged writes that are gone, with no later write in their place.
    pub(crate) lost: Vec<String>,
    /// Acknowledged deletes whose entry is there again.
    pub(crate) resurrected: Vec<String>,
    /// Values that no client wrote.
    pub(crate) invented: Vec<String>,
    /// Reads that were older than the version that they named.
    pub(crate) stale: Vec<String>,
}

impl Verdict {
    pub(crate) fn assert_clean(&self) {
        let Self {
            lost,
            resurrected,
            invented,
            stale,
        } = self;
        let clean = [lost, resurrected, invented, stale]
            .iter()
            .all(|list| list.is_empty());
        assert!(clean, "{self:#?}");
    }
}

/// Checks the list that all nodes answer while no client writes. The record goes on from what the check found.
pub(crate) async fn check(record: &Record, list: &[Value], api: &Api) -> Verdict {
    let mut live: HashMap<_, _> = list
        .iter()
        .map(|entry| {
            (
                entry["key"].as_str().unwrap(),
                entry["value"].as_u64().unwrap(),
            )
        })
        .collect();
    let (operations, wrong_reads) = record.take();
    let unknown = |named: &str| {
        let mut all = operations.values().flatten();
        !all.any(|operation| operation.version() == Some(named))
    };
    let mut verdict = Verdict {
        // A read may wait in vain for a version that was lost with a disk.
        stale: wrong_reads
            .iter()
            .filter(|read| !unknown(&read.named))
            .map(|read| read.what.clone())
            .collect(),
        ..Verdict::default()
    };
    for (key, operations) in &operations {
        let found = live.remove(&**key);
        let known = judge(key, operations, found, api, &mut verdict).await;
        if let Some(known) = known {
            record.know(known);
        }
    }
    let strangers = live.into_iter();
    verdict
        .invented
        .extend(strangers.map(|(key, value)| format!("{key} = {value}")));
    verdict
}

/// Judges one entry; gives what the record knows of it from now on.
async fn judge(
    key: &str,
    operations: &[Operation],
    found: Option<u64>,
    api: &Api,
    verdict: &mut Verdict,
) -> Option<Operation> {
    let top = operations
        .iter()
        .filter(|operation| operation.version().is_some())
        .max_by_key(|operation| operation.version().map(str::to_owned));
    let open = |change| {
        let mut open = operations.iter();
        open.any(|operation| operation.outcome == Outcome::Unknown && operation.change == change)
    };
    let expected = top.map(|top| top.change);
    match (expected, found) {
        (Some(Change::Delete) | None, None) => top.cloned(),
        (Some(Change::Put(value)), Some(found)) if value == found => top.cloned(),
        (Some(Change::Put(_)), None) if open(Change::Delete) => None,
        (_, Some(found)) if open(Change::Put(found)) => {
            let read = api.get(&format!("/configs/{key}")).await.with(200);
            let later = top.is_none_or(|top| top.version() < Some(&read.version()));
            if !later {
                blame(verdict, expected, format!("{operations:#?} but {found}"));
            }
            Some(Operation {
                key: key.to_owned(),
                change: Change::Put(found),
                node: usize::MAX,
                outcome: Outcome::Acknowledged {
                    version: read.version(),
                    held: usize::MAX,
                },
                under_way: false,
                place: 0,
            })
        }
        (expected, found) => {
            blame(verdict, expected, format!("{operations:#?} but {found:?}"));
            None
        }
    }
}

fn blame(verdict: &mut Verdict, expected: Option<Change>, what: String) {
    match expected {
        Some(Change::Put(_)) => verdict.lost.push(what),
        Some(Change::Delete) => verdict.resurrected.push(what),
        None => verdict.invented.push(what),
    }
}
