//! Another database whose entries are to be imported into a living store. It is copied into memory and migrated there, so that
//! every older schema and the original's can be read, and the file stays unchanged.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{OpenError, meta, row, schema, tables::SqliteTables, values};
use crate::{
    cluster::Tables,
    crypto::Salt,
    domain::{Content, Identity, Incarnation, Row},
    store::{SaltFileError, salt},
};

/// Rows, and bytes of ciphertext, that are read at a time.
const ROWS: usize = 200;
const BYTES: usize = 4 << 20;

/// Why a database cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database cannot be used.
    #[error("cannot read {path}")]
    Database {
        /// Where it is.
        path: PathBuf,
        /// The fault of the database.
        source: OpenError,
    },
    /// The salt file cannot be used.
    #[error(transparent)]
    Salt(#[from] SaltFileError),
    /// There is no salt.
    #[error(
        "{0} holds no salt; name the file that goes with it: --salt (the original calls it encryption.salt)"
    )]
    NoSalt(PathBuf),
    /// The salt file is not there.
    #[error("{0} does not exist")]
    NoSaltFile(PathBuf),
    /// Two salts.
    #[error(
        "{database} was written with another salt (fingerprint {inside}) than the one in {file} ({given}); leave --salt out"
    )]
    OtherSalt {
        /// The database.
        database: PathBuf,
        /// The fingerprint of the salt in it.
        inside: String,
        /// The file that was given.
        file: PathBuf,
        /// The fingerprint of the salt in that.
        given: String,
    },
}

/// A database to import from.
#[derive(Debug)]
pub struct ImportSource {
    path: PathBuf,
    copy: Connection,
    salt: Salt,
}

impl ImportSource {
    /// Reads a database of any release, or of the original, and its salt: from `salt_file`, else from the database.
    ///
    /// # Errors
    /// When it is none, or of a later release, or has no salt.
    pub fn open(path: &Path, salt_file: Option<&Path>) -> Result<Self, ImportError> {
        let copy = copy(path).map_err(|source| ImportError::Database {
            path: path.to_owned(),
            source,
        })?;
        let inside: Option<Vec<u8>> =
            meta::get(&copy, meta::SALT).map_err(|error| ImportError::Database {
                path: path.to_owned(),
                source: error.into(),
            })?;
        let inside = inside.and_then(|bytes| Salt::from_bytes(&bytes));
        let given = match salt_file {
            None => None,
            Some(file) => Some(
                salt::read_file(file)?.ok_or_else(|| ImportError::NoSaltFile(file.to_owned()))?,
            ),
        };
        let salt = match (inside, given, salt_file) {
            (Some(inside), Some(given), Some(file)) if inside != given => {
                return Err(ImportError::OtherSalt {
                    database: path.to_owned(),
                    inside: inside.fingerprint().to_string(),
                    file: file.to_owned(),
                    given: given.fingerprint().to_string(),
                });
            }
            (Some(salt), _, _) | (None, Some(salt), _) => salt,
            (None, None, _) => return Err(ImportError::NoSalt(path.to_owned())),
        };
        Ok(Self {
            path: path.to_owned(),
            copy,
            salt,
        })
    }

    /// The salt under which its values are encrypted.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// How many live entries it has, and how many rows that are none (of an original).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn count(&self) -> Result<(u64, u64), ImportError> {
        let count = |sql| {
            let count = self.copy.query_row(sql, [], |row| row.get::<_, i64>(0));
            count.map(i64::unsigned_abs)
        };
        let counts = || {
            Ok((
                count("SELECT count(*) FROM entries WHERE token IS NOT NULL")?,
                count("SELECT count(*) FROM set_aside")?,
            ))
        };
        counts().map_err(|error| self.failed(error))
    }

    /// The next live entries after one, in order; none at the end. Damaged ones are listed by name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn page(&self, after: Option<&Identity>) -> Result<ImportPage, ImportError> {
        let found = SqliteTables::new(&self.copy)
            .page(after, ROWS, BYTES)
            .map_err(|error| self.failed(error))?;
        let mut page = ImportPage {
            last: found.last().map(|row| row.row.identity.clone()),
            ..ImportPage::default()
        };
        if after.is_none() {
            // No page has them.
            let unnamed = row::unreadable_names(&self.copy);
            page.damaged = unnamed.map_err(|error| self.failed(error))?;
        }
        for row in found {
            if row.row.hash() != row.hash {
                page.damaged.push(row.row.identity);
            } else if !row.row.is_tombstone() {
                let row = self.with_own_value(row.row);
                page.entries.push(row.map_err(|error| self.failed(error))?);
            }
        }
        Ok(page)
    }

    /// Federated: an entry with the value that this database owns; one that another node owns has none.
    fn with_own_value(&self, mut row: Row) -> rusqlite::Result<Row> {
        if matches!(row.content, Some(Content::Fingerprint(_)))
            && let Some((version, token)) = values::find(&self.copy, &row.identity)?
            && version == row.version
        {
            row.content = Some(Content::Token(token));
        }
        Ok(row)
    }

    fn failed(&self, error: rusqlite::Error) -> ImportError {
        ImportError::Database {
            path: self.path.clone(),
            source: error.into(),
        }
    }
}

/// Some of a database's entries.
#[derive(Debug, Default)]
pub struct ImportPage {
    /// Live entries.
    pub entries: Vec<Row>,
    /// Entries whose content does not match their hash.
    pub damaged: Vec<Identity>,
    /// Where the next page begins; `None` where this page is empty and the last.
    pub last: Option<Identity>,
}

fn copy(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(path, flags)?;
    source.busy_timeout(Duration::from_secs(5))?;
    let mut copy = Connection::open_in_memory()?;
    Backup::new(&source, &mut copy)?.run_to_completion(
        i32::MAX,
        Duration::from_millis(50),
        None,
    )?;
    let finding: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if finding != "ok" {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            finding,
        });
    }
    schema::migrate_copy(&mut copy, Incarnation::from_raw(0))?;
    Ok(copy)
}
