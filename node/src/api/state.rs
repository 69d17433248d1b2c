//! What the handlers share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    config::AccessKeys,
    crypto::{Fingerprint, KeyRing},
    metrics::Metrics,
    store::{Store, WallClock},
};

/// A shared [`NodeState`].
pub type Node = Arc<NodeState>;

/// Everything that answering requests needs.
pub struct NodeState {
    /// Where entries are.
    pub store: Store,
    /// Where data keys come from.
    pub keys: KeyRing,
    /// The API keys, or `None` where none is required.
    pub api_keys: Option<AccessKeys>,
    /// Shortest user key, in Latin-1 characters.
    pub min_user_key_length: usize,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// What is counted.
    pub metrics: Metrics,
    /// This node's name in logs and status.
    pub node_id: String,
    /// The cluster that this node belongs to.
    pub cluster: Option<ClusterIdentity>,
    /// What may be shown of the salt.
    pub salt_fingerprint: Fingerprint,
    /// Wall-clock time.
    pub clock: WallClock,
    /// Set when the node was told to stop.
    pub draining: AtomicBool,
}

/// What status answers tell of the cluster.
#[derive(Debug, Clone)]
pub struct ClusterIdentity {
    /// How many other nodes the peer list names.
    pub other_nodes: usize,
}

impl NodeState {
    /// Why this node should get no traffic; empty when it should.
    pub fn reasons_against_traffic(&self) -> Vec<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            vec!["draining"]
        } else {
            Vec::new()
        }
    }
}

impl std::fmt::Debug for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeState")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}
