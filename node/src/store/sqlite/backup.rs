//! Copies of a whole database: made consistently while a node writes, and verified before they replace one.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    OpenError,
    file::DatabaseFile,
    leftovers::{self, RESTORING, StreamedCopy, with_suffix},
    membership, meta,
    path::open_private,
    schema,
};
use crate::{
    cluster::{FenceReason, LocalStatus, MemberName, Membership, Seq},
    crypto::Salt,
    domain::{Clock, Incarnation},
    os::{names_a_file, permission, regular_file},
};

/// Why a backup could not be made or restored. The earlier files are untouched.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target exists.
    #[error("{0} exists; choose another file")]
    Exists(PathBuf),
    /// SQLite does not read the name as that of a file.
    #[error("'{0}' is no path of a file for SQLite; a file of this name is './{0}'")]
    NoFile(PathBuf),
    /// The database to be replaced exists.
    #[error("{0} exists; --force replaces it")]
    WouldReplace(PathBuf),
    /// The backup has no salt, so none of its values could be opened.
    #[error("{0} holds no salt, so it is no backup of a node that ever served")]
    NoSalt(PathBuf),
    /// The salt file differs from the backup's.
    #[error(
        "{0} holds another salt than the backup: values of the backup would not open with it; move it away first"
    )]
    OtherSalt(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{0} is no database")]
    NoDatabase(PathBuf),
    /// The disk has no room for the copy.
    #[error("there is no room for the copy {0}: the disk is full")]
    DiskFull(PathBuf),
    /// The reader of the copy accepts no more of it.
    #[error("cannot write the copy out")]
    Stream(#[source] io::Error),
    /// A database cannot be used.
    #[error("cannot use {path}")]
    Database {
        /// The database.
        path: PathBuf,
        /// The fault of the database.
        source: OpenError,
    },
}

/// The content of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Live entries.
    pub entries: u64,
}

/// Copies a database as of one moment, even while a node uses it.
pub fn backup(database: &Path, output: &Path) -> Result<Copied, BackupError> {
    if !names_a_file(output) {
        return Err(BackupError::NoFile(output.to_owned()));
    }
    if output.exists() {
        return Err(BackupError::Exists(output.to_owned()));
    }
    let source = open_verified(database)?;
    let unfinished = Unfinished(with_suffix(output, ".unfinished"));
    copy(&source, database, &unfinished.0)?;
    let copied = verify(&unfinished.0)?;
    publish(&unfinished.0, output)?;
    Ok(copied)
}

/// The same into a stream. Before the first byte is written, the copy loses its name: a process that is killed while a slow
/// reader takes it leaves no file.
pub fn backup_into(database: &Path, out: &mut impl io::Write) -> Result<Copied, BackupError> {
    let source = open_verified(database)?;
    leftovers::remove_streamed(database);
    let in_folder = in_file(leftovers::folder_of(database));
    let place = StreamedCopy::create(database).map_err(&in_folder)?;
    copy_into(&source, database, place.path())?;
    let copied = verify(place.path())?;
    let mut file = place.into_nameless().map_err(&in_folder)?;
    io::copy(&mut file, out).map_err(BackupError::Stream)?;
    out.flush().map_err(BackupError::Stream)?;
    Ok(copied)
}

/// The owner of a restored backup.
#[derive(Debug, Clone)]
pub struct NewLife {
    /// Its new identity: writes of the backup's node after the backup must never be taken for writes of this one.
    pub incarnation: Incarnation,
    /// The node's name.
    pub name: MemberName,
    /// Whether the cluster of the backup is lost: then the database forgets it, and can bootstrap a new one with its entries.
    /// Otherwise it is fenced, and joins the living cluster anew.
    pub cluster_is_lost: bool,
}

