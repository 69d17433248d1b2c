//! The two kinds of node. Parts of only one kind are reached through it, so that no code asks a node without a store for its
//! feed, or a replicating one for its database server.

use std::sync::Arc;

use super::Federation;
use crate::{
    cluster::AckLevel, domain::Incarnation, peers::PeerFaults, replica::Replica,
    store::postgres::PostgresStore,
};

/// The two kinds.
#[derive(Debug)]
pub enum NodeKind {
    /// The node has a database of its own, and replicates it with the other nodes of its cluster, if there are any.
    Replicating(Box<Replicating>),
    /// The node stores nothing itself: all entries are in a database that all nodes use.
    Shared(PostgresStore),
}

/// The parts of a node that stores entries itself.
#[derive(Debug)]
pub struct Replicating {
    /// The state of this node in its cluster, and its mailbox for other nodes.
    pub replica: Replica,
    /// Whether it is meant for a cluster.
    pub clustered: bool,
    /// How many nodes must hold a write before it is answered, by default.
    pub write_ack: AckLevel,
    /// The connections to the others of a federated cluster; `None` where every node has every value.
    pub federation: Option<Federation>,
    /// Which other nodes do not answer; `None` where there are none.
    pub peer_faults: Option<Arc<PeerFaults>>,
}

impl NodeKind {
    /// The writer in the versions of this node's writes: its database, or this process where the database is shared.
    pub fn incarnation(&self) -> Incarnation {
        match self {
            Self::Replicating(node) => node.replica.incarnation(),
            Self::Shared(store) => store.incarnation(),
        }
    }

    /// The parts of a node that stores entries itself; `None` for any other.
    pub fn replicating(&self) -> Option<&Replicating> {
        match self {
            Self::Replicating(node) => Some(node),
            Self::Shared(_) => None,
        }
    }

    /// Why this node lacks entries, and so serves none; `None` while it has them, or where it keeps none anyway.
    pub(crate) fn not_ready(&self) -> Option<String> {
        self.replicating()
            .and_then(|node| node.replica.view().not_ready.clone())
    }

    /// Whether it is meant for a cluster of nodes that replicate.
    pub(crate) fn is_clustered(&self) -> bool {
        self.replicating().is_some_and(|node| node.clustered)
    }
}
