//! Deleted and replaced values leave the disk. SQLite overwrites them in its pages (`secure_delete`); the write-ahead log,
//! which still has them, is emptied soon after.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{OpenError, file::DatabaseFile, leftovers::folder_of, schema};

/// How long after the last write the log is emptied.
const QUIET: Duration = Duration::from_millis(500);
/// How old the oldest change in the log may become while others follow: emptying it syncs the database file.
const OLDEST: Duration = Duration::from_secs(10);

/// Decides when the write-ahead log is emptied.
#[derive(Debug)]
pub(super) struct LogTidiness {
    /// Since when the log has pages; `None` where it is empty.
    filled: Option<Instant>,
    last_commit: Instant,
}

impl LogTidiness {
    /// At the start it is unknown whether an earlier process left pages in the log.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            filled: Some(now),
            last_commit: now,
        }
    }

    /// A transaction was written into the log.
    pub(super) fn committed(&mut self, now: Instant) {
        self.filled.get_or_insert(now);
        self.last_commit = now;
    }

    /// Whether it is time.
    fn is_due(&self, now: Instant) -> bool {
        self.filled.is_some_and(|filled| {
            now.duration_since(self.last_commit) >= QUIET || now.duration_since(filled) >= OLDEST
        })
    }

    /// Empties the log where it is time and no reader needs it; else a later call does.
    pub(super) fn tidy(&mut self, connection: &Connection, now: Instant) {
        if self.is_due(now) && empty_log(connection).unwrap_or(false) {
            self.filled = None;
        }
    }
}

/// Moves the log into the database and cuts it off; `false` where a reader needs it. Waits for no reader: writes would wait too.
pub(super) fn empty_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok(row.get::<_, i64>(0)? == 0)
    });
    connection.busy_timeout(DatabaseFile::TIMEOUT)?;
    emptied
}

/// Sizes of a database file before and after it was written anew, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuumed {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Rewrites a database that no node uses: values that earlier releases deleted without overwriting are gone.
///
/// # Errors
/// When a node uses it, or it is not ours, or the disk has no room for a second copy.
pub fn vacuum(path: &Path) -> Result<Vacuumed, OpenError> {
    let file = DatabaseFile::lock(path)?;
    schema::verify(&file.connect_reader()?).map_err(|error| error.of(path))?;
    let connection = file.connect_writer()?;
    keep_temporary_files_beside(&connection, path);
    let (before, _) = file.path().sizes();
    connection.execute_batch("VACUUM")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let (after, _) = file.path().sizes();
    Ok(Vacuumed { before, after })
}

/// SQLite writes a whole copy into a temporary file: that belongs to the disk that is meant for it, and not to `/tmp`.
fn keep_temporary_files_beside(connection: &Connection, database: &Path) {
    let folder = folder_of(database).display().to_string();
    // Where the setting is not allowed, SQLite chooses a folder; the file has no name in any case.
    let _ = connection.pragma_update(None, "temp_store_directory", folder);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::Tables,
        domain::{Content, Incarnation, Timestamp},
        store::sqlite::{row::tests::row_of, tables::SqliteTables},
    };

    #[test]
    fn the_log_is_emptied_when_it_is_quiet_or_old_and_once_only() {
        let start = Instant::now();
        let folder = tempfile::TempDir::new().unwrap();
        let file = DatabaseFile::claim(&folder.path().join("d.db")).unwrap();
        let connection = file.connect_writer().unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let log = || file.path().sizes().1;
        let mut tidiness = LogTidiness::new(start);
        tidiness.tidy(&connection, start);
        assert!(log() > 0, "not yet");
        tidiness.tidy(&connection, start + QUIET);
        assert_eq!(log(), 0);

        // Writes that never pause.
        let (mut at, mut emptied) = (start, 0);
        while at < start + OLDEST * 3 {
            at += QUIET / 2;
            connection
                .execute_batch("INSERT INTO t VALUES (1)")
                .unwrap();
            tidiness.committed(at);
            tidiness.tidy(&connection, at);
            emptied += i32::from(log() == 0);
        }
        assert_eq!(emptied, 2);
    }

    #[test]
    fn conflicts_and_values_of_a_directory_leave_the_files_too() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = DatabaseFile::claim(&folder.path().join("d.db")).unwrap();
        let mut connection = file.connect_writer().unwrap();
        schema::bring_up(&mut connection, None, None, Incarnation::from_raw(1)).unwrap();
        // From a few bytes to 1 MiB.
        let mark = |n: usize| format!("mark-{n:02}.");
        let entries: Vec<_> = (0..18)
            .map(|n| row_of(&format!("k{n}"), 1, &mark(n).repeat(1 << n)))
            .collect();
        let there = || {
            let bytes = std::fs::read(file.path().as_path()).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (0..18).filter(|n| text.contains(&mark(*n))).count()
        };
        let mut tables = SqliteTables::new(&connection);
        for row in &entries {
            let token = row.content.as_ref().and_then(Content::token).unwrap();
            let now = Timestamp::from_micros(0);
            tables.put_conflict(row, row.hash(), now).unwrap();
            tables
                .put_value(&row.identity, row.version, token, None)
                .unwrap();
        }
        tables.commit(0).unwrap();
        assert!(empty_log(&connection).unwrap());
        assert_eq!(there(), 18);

        let mut tables = SqliteTables::new(&connection);
        for row in &entries {
            assert!(tables.take_conflict(row).unwrap().is_some());
            tables.drop_value(&row.identity).unwrap();
        }
        tables.commit(0).unwrap();
        assert!(empty_log(&connection).unwrap());
        assert_eq!(there(), 0);
    }

    #[test]
    fn a_reader_puts_it_off_and_the_next_call_does_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = DatabaseFile::claim(&folder.path().join("d.db")).unwrap();
        let connection = file.connect_writer().unwrap();
        connection
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        let reader = file.connect_reader().unwrap();
        let reading = reader.unchecked_transaction().unwrap();
        reading
            .query_row("SELECT x FROM t", [], |_| Ok(()))
            .unwrap();
        connection.execute_batch("DELETE FROM t").unwrap();
        let mut tidiness = LogTidiness::new(Instant::now());
        let later = Instant::now() + QUIET;
        tidiness.tidy(&connection, later);
        assert!(file.path().sizes().1 > 0);
        drop(reading);
        tidiness.tidy(&connection, later);
        assert_eq!(file.path().sizes().1, 0);
    }
}