/// Puts a backup in a database's place.
pub fn restore(
    input: &Path,
    database: &Path,
    salt_file: &Path,
    force: bool,
    life: &NewLife,
) -> Result<Copied, BackupError> {
    if !names_a_file(input) {
        return Err(BackupError::NoFile(input.to_owned()));
    }
    let source = open_verified(input)?;
    refuse_other_salt(&source, input, salt_file)?;
    if database.exists() && !force {
        return Err(BackupError::WouldReplace(database.to_owned()));
    }
    let in_database = |source: OpenError| BackupError::Database {
        path: database.to_owned(),
        source,
    };
    // Only the lock: an empty database in this place would pass for a new one.
    let locked = DatabaseFile::lock(database).map_err(in_database)?;
    let unfinished = Unfinished(with_suffix(database, RESTORING));
    copy(&source, input, &unfinished.0)?;
    Connection::open(&unfinished.0)
        .and_then(|copy| begin_life(&copy, life))
        .map_err(|error| in_database(error.into()))?;
    let copied = verify(&unfinished.0)?;
    retire(&locked, database)?;
    publish(&unfinished.0, database)?;
    Ok(copied)
}

/// Gives a copy its new identity, and its place towards the cluster that it comes from.
fn begin_life(copy: &Connection, life: &NewLife) -> rusqlite::Result<()> {
    meta::put(copy, meta::INCARNATION, life.incarnation.raw())?;
    let Some(membership) = membership::get_json::<Membership>(copy, meta::MEMBERSHIP)? else {
        return Ok(());
    };
    if life.cluster_is_lost || membership.cluster_uid.is_none() {
        copy.execute("DELETE FROM cursors", [])?;
        copy.execute("DELETE FROM meta WHERE name = ?1", [meta::ROSTER])?;
        // The stamps that moved the lost cluster's clocks beyond all rows are gone with it.
        let latest: Option<i64> = copy.query_row(
            "SELECT max(clock) FROM entries WHERE clock < ?1",
            [Clock::END.raw()],
            |row| row.get(0),
        )?;
        meta::put(copy, meta::CLOCK_HIGH_WATER, latest.unwrap_or_default())?;
        // The mode stays: the rows of a directory are useless in another one.
        let blank = Membership {
            name: life.name.clone(),
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
            ..membership
        };
        return membership::put_json(copy, meta::MEMBERSHIP, &blank);
    }
    let fenced = Membership {
        name: life.name.clone(),
        status: LocalStatus::Fenced(FenceReason::Restored),
        ..membership
    };
    membership::put_json(copy, meta::MEMBERSHIP, &fenced)
}

/// Gives a database that no node uses another name: its node was renamed.
pub fn adopt(database: &Path, name: &MemberName) -> Result<MemberName, BackupError> {
    let in_database = |source: OpenError| BackupError::Database {
        path: database.to_owned(),
        source,
    };
    drop(open_verified(database)?);
    let locked = DatabaseFile::lock(database).map_err(in_database)?;
    let connection = locked.connect_writer().map_err(in_database)?;
    let failed = |error: rusqlite::Error| in_database(error.into());
    let Some(membership) =
        membership::get_json::<Membership>(&connection, meta::MEMBERSHIP).map_err(failed)?
    else {
        return Ok(name.clone());
    };
    let before = membership.name.clone();
    let renamed = Membership {
        name: name.clone(),
        ..membership
    };
    membership::put_json(&connection, meta::MEMBERSHIP, &renamed).map_err(failed)?;
    Ok(before)
}

/// A file that is not whole yet; goes away unless it got its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is gone where all went well; a remaining one is overwritten the next time.
        leftovers::remove_with_companions(&self.0);
    }
}

/// Moves the old database's log into it and away, so that it cannot be taken for the new one's.
fn retire(locked: &DatabaseFile, database: &Path) -> Result<(), BackupError> {
    if let Ok(old) = locked.connect_writer() {
        // A damaged database is replaced all the same.
        let _ = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
    for suffix in ["-wal", "-shm"] {
        remove(&with_suffix(database, suffix))?;
    }
    Ok(())
}

fn open_verified(path: &Path) -> Result<Connection, BackupError> {
    let failed = |source| BackupError::Database {
        path: path.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| failed(error.into()))?;
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .map_err(|error| failed(error.into()))?;
    schema::verify(&connection).map_err(|error| match error {
        OpenError::Sqlite(cause) if cause.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            BackupError::NoDatabase(path.to_owned())
        }
        other => failed(other),
    })?;
    Ok(connection)
}

fn copy(source: &Connection, from: &Path, to: &Path) -> Result<(), BackupError> {
    remove(to)?;
    let file = open_private(to).map_err(in_file(to))?;
    copy_into(source, from, to)?;
    file.sync_all().map_err(in_file(to))
}

