//! What a node says of itself and its cluster: the answer of `GET /cluster/status`. Members stand in this order in the JSON.
//!
//! Its reader may be of another release than the node: what is not known is passed over, and what came later may be missing.

use serde::{Deserialize, Serialize};

use crate::{MemberState, Mode};

/// How a node says that it takes creates and updates.
pub const WRITES_ACCEPTED: &str = "accepted";
/// How it says that it takes none yet, because it serves no client.
pub const WRITES_NOT_READY: &str = "refused: not ready";

/// The whole answer. Its first five members are the original's; outside a cluster all but the first are null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Whether the node is one of a cluster.
    #[serde(default)]
    pub enabled: bool,
    /// How the nodes share entries; told also where they are no cluster because they share a database.
    pub mode: Option<Sharing>,
    /// The node's name.
    pub node_id: Option<String>,
    /// How many other nodes there are.
    pub total_nodes: Option<usize>,
    /// How many of them are healthy.
    pub healthy_nodes: Option<usize>,
    /// What it adds for the cluster admin, with `details=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<NodeDetails>,
}

/// How nodes share entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Every node holds every entry.
    Replica,
    /// Every node knows of every entry; its value stays with the node that received it.
    Federated,
    /// No node holds any: they are in a database that all of them use.
    Shared,
}

impl Sharing {
    /// The word as answers have it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Replica => Mode::Replica.text(),
            Self::Federated => Mode::Federated.text(),
            Self::Shared => "shared",
        }
    }
}

impl From<Mode> for Sharing {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Replica => Self::Replica,
            Mode::Federated => Self::Federated,
        }
    }
}

/// What a node reports to the cluster admin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeDetails {
    /// Its release.
    pub version: String,
    /// Its database's identity.
    pub incarnation: String,
    /// What it is to its cluster.
    pub state: MemberState,
    /// The cluster's identity; `None` while it belongs to none.
    pub cluster_uid: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// Why no other node relies on it although it serves; `None` while they do.
    pub suspended: Option<String>,
    /// Why it must take a new snapshot, fenced or suspended; `None` where it need not.
    pub fenced: Option<FenceReason>,
    /// What may be shown of its salt.
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    pub entries: u64,
    /// What it holds of rows that are old enough to be compared; `None` where nodes do not compare.
    pub digest: Option<RowsDigest>,
    /// Whether it takes writes: [`WRITES_ACCEPTED`], or `refused: ` and why.
    pub writes: Option<String>,
    /// The database that it shares with others; `None` where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<SharedDatabase>,
    /// The others, as it knows them.
    pub members: Vec<NodeMember>,
    /// How many listed nodes it has never heard.
    #[serde(default)]
    pub unknown_nodes: usize,
    /// Listed nodes that do not answer.
    #[serde(default)]
    pub unreachable_nodes: Vec<UnreachableNode>,
    /// The version of its database's schema; `None` from a release that does not report it.
    #[serde(default)]
    pub schema: Option<i64>,
    /// What proves which API keys it accepts; `None` where it requires none, or is of a release that does not report it.
    #[serde(default)]
    pub api_keys: Option<Vec<String>>,
    /// Whether other nodes must sign what they send.
    #[serde(default)]
    pub peer_proof: PeerProof,
    /// Its certificates; `None` where it has none.
    pub tls: Option<NodeTls>,
}

/// A database that several nodes share, as one of them sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedDatabase {
    /// The store's own name; empty where the node has not reached its database since its start.
    pub uid: String,
    /// The cluster that it belongs to; empty in the same case.
    pub cluster: String,
    /// What the server says of itself; `None` where it does not answer.
    pub server: Option<DatabaseServer>,
    /// Why it does not answer; `None` where it does.
    pub error: Option<String>,
}

