//! What a node says of itself.

use serde::Deserialize;

/// The answer of `GET /cluster/status?details=true`, as far as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    /// What it adds for operators.
    pub details: NodeDetails,
}

/// What a node tells an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeDetails {
    /// Its release.
    pub version: String,
    /// Its database's identity.
    pub incarnation: String,
    /// What it says of its membership.
    pub state: String,
    /// The cluster's founding; `None` while it belongs to none.
    pub founding: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// What may be shown of its salt.
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    pub entries: i64,
    /// The others, as it knows them.
    pub members: Vec<NodeMember>,
}

/// Another node, as a node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeMember {
    /// Its name.
    pub name: String,
    /// Its database's identity.
    pub incarnation: String,
    /// What it is to the cluster.
    pub state: String,
    /// Whether it answers.
    pub reachable: bool,
    /// Changes that it lacks of this node.
    pub lag: u64,
    /// Changes that this node lacks of it.
    pub behind: u64,
}
