//! Why two nodes do not talk, and how a person can mend it.

use serde::{Deserialize, Serialize};

use super::{ClusterUid, Cursor, Mode, Roster};

/// Why a node refuses another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Refusal {
    /// Another major version of the protocol.
    Protocol,
    /// Another `OSC_CLUSTER_ID`.
    OtherCluster {
        /// The refusing node's.
        mine: String,
    },
    /// Another mode.
    OtherMode {
        /// The refusing node's.
        #[serde(default)]
        mine: Mode,
    },
    /// Another cluster uid.
    OtherClusterUid {
        /// The refusing node's.
        mine: ClusterUid,
    },
    /// Another salt.
    OtherSalt {
        /// The refusing node's fingerprint.
        mine: String,
    },
    /// A live node has the same name.
    NameTaken,
    /// You are removed; the roster shows it.
    Removed(Roster),
    /// Your database went back to an earlier state than this one that I know of, unless your message is only late.
    RolledBack(Cursor),
    /// Your changes begin after the ones that I hold; my greeting says where to begin.
    Gap,
    /// I am blank, joining, fenced or left: ask another.
    NotServing,
    /// The roster has as many members, or as many incarnations, as it may have.
    RosterFull,
}

impl Refusal {
    /// Its name in logs, which is the one on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::OtherCluster { .. } => "other_cluster",
            Self::OtherMode { .. } => "other_mode",
            Self::OtherClusterUid { .. } => "other_cluster_uid",
            Self::OtherSalt { .. } => "other_salt",
            Self::NameTaken => "name_taken",
            Self::Removed(_) => "removed",
            Self::RolledBack(_) => "rolled_back",
            Self::Gap => "gap",
            Self::NotServing => "not_serving",
            Self::RosterFull => "roster_full",
        }
    }

    /// The cause between the two nodes, whichever of them refuses, and the remedy.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Protocol => {
                "these two nodes speak different versions of the protocol; bring both to one release"
            }
            Self::OtherCluster { .. } => {
                "these two nodes differ in OSC_CLUSTER_ID; give the nodes of one cluster the same, and list no others"
            }
            Self::OtherMode { .. } => {
                "these two nodes differ in OSC_CLUSTER_MODE; give the nodes of one cluster the same"
            }
            Self::OtherClusterUid { .. } => {
                "these two nodes belong to two clusters; each list (OSC_CLUSTER_NODES or its file) must name the nodes of one"
            }
            Self::OtherSalt { .. } => {
                "these two nodes have different salts; give the nodes of one cluster the same (OSC_SALT_SECRET_FILE), or list \
                 no others"
            }
            Self::NameTaken => {
                "another live node has the same name or a copy of the same database; give each node an OSC_CLUSTER_NODE_ID of \
                 its own, and start no copy of a database beside it"
            }
            Self::Removed(_) => {
                "one of these two nodes is removed from the cluster; it joins anew with a new snapshot"
            }
            Self::RolledBack(_) => {
                "the database of one of these two nodes went back to an earlier state; it takes a new snapshot"
            }
            Self::RosterFull => {
                "the cluster has 1,024 members, or 4,096 incarnations with those that are over, and admits no other; remove members \
                 that are none (osc-node members remove), and change the cluster key where a stranger has it; 4,096 incarnations \
                 end with osc-node restore --new-cluster only"
            }
            Self::Gap | Self::NotServing => "this passes by itself",
        }
    }

    /// Whether it stays so until a person changes something.
    pub(super) fn stays(&self) -> bool {
        !matches!(
            self,
            Self::Removed(_) | Self::RolledBack(_) | Self::Gap | Self::NotServing
        )
    }
}
