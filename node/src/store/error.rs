//! What can go wrong with the database, in words for the person who has to mend it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::{cluster::Mode, domain::Identity, log::logged_name, os::permission};

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be used.
    #[error("cannot open the database {path}")]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Threads for lists cannot be started.
    #[error("cannot start the threads that read lists")]
    Threads(#[source] std::io::Error),
    /// Another process serves this database.
    #[error("the database {0} is in use by another osc-node; stop it first")]
    InUse(PathBuf),
    /// SQLite's own check found damage.
    #[error("the database {path} is damaged ({finding}); restore it from a backup")]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// The first line of `PRAGMA quick_check`.
        finding: String,
    },
    /// Made by a later release.
    #[error(
        "the database has schema {found}, this release knows up to {known}; use the release that wrote it or a later one"
    )]
    NewerSchema {
        /// The file's schema version.
        found: usize,
        /// The latest that this release knows.
        known: usize,
    },
    /// An SQLite database of something else.
    #[error(
        "the file is an SQLite database, but not one of this program; choose another OSC_DATABASE_PATH"
    )]
    Foreign,
    /// It belongs to another node of the cluster.
    #[error(
        "the database belongs to node '{stored}', but this node is '{given}' (OSC_CLUSTER_NODE_ID); give it back its \
         name, or run 'osc-node adopt' to keep the database under the new one"
    )]
    OtherName {
        /// The name in the database.
        stored: String,
        /// The name in the settings.
        given: String,
    },
    /// It belongs to a cluster of another mode.
    #[error(transparent)]
    OtherMode(#[from] OtherMode),
    /// A value that must be there is not.
    #[error("the database lacks its {0}; restore it from a backup")]
    Incomplete(&'static str),
    /// The writer thread cannot be started.
    #[error("cannot start the writer thread")]
    Thread(#[source] std::io::Error),
    /// Anything else that SQLite says.
    #[error("the database cannot be read or written")]
    Sqlite(#[from] rusqlite::Error),
}

/// The database belongs to a cluster of another mode than the settings name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database belongs to a {0} cluster; start it with OSC_CLUSTER_ENABLED=true and OSC_CLUSTER_MODE={0}, or choose \
     another OSC_DATABASE_PATH"
)]
pub struct OtherMode(pub Mode);

impl OpenError {
    pub(in crate::store) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source: permission::explained(path, source),
        }
    }

    /// The same with the path, where it is about damage: SQLite may stumble over it before its own check is asked.
    pub(in crate::store) fn of(self, path: &Path) -> Self {
        match self {
            Self::Sqlite(error) if is_corruption(&error) => Self::Damaged {
                path: path.to_owned(),
                finding: error.to_string(),
            },
            other => other,
        }
    }
}

/// Whether SQLite says that the file is damaged or no database at all.
pub(in crate::store) fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite says no.
    #[error("failed to read from the database")]
    Sqlite(#[from] rusqlite::Error),
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
        /// What cannot be read of it.
        what: &'static str,
    },
    /// All connections for lists were taken for too long.
    #[error("too many lists are being read")]
    Busy,
    /// The reading task ended without a result.
    #[error("the reader ended without an answer")]
    Ended,
}

impl ReadError {
    /// The value under these names was written for other ones.
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

/// Why a write was not made. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote the entry meanwhile.
    #[error("the entry changed meanwhile")]
    Changed,
    /// The node takes no writes just now.
    #[error("this node takes no writes: {0}")]
    NotServing(&'static str),
    /// No space left.
    #[error("the disk is full")]
    DiskFull,
    /// The database does not take writes.
    #[error("failed to write to the database: {0}")]
    Failed(String),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Failed(error.to_string()),
        }
    }
}
