//! Copies of a database beside it while a command works, which stay when it is killed. They hold all entries, even later
//! deleted ones, so the next start and the next backup remove them.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Of a copy that is read once and has no name then. Sixteen hexadecimal digits follow.
const STREAMED: &str = ".streamed-";
const DIGITS: usize = 16;
/// Of copies that the holder of the database's lock makes.
const OF_LOCK_HOLDERS: [&str; 2] = [RESTORING, ORIGINAL];
/// Of a backup on its way into the database's place.
pub(super) const RESTORING: &str = ".restoring";
/// Of a copy of an original database that is not whole yet.
pub(super) const ORIGINAL: &str = ".original.new";
/// The suffixes of SQLite's files beside a database.
pub(super) const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A file beside a database that no later command removes as a leftover while this exists.
#[derive(Debug)]
pub(super) struct StreamedCopy {
    path: PathBuf,
    file: File,
}

impl StreamedCopy {
    /// An empty file with a name of its own.
    pub(super) fn create(database: &Path) -> io::Result<Self> {
        loop {
            let path = with_suffix(
                database,
                &format!("{STREAMED}{:016x}", rand::random::<u64>()),
            );
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.lock()?;
            // A process that looked for leftovers between the two steps has taken the name away.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { path, file });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file without its name: none remains, however this process ends.
    pub(super) fn into_nameless(self) -> io::Result<File> {
        fs::remove_file(&self.path)?;
        self.file.try_clone()
    }
}

impl Drop for StreamedCopy {
    fn drop(&mut self) {
        remove_with_companions(&self.path);
    }
}

/// Removes copies of killed commands. Only the holder of the database's lock may call it.
pub(super) fn remove_all(database: &Path) {
    for suffix in OF_LOCK_HOLDERS {
        remove_with_companions(&with_suffix(database, suffix));
    }
    remove_streamed(database);
}

/// Removes copies that were being streamed.
pub(super) fn remove_streamed(database: &Path) {
    let folder = folder_of(database);
    // A folder that cannot be read now is read the next time.
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_streamed(database, &entry.file_name()) {
            remove_abandoned(&folder.join(entry.file_name()));
        }
    }
}

/// Whether this is the name of a streamed copy of this database.
fn is_streamed(database: &Path, name: &OsStr) -> bool {
    let number = database
        .file_name()
        .and_then(|database| {
            let number = name.as_encoded_bytes();
            number.strip_prefix(database.as_encoded_bytes())
        })
        .and_then(|rest| rest.strip_prefix(STREAMED.as_bytes()));
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    number.is_some_and(|number| number.len() == DIGITS && number.iter().all(is_digit))
}

/// Removes a copy whose process has ended: the system has released its lock.
fn remove_abandoned(path: &Path) {
    if let Ok(file) = File::open(path)
        && file.try_lock().is_ok()
    {
        remove_with_companions(path);
    }
}

/// Removes a file and SQLite's files beside it, as far as they exist and can be removed.
pub(super) fn remove_with_companions(path: &Path) {
    for suffix in [""].into_iter().chain(COMPANIONS) {
        let path = with_suffix(path, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), error = %error, "copy_not_removed");
            }
            _ => {}
        }
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_being_made_stays_and_an_abandoned_one_goes() {
        let folder = tempfile::TempDir::new().unwrap();
        let database = folder.path().join("d.db");
        let made = StreamedCopy::create(&database).unwrap();
        let path = made.path().to_owned();
        // As after a kill: no process holds it.
        let left = with_suffix(&database, ".streamed-0123456789abcdef");
        fs::write(&left, "a copy").unwrap();
        remove_all(&database);
        assert!(path.exists() && !left.exists());
        let file = made.into_nameless().unwrap();
        assert_eq!(file.metadata().unwrap().nlink(), 0);
        assert!(!path.exists());
    }
}
