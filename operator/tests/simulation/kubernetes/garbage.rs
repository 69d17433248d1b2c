//! The garbage collector.

use std::collections::BTreeSet;

use serde_json::Value;

use super::store::{Preconditions, Store, owners};

impl Store {
    /// Deletes objects whose owners are all gone.
    pub(crate) fn collect_garbage(&mut self) {
        let uids: BTreeSet<_> = self
            .all()
            .filter_map(|(_, object)| object["metadata"]["uid"].as_str())
            .map(str::to_owned)
            .collect();
        let is_there = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| uids.contains(uid));
        let gone: Vec<_> = self
            .all()
            .filter(|(_, object)| object["metadata"].get("deletionTimestamp").is_none())
            .filter(|(_, object)| owners(object).next().is_some() && !owners(object).any(is_there))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            // Whoever was faster is welcome.
            let _ = self.delete(&path, &Preconditions::default(), false);
        }
    }
}