/// The primary of a shared database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// Its release.
    pub version: String,
    /// How many promotions there were before it, and one.
    pub timeline: i32,
    /// What a commit waits for, in the database's words.
    pub synchronous_commit: String,
    /// Which standbys it waits for, in the database's words; empty for none.
    pub synchronous_standby_names: String,
    /// How many standbys follow it.
    pub standbys: i64,
    /// How many of them commits wait for; `None` where the node's role may not know it.
    pub synchronous_standbys: Option<i64>,
}

/// Another node, as a node knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeMember {
    /// Its name.
    pub name: String,
    /// Its database's identity.
    pub incarnation: String,
    /// What it is to the cluster.
    pub state: MemberState,
    /// Whether it answers.
    pub reachable: bool,
    /// Whether it answers and acknowledges in time.
    #[serde(default)]
    pub healthy: bool,
    /// Whether it serves reads.
    #[serde(default)]
    pub ready: bool,
    /// Changes of this node that it does not hold yet.
    pub lag: u64,
    /// Changes of it that this node does not hold yet.
    pub behind: u64,
    /// How far its wall clock is ahead; negative where it is behind.
    #[serde(default)]
    pub clock_offset_seconds: f64,
    /// Its release.
    #[serde(default)]
    pub version: String,
    /// What may be shown of its salt.
    pub salt_fingerprint: Option<String>,
    /// How many entries it has.
    #[serde(default)]
    pub entries: u64,
    /// How its rows compared with this node's, the last time.
    pub digest: Option<RowsDigest>,
}

/// A sum of rows, by which nodes compare what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsDigest {
    /// Rows written before this were counted.
    pub before: String,
    /// One number for all of them, in hexadecimal.
    pub root: String,
    /// Parts of the table in which the two differed in two rounds in a row.
    pub mismatches: usize,
}

/// A listed node that does not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreachableNode {
    /// Where it should be.
    pub address: String,
    /// Why not, with all causes.
    pub error: String,
}

/// Whether nodes must sign what they send each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerProof {
    /// A node that shows the cluster key is taken, too.
    #[default]
    Accept,
    /// Only signatures count.
    Require,
}

impl PeerProof {
    /// The word as settings and answers have it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Require => "require",
        }
    }
}

/// Why a node must take a new snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FenceReason {
    /// It was removed.
    Removed,
    /// A later life of its name was admitted.
    Superseded,
    /// Its database went back to an earlier state.
    RolledBack,
    /// It missed deletes that are purged elsewhere.
    BelowPurgeMark,
    /// It was restored from a backup.
    Restored,
    /// Only a later release knows why.
    #[serde(other)]
    Unknown,
}

impl FenceReason {
    /// The reason as a person reads it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Removed => "it was removed from the cluster",
            Self::Superseded => "a later life of its name was admitted",
            Self::RolledBack => "its database went back to an earlier state",
            Self::BelowPurgeMark => "it missed deletes that are purged elsewhere",
            Self::Restored => "it was restored from a backup",
            Self::Unknown => "a later release fenced it, for a reason that this one does not know",
        }
    }

    /// Whether its owner may let it go on with what it has: only then others know none of its changes under other numbers.
    pub fn is_forgivable(self) -> bool {
        self == Self::BelowPurgeMark
    }
}

/// The certificates of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTls {
    /// What it shows other nodes, and accepts of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeCertificates>,
    /// What it shows clients; `None` where it serves no HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientCertificate>,
}

/// What a node shows other nodes, and accepts of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificates {
    /// Fingerprint of the certificate that it shows; `None` where nothing is in force.
    pub leaf: Option<String>,
    /// When that ends.
    pub leaf_ends: Option<String>,
    /// Fingerprints of the authorities that it accepts; `None` where nothing is in force.
    pub authorities: Option<Vec<String>>,
    /// Why the files on its disk are not the ones in force.
    pub error: Option<String>,
}

/// What a node shows clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Whether it serves HTTPS.
    pub open: bool,
    /// Fingerprint of the certificate that it shows; `None` where nothing is in force.
    pub leaf: Option<String>,
    /// When that ends.
    pub leaf_ends: Option<String>,
    /// Why it serves none, or why the files on its disk are not the ones in force.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests;
