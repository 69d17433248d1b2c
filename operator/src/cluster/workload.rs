//! What runs the nodes of a cluster. It is decided here, once; each kind has builders and steps of its own, and what all clusters have is shared.

use super::{
    resource::{DatabaseSpec, Mode},
    validate::ValidatedCluster,
};

/// What runs the nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Workload<'a> {
    /// A StatefulSet: each node has a volume, and the nodes know each other.
    StatefulSet,
    /// A Deployment: the nodes keep nothing, and share this database.
    Deployment(&'a DatabaseSpec),
}

impl ValidatedCluster {
    /// What runs its nodes.
    pub fn workload(&self) -> Workload<'_> {
        match (self.spec.mode, &self.spec.database) {
            (Mode::Shared, Some(database)) => Workload::Deployment(database),
            // A rule of the resource holds the two together.
            (Mode::Replica | Mode::Federated | Mode::Shared, _) => Workload::StatefulSet,
        }
    }
}
