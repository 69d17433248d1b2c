//! Why a database cannot be opened, in words for the person who has to mend it.

use std::path::{Path, PathBuf};

use super::failure::is_corruption;
use crate::{cluster::Mode, os::permission};

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be used.
    #[error("cannot open the database {path}")]
    File {
        /// The database file.
        path: PathBuf,
        /// The system's error.
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
        /// The latest schema that this release knows.
        known: usize,
    },
    /// An SQLite database of another program.
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
    /// Any other error of SQLite.
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
    pub(super) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source: permission::explained(path, source),
        }
    }

    /// The same with the path, where it concerns damage: SQLite may fail on it before its own check runs.
    pub(super) fn of(self, path: &Path) -> Self {
        match self {
            Self::Sqlite(error) if is_corruption(&error) => Self::Damaged {
                path: path.to_owned(),
                finding: error.to_string(),
            },
            other => other,
        }
    }
}
