//! The workload of a cluster's nodes. It is decided here, once; each kind has builders and steps of its own, and the common
//! parts are shared.

use super::{
    resource::{DatabaseSpec, Mode},
    validate::ValidatedCluster,
};

/// The workload of the nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Workload<'a> {
    /// A StatefulSet: each node has a volume, and the nodes know each other.
    StatefulSet,
    /// A Deployment: the nodes store nothing, and share this database.
    Deployment(&'a DatabaseSpec),
}

impl ValidatedCluster {
    /// The workload of its nodes.
    pub fn workload(&self) -> Workload<'_> {
        match (self.spec.mode, &self.spec.database) {
            (Mode::Shared, Some(database)) => Workload::Deployment(database),
            // A rule of the resource holds the two together.
            (Mode::Replica | Mode::Federated | Mode::Shared, _) => Workload::StatefulSet,
        }
    }
}
