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
    /// The cluster's identity; `None` while it belongs to none.
    pub cluster_uid: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// Why it must take a new snapshot, fenced or suspended; `None` where it need not.
    #[serde(default)]
    pub fenced: Option<FenceReason>,
    /// What may be shown of its salt.
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    pub entries: i64,
    /// Whether it takes writes: `accepted`, or `refused: ` and why.
    #[serde(default)]
    pub writes: Option<String>,
    /// The version of its database's schema; `None` from a release that does not tell it.
    #[serde(default)]
    pub schema: Option<i64>,
    /// What proves which API keys it accepts; `None` where it requires none, or is of a release that does not tell it.
    #[serde(default)]
    pub api_keys: Option<Vec<String>>,
    /// The others, as it knows them.
    pub members: Vec<NodeMember>,
    /// Its certificates; `None` where it has none.
    #[serde(default)]
    pub tls: Option<NodeTls>,
}

/// Why a node must take a new snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FenceReason {
    /// It missed deletes that are purged elsewhere: its owner may let it go on.
    BelowPurgeMark,
    /// Anything else: it takes a snapshot, or its volume is given up.
    #[serde(other)]
    Other,
}

/// The certificates of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeTls {
    /// What it shows other nodes, and accepts of them.
    #[serde(default)]
    pub node: Option<NodeCertificates>,
    /// What it shows clients; `None` where it serves no HTTPS.
    #[serde(default)]
    pub clients: Option<ClientCertificate>,
}

/// What a node shows other nodes, and accepts of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeCertificates {
    /// Fingerprint of the certificate that it shows.
    pub leaf: Option<String>,
    /// Fingerprints of the authorities that it accepts.
    #[serde(default)]
    pub authorities: Vec<String>,
    /// Why the files on its disk are not the ones in force.
    pub error: Option<String>,
}

/// What a node shows clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ClientCertificate {
    /// Whether it serves HTTPS.
    pub open: bool,
    /// Why not, or why the files on its disk are not the ones in force.
    pub error: Option<String>,
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
