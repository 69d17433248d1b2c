//! Why a store did not read or write. The errors do not name the engine: its own error is the cause.

use crate::{domain::Identity, log::logged_name};

/// The error of a store's engine.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How a database that nodes share stopped being the store that this node serves. The words are for every client: they name no
/// server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreLoss {
    /// Its store is another one.
    #[error(
        "the database became another store while this node was running: lead the node back to its own store, or restart it to serve \
         the other one"
    )]
    Another,
    /// It has no tables.
    #[error(
        "the database has no tables of this store any more, so it was emptied or replaced: bring its backup back; nodes that start now \
         begin an empty store"
    )]
    Gone,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The engine refuses.
    #[error("failed to read from the database")]
    Failed(#[source] Cause),
    /// The disk damaged the entry.
    #[error(
        "the entry '{}' in environment '{}' is damaged ({what}); osc-node check names it; write it anew after osc-node admin force-delete",
        logged_name(key),
        logged_name(environment)
    )]
    Damaged {
        /// The entry's name.
        key: String,
        /// Its environment.
        environment: String,
        /// The part that cannot be read.
        what: &'static str,
    },
    /// The database does not answer, or has been replaced: another try may find it.
    #[error("the database does not answer")]
    Away(#[source] Cause),
    /// The database is not this store any more: only a person can mend that.
    #[error(transparent)]
    Lost(StoreLoss),
    /// All connections for lists were taken for too long.
    #[error("too many lists are being read")]
    Busy,
    /// The reading task ended without a result.
    #[error("the reader ended without an answer")]
    Ended,
}

impl ReadError {
    /// The value under these names was written for others.
    pub(crate) fn misplaced(identity: &Identity) -> Self {
        Self::damaged(identity, "its value was written for another entry")
    }

    pub(in crate::store) fn damaged(identity: &Identity, what: &'static str) -> Self {
        Self::Damaged {
            key: identity.key.as_str().to_owned(),
            environment: identity.environment.as_str().to_owned(),
            what,
        }
    }
}

/// Why a write was not carried out. Nothing of it is stored, except where that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Another writer changed the entry meanwhile.
    #[error("the entry changed meanwhile")]
    Changed,
    /// The node accepts no writes at present.
    #[error("this node takes no writes: {0}")]
    NotServing(&'static str),
    /// No space left.
    #[error("the disk is full")]
    DiskFull,
    /// The database does not accept writes.
    #[error("failed to write to the database: {0}")]
    Failed(String),
    /// The database does not answer, or has been replaced: another write would wait as long for the same.
    #[error("failed to write to the database: {0}")]
    Away(String),
    /// The database is not this store any more: only a person can mend that.
    #[error(transparent)]
    Lost(StoreLoss),
    /// The store does not know whether the write was carried out: its database did not answer in time.
    #[error("it is not known whether the write was made")]
    Unknown,
    /// The write belongs to a batch, all or none, and another write of it was refused.
    #[error("another write of the same batch was refused")]
    OthersRefused,
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}
