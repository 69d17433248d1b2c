//! The salt on disk: its file, its copy in the database, and the one step that brings them together at start.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::sqlite::{OpenError, OpenedDatabase};
use crate::{
    crypto::{Salt, SaltDecision, SaltError, SaltPolicy, SaltSources, decide},
    os::{permission, regular_file},
};

/// Why the salt could not be settled.
#[derive(Debug, thiserror::Error)]
pub enum SaltFileError {
    /// The rules forbid to go on.
    #[error(transparent)]
    Refused(#[from] SaltError),
    /// A file that should hold a salt holds other bytes.
    #[error("{path} holds {found} bytes, a salt has 64; put back the right file")]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// How many bytes it holds.
        found: usize,
    },
    /// A salt file cannot be read or written.
    #[error("cannot use the salt file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An existing file would be overwritten; it stays as it is.
    #[error("{path} exists already; name another file")]
    Taken {
        /// The file, folder or link.
        path: PathBuf,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
}

impl SaltFileError {
    fn of(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source: permission::explained(path, source),
        }
    }
}

/// Where salts are looked for.
#[derive(Debug, Clone, Copy)]
pub struct SaltPlaces<'a> {
    /// A salt given from outside (`OSC_SALT_SECRET_FILE`); the file may be absent.
    pub mounted: Option<&'a Path>,
    /// The salt file (`OSC_SALT_FILE_PATH`).
    pub file: &'a Path,
}

/// Finds this node's salt, makes one where that is allowed, and writes it wherever it is missing. `None` where there is none
/// yet and the policy waits for it.
/// `generate` gives 64 random bytes; it is called at most once.
pub fn settle_salt(
    database: &OpenedDatabase,
    places: SaltPlaces<'_>,
    policy: SaltPolicy,
    generate: impl FnOnce() -> Salt,
) -> Result<Option<Salt>, SaltFileError> {
    let copy = database.salt()?;
    let sources = SaltSources {
        mounted: places.mounted.map(read_file).transpose()?.flatten(),
        file: read_file(places.file)?,
        database: copy,
        has_rows: database.has_rows()?,
    };
    let (salt, generated) = match decide(&sources, policy)? {
        SaltDecision::Use(salt) => (salt, false),
        SaltDecision::Generate => (generate(), true),
        SaltDecision::Wait => return Ok(None),
    };
    // The file first: rows are only ever written after both places have it.
    if sources.file.is_none() {
        write_file(places.file, &salt).map_err(|source| SaltFileError::of(places.file, source))?;
    }
    if sources.database.is_none() {
        database.keep_salt(&salt)?;
    }
    tell(&sources, &salt, generated);
    Ok(Some(salt))
}

/// Writes the salt file of a node that got its salt while it ran.
pub fn keep_salt(path: &Path, salt: &Salt) -> Result<(), SaltFileError> {
    match read_file(path)? {
        Some(present) if present == *salt => Ok(()),
        Some(present) => Err(SaltFileError::Refused(SaltError::Differ {
            first_place: "in the salt file",
            first: present.fingerprint(),
            second_place: "of the cluster",
            second: salt.fingerprint(),
        })),
        None => write_file(path, salt).map_err(|source| SaltFileError::of(path, source)),
    }
}

/// Writes a copy of the salt into a new file, which its owner alone may read.
///
/// # Errors
/// Where a file of that name exists, which stays as it is, or the file cannot be written.
pub fn export_salt(path: &Path, salt: &Salt) -> Result<(), SaltFileError> {
    write_and(|file| Ok(file.persist_noclobber(path)?), path, salt).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            SaltFileError::Taken {
                path: path.to_owned(),
            }
        } else {
            SaltFileError::of(path, source)
        }
    })
}

/// Where the salt came from, if it was missing somewhere.
fn tell(sources: &SaltSources, salt: &Salt, generated: bool) {
    let salt_fingerprint = salt.fingerprint().to_string();
    if generated {
        tracing::info!(
            size_bytes = salt.bytes().len(),
            salt_fingerprint,
            "salt_generated"
        );
    } else if sources.file.is_none() && sources.mounted.is_none() {
        tracing::warn!(salt_fingerprint, from = "database", "salt_restored");
    } else if sources.database.is_none() {
        let from = if sources.mounted.is_some() {
            "mounted file"
        } else {
            "salt file"
        };
        tracing::info!(salt_fingerprint, from, "salt_adopted");
    }
}

/// The salt in a file; `None` where there is no such file.
///
/// # Errors
/// Where the file holds other bytes, or cannot be read.
pub fn read_file(path: &Path) -> Result<Option<Salt>, SaltFileError> {
    match regular_file::read_bounded(path) {
        Ok(bytes) => match Salt::from_bytes(&bytes) {
            Some(salt) => Ok(Some(salt)),
            None => Err(SaltFileError::WrongSize {
                path: path.to_owned(),
                found: bytes.len(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SaltFileError::of(path, source)),
    }
}

fn write_file(path: &Path, salt: &Salt) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    write_and(|file| Ok(file.persist(path)?), path, salt)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A temporary file of its own name, which no other user may read; fsync, rename, fsync of the folder: after a crash there is a
/// whole salt or none, and no other file is touched.
fn write_and(
    persist: impl FnOnce(NamedTempFile) -> io::Result<File>,
    path: &Path,
    salt: &Salt,
) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".salt-")
        .tempfile_in(folder)?;
    file.write_all(salt.bytes())?;
    file.as_file().sync_all()?;
    persist(file)?;
    File::open(folder)?.sync_all()
}
