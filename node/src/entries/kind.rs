//! Which of the two kinds of node this is. What only one of them has is reached through its kind, so that no code asks a node
//! that keeps nothing for its feed, or one that replicates for its database server.

use std::sync::Arc;

use super::Federation;
use crate::{
    cluster::AckLevel, domain::Incarnation, peers::PeerFaults, replica::Replica,
    store::postgres::PostgresStore,
};

/// The two kinds.
#[derive(Debug)]
pub enum NodeKind {
    /// It has a database of its own, and exchanges what is in it with the other nodes of its cluster, if there are any.
    Replicating(Box<Replicating>),
    /// It keeps nothing: entries are in a database that all nodes use.
    Shared(PostgresStore),
}

/// What a node has that keeps entries itself.
#[derive(Debug)]
pub struct Replicating {
    /// What this node is to its cluster, and its mailbox for other nodes.
    pub replica: Replica,
    /// Whether it is meant for a cluster.
    pub clustered: bool,
    /// Who must hold a write before it is answered, unless the request says it.
    pub write_ack: AckLevel,
    /// What it needs towards the others of a federated cluster; `None` where every node has every value.
    pub federation: Option<Federation>,
    /// Which other nodes do not answer; `None` where there are none.
    pub peer_faults: Option<Arc<PeerFaults>>,
}

impl NodeKind {
    /// Who writes what this node writes: its database, or where that is shared this process.
    pub fn incarnation(&self) -> Incarnation {
        match self {
            Self::Replicating(node) => node.replica.incarnation(),
            Self::Shared(store) => store.incarnation(),
        }
    }

    /// What it has that keeps entries itself; `None` where it keeps nothing.
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
