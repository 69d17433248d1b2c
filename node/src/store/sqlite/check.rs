//! Checks a whole database offline, row by row.

use std::{fs, path::Path};

use rusqlite::Connection;

use super::{
    OpenError,
    columns::{self, Found},
    failure::is_corruption,
    file::DatabaseFile,
    meta, row, schema, values,
};
use crate::{
    crypto::token_time,
    domain::{Content, Incarnation},
};

/// Damages listed at most; a thoroughly broken file would fill the screen.
const LISTED: usize = 100;

/// The content of a database, and its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Live entries.
    pub entries: u64,
    /// Ciphertexts of entries that this node owns in a federated cluster.
    pub home_values: u64,
    /// Deleted entries that are still remembered.
    pub tombstones: u64,
    /// Live entries whose values are bound to their names. Only their user keys show whether by the right seal.
    pub sealed: u64,
    /// Rows of an imported database that are no entries.
    pub set_aside: u64,
    /// The damage, one line each; empty when all is well.
    pub damage: Vec<String>,
}

/// Checks a database that no node uses. Changes nothing.
pub fn check(path: &Path) -> Result<Findings, OpenError> {
    let mut findings = Findings::default();
    let file = fs::metadata(path).map_err(|error| OpenError::file(path, error))?;
    // SQLite reads an empty file as a database without tables.
    if file.is_file() && file.len() == 0 {
        findings.damaged("the file is empty, and no database".to_owned());
        return Ok(findings);
    }
    let connection = match DatabaseFile::claim(path)?.connect_reader() {
        Ok(connection) => connection,
        // On a file that is no database SQLite fails before its own check runs.
        Err(error) if is_corruption(&error) => {
            findings.damaged(error.to_string());
            return Ok(findings);
        }
        Err(error) => return Err(error.into()),
    };
    findings.sqlite(&connection)?;
    if !findings.damage.is_empty() {
        // A database that SQLite finds broken may not be readable row by row.
        return Ok(findings);
    }
    schema::verify(&connection)?;
    for what in meta::missing(&connection)? {
        findings.damaged(format!("it lacks its {what}"));
    }
    findings.salt(&connection)?;
    findings.rows(&connection)?;
    findings.home_values = values::count(&connection)?.unsigned_abs();
    findings.set_aside = connection
        .query_row("SELECT count(*) FROM set_aside", [], |row| {
            row.get::<_, i64>(0)
        })?
        .unsigned_abs();
    Ok(findings)
}

impl Findings {
    fn damaged(&mut self, what: String) {
        if self.damage.len() < LISTED {
            self.damage.push(what);
        }
    }

    fn sqlite(&mut self, connection: &Connection) -> Result<(), OpenError> {
        let check = connection
            .prepare(&format!("PRAGMA integrity_check({LISTED})"))
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| row.get::<_, String>(0))?
                    .collect::<rusqlite::Result<Vec<_>>>()
            });
        match check {
            Ok(lines) => {
                for line in lines.into_iter().filter(|line| line != "ok") {
                    self.damaged(line);
                }
                Ok(())
            }
            Err(error) if is_corruption(&error) => {
                self.damaged(error.to_string());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn salt(&mut self, connection: &Connection) -> Result<(), OpenError> {
        let salt: Option<Vec<u8>> = meta::get(connection, meta::SALT)?;
        if salt.is_some_and(|salt| salt.len() != 64) {
            self.damaged("the salt has not 64 bytes".to_owned());
        }
        Ok(())
    }

    fn rows(&mut self, connection: &Connection) -> Result<(), OpenError> {
        let mut statement = connection.prepare(&format!(
            "SELECT {}, row_hash, id FROM entries",
            row::COLUMNS
        ))?;
        let mine = meta::get(connection, meta::INCARNATION)?.map(Incarnation::from_raw);
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let id: i64 = found.get("id")?;
            let Found {
                row: entry,
                unreadable,
            } = columns::examine(found)?;
            let name = format!(
                "row {id}, key '{}' in environment '{}'",
                entry.identity.key.as_str(),
                entry.identity.environment.as_str()
            );
            if let Some(what) = unreadable {
                self.damaged(format!("{name}: {what}"));
                continue;
            }
            if columns::read_hash(found, 10)? != entry.hash() {
                self.damaged(format!("{name}: {}", columns::OTHER_CONTENT));
            }
            let Some(content) = &entry.content else {
                self.tombstones += 1;
                continue;
            };
            self.entries += 1;
            self.sealed += u64::from(entry.seal().is_some());
            let token = match content {
                Content::Token(token) => Some(token.clone()),
                Content::Fingerprint(_) => values::find(connection, &entry.identity)?
                    .filter(|(version, _)| *version == entry.version)
                    .map(|(_, token)| token),
            };
            let wrong = match token {
                Some(token) if !content.is_of(&token) => columns::OTHER_VALUE,
                Some(token) if token_time(&token).is_none() => "its value is no Fernet token",
                None if Some(entry.version.incarnation) == mine => {
                    "its value, which this node alone had, is gone"
                }
                Some(_) | None => continue,
            };
            self.damaged(format!("{name}: {wrong}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::OpenedDatabase;
    use super::*;

    /// A new database from which the single values were taken.
    fn without_meta() -> (TempDir, std::path::PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        drop(OpenedDatabase::open(&path, Incarnation::from_raw(1)).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.execute("DELETE FROM meta", []).unwrap();
        (folder, path)
    }

    #[test]
    fn single_values_that_are_gone_are_damage() {
        let (_folder, path) = without_meta();
        assert_eq!(
            check(&path).unwrap().damage,
            [
                "it lacks its identity",
                "it lacks its latest clock reading",
                "it lacks its last sequence",
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_database_is_damage_and_stays_as_it_is() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        let text = "no database at all ".repeat(100);
        fs::write(&path, &text).unwrap();
        let damage = check(&path).unwrap().damage;
        assert_eq!(damage.len(), 1, "{damage:?}");
        assert!(damage[0].contains("not a database"), "{damage:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_database_without_its_single_values_does_not_open_and_says_why() {
        let (_folder, path) = without_meta();
        let error = OpenedDatabase::open(&path, Incarnation::from_raw(2)).unwrap_err();
        assert!(
            matches!(error, OpenError::Incomplete("identity")),
            "{error:?}"
        );
    }
}