/// Copies into an empty file that is there.
fn copy_into(source: &Connection, from: &Path, to: &Path) -> Result<(), BackupError> {
    source
        .execute("VACUUM INTO ?1", [to.display().to_string()])
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => BackupError::DiskFull(to.to_owned()),
            _ => BackupError::Database {
                path: from.to_owned(),
                source: error.into(),
            },
        })?;
    Ok(())
}

/// Makes sure that a copy opens, is whole and has a salt.
fn verify(path: &Path) -> Result<Copied, BackupError> {
    let failed = |source| BackupError::Database {
        path: path.to_owned(),
        source,
    };
    let connection = open_verified(path)?;
    let finding: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| failed(error.into()))?;
    if finding != "ok" {
        return Err(failed(OpenError::Damaged {
            path: path.to_owned(),
            finding,
        }));
    }
    if salt_of(&connection, path)?.is_none() {
        return Err(BackupError::NoSalt(path.to_owned()));
    }
    let entries = connection
        .query_row(
            "SELECT count(*) FROM entries WHERE token IS NOT NULL",
            [],
            |row| row.get::<_, i64>(0),
        )
        .map_err(|error| failed(error.into()))?;
    Ok(Copied {
        entries: entries.unsigned_abs(),
    })
}

fn salt_of(connection: &Connection, path: &Path) -> Result<Option<Salt>, BackupError> {
    let salt: Option<Vec<u8>> =
        meta::get(connection, meta::SALT).map_err(|error| BackupError::Database {
            path: path.to_owned(),
            source: error.into(),
        })?;
    Ok(salt.and_then(|salt| Salt::from_bytes(&salt)))
}

fn refuse_other_salt(
    source: &Connection,
    input: &Path,
    salt_file: &Path,
) -> Result<(), BackupError> {
    let salt = salt_of(source, input)?.ok_or_else(|| BackupError::NoSalt(input.to_owned()))?;
    match regular_file::read_bounded(salt_file) {
        Ok(present) if present == salt.bytes() => Ok(()),
        Ok(_) => Err(BackupError::OtherSalt(salt_file.to_owned())),
        // The node writes it from the database's copy at its start.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(in_file(salt_file)(error)),
    }
}

/// Gives a finished file its name, durably.
pub(super) fn publish(unfinished: &Path, path: &Path) -> Result<(), BackupError> {
    File::open(unfinished)
        .and_then(|file| file.sync_all())
        .map_err(in_file(unfinished))?;
    fs::rename(unfinished, path).map_err(in_file(path))?;
    let folder = leftovers::folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(in_file(folder))
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(in_file(path)(error)),
        _ => Ok(()),
    }
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File {
        source: permission::explained(&path, source),
        path: path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cluster::Tables,
        store::sqlite::{row::tests::row_of, tables::SqliteTables},
    };

    #[test]
    fn a_new_cluster_begins_after_the_latest_row_that_a_clock_can_have_stamped() {
        let mut copy = Connection::open_in_memory().unwrap();
        schema::bring_up(&mut copy, None, None, Incarnation::from_raw(1)).unwrap();
        let mut tables = SqliteTables::new(&copy);
        for (seq, clock) in [(1, 40), (2, Clock::END.raw() - 1), (3, i64::MAX)] {
            let row = row_of(&format!("k{seq}"), clock, "a value");
            tables
                .put_row(&row, row.hash(), Seq::from_raw(seq))
                .unwrap();
        }
        tables
            .put_counters(Clock::from_raw(i64::MAX), Seq::from_raw(3))
            .unwrap();
        tables.commit(0).unwrap();
        let before = json!({
            "name": "n1", "cluster_uid": null, "status": "member", "purged": 0, "purged_clock": 0, "origin": null,
            "process_epoch": [0, 0],
        });
        membership::put_json(&copy, meta::MEMBERSHIP, &before).unwrap();
        let life = NewLife {
            incarnation: Incarnation::from_raw(2),
            name: MemberName::new("n1".to_owned()),
            cluster_is_lost: true,
        };
        begin_life(&copy, &life).unwrap();
        let clock: Option<i64> = meta::get(&copy, meta::CLOCK_HIGH_WATER).unwrap();
        assert_eq!(clock, Some(Clock::END.raw() - 1));
    }
}
