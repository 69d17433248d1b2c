//! Why an entry was not found or not changed.

use crate::{
    cluster::DamagedValue,
    domain::Identity,
    store::{ReadError, WriteError},
};

/// Why an entry was not found, or not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is none of this name.
    #[error("the entry does not exist")]
    NotFound(Identity),
    /// Only these silent nodes could know the entry, which counts as absent because the client asked for that.
    #[error("the entry is not on the nodes that answer")]
    NotFoundHere {
        /// The entry.
        identity: Identity,
        /// The nodes.
        nodes: Vec<String>,
    },
    /// The value is lost with the node that had it.
    #[error("the value of the entry is lost with its node")]
    Lost(Identity),
    /// The name is taken.
    #[error("the entry exists already")]
    AlreadyExists(Identity),
    /// The request needs answers of these nodes, and they do not answer.
    #[error("nodes do not answer: {}", nodes.join(", "))]
    MissingNodes {
        /// Their names.
        nodes: Vec<String>,
    },
    /// The node that has the value did not answer to a change, which may have been made.
    #[error("the node '{name}', which has the value, does not answer")]
    HomeNodeSilent {
        /// Its name.
        name: String,
    },
    /// The value is at another node, and the rest of the change is not.
    #[error("the value of the entry is at the node '{name}'")]
    OfAnotherNode {
        /// The entry.
        identity: Identity,
        /// The node's name.
        name: String,
    },
    /// Other clients change the entry all the time.
    #[error("the entry is changed by others all the time")]
    ChangedMeanwhile,
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The write was not made.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The answer of another node is damaged.
    #[error(transparent)]
    Damaged(#[from] DamagedValue),
}
