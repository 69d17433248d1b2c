//! The configuration that an engine gets once, at its start.

use std::time::Duration;

#[cfg(feature = "rule-switches")]
use crate::cluster::WireSalt;
use crate::{
    cluster::{LocalStatus, MemberName, Membership, Mode, ProcessEpoch, Rules, Seq},
    crypto::Salt,
    domain::Clock,
};

/// How an engine is set up.
#[derive(Clone)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Setup {
    /// Whether it belongs to a cluster at all; a standalone node has no peers and is always ready.
    pub clustered: bool,
    /// This node's name.
    pub name: MemberName,
    /// This process.
    pub process_epoch: ProcessEpoch,
    /// `OSC_CLUSTER_ID`; empty when not set.
    pub cluster: String,
    /// How entries are shared.
    pub mode: Mode,
    /// The release, which other nodes see.
    pub release: String,
    /// The salt that was found at start: mounted, in its file or in the database.
    #[cfg_attr(
        feature = "rule-switches",
        serde(serialize_with = "WireSalt::serialize_found")
    )]
    pub salt: Option<Salt>,
    /// Whether a bootstrap may make a salt where there is none.
    pub may_make_salt: bool,
    /// How old a tombstone must be before it may be purged.
    pub grace: Duration,
    /// How often this node asks each member for its changes, whether the member pushes or not.
    pub sync_interval: Duration,
    /// The rules in force.
    pub rules: Rules,
    /// Random bytes: for new incarnations, a cluster uid and its salt, and jitter.
    #[cfg_attr(feature = "rule-switches", serde(skip))]
    pub entropy: [u8; 32],
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("name", &self.name)
            .field("clustered", &self.clustered)
            .finish_non_exhaustive()
    }
}

impl Setup {
    /// Deletes can be purged after a week, if every member knows of them.
    pub const GRACE: Duration = Duration::from_hours(7 * 24);

    pub(super) fn blank_membership(&self) -> Membership {
        Membership {
            name: self.name.clone(),
            mode: self.mode,
            cluster_uid: None,
            status: LocalStatus::Blank,
            purged: Seq::START,
            purged_clock: Clock::default(),
            inherited: Vec::new(),
            forgiven: Vec::new(),
            joined_without: Vec::new(),
            source_received: Vec::new(),
            accusations: Vec::new(),
            origin: None,
            process_epoch: (self.process_epoch, Seq::START),
        }
    }
}

/// Why an engine cannot be brought up.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// Storage failed.
    #[error("the cluster's state cannot be read")]
    Storage(#[source] E),
    /// The database belongs to a cluster of another mode.
    #[error("the database belongs to a {stored} cluster")]
    OtherMode {
        /// The mode in the database.
        stored: Mode,
    },
    /// The database belongs to another node.
    #[error(
        "the database belongs to node '{stored}', but this node is '{given}' (OSC_CLUSTER_NODE_ID); \
         give it back its name, or run 'osc-node adopt' to keep the database under the new one"
    )]
    OtherName {
        /// The name in the database.
        stored: MemberName,
        /// The name in the settings.
        given: MemberName,
    },
}
