//! The path of a database, and the files beside it.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::store::disk::DiskSpace;

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) struct DatabasePath(PathBuf);

impl DatabasePath {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }

    /// A file beside the database.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.0.display()))
    }

    /// Sizes of the database and of its write-ahead log, in bytes.
    pub(super) fn sizes(&self) -> (u64, u64) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        (size(&self.0), size(&self.beside("-wal")))
    }

    /// The space of the disk that the database is on.
    pub(super) fn disk_space(&self) -> std::io::Result<DiskSpace> {
        DiskSpace::of(&self.0)
    }
}

/// Opens a file, which only its owner may read where it is made now.
pub(super) fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
