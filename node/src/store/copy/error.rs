//! Why a store was not copied.

use std::path::PathBuf;

use crate::{
    log::logged_name,
    store::{
        postgres::PostgresError,
        sqlite::{BackupError, OpenError},
    },
};

/// Why a store was not copied. Copied rows stay, and no node serves them.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The shared database refused.
    #[error(transparent)]
    Shared(#[from] PostgresError),
    /// The database in a file cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Where it is.
        path: PathBuf,
        /// The fault of the database.
        source: OpenError,
    },
    /// The finished copy does not get its name.
    #[error(transparent)]
    Unnamed(#[from] BackupError),
    /// The target has entries already.
    #[error("the shared database has entries already: a copy needs an empty one")]
    NotEmpty,
    /// The target is there already.
    #[error("{0} exists already: name another file")]
    Exists(PathBuf),
    /// The file holds no salt: no node has ever served it.
    #[error("{0} holds no salt, so it is no database of a node that ever served")]
    NoSalt(PathBuf),
    /// Values would never open again.
    #[error(
        "the values of {path} belong to the salt with fingerprint {stored}, and OSC_SALT_SECRET_FILE has {given}: export that of \
         the file with 'osc-node salt export --from'"
    )]
    OtherSalt {
        /// The database in a file.
        path: PathBuf,
        /// The fingerprint of its salt.
        stored: String,
        /// The fingerprint of the salt that was given.
        given: String,
    },
    /// Values of a federated cluster are on many nodes.
    #[error(
        "{0} is a member's of a federated cluster, whose values are on many nodes: bring each of them in with 'osc-node import'"
    )]
    Federated(PathBuf),
    /// A row of the source is none.
    #[error(
        "the entry '{}' in environment '{}' is damaged ({what}): write it anew, or delete it with osc-node admin force-delete, and run \
         this again",
        logged_name(key),
        logged_name(environment)
    )]
    Damaged {
        /// The entry's name.
        key: String,
        /// Its environment.
        environment: String,
        /// The fault of the row.
        what: &'static str,
    },
    /// The target differs from the written rows.
    #[error(
        "the copy is not equal to its source: another process writes to the target, or its disk is at fault; run this again"
    )]
    Differs,
}
