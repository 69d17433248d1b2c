//! The tables in a database of SQLite.

use opensecureconf_node::{cluster::Tables, store::sqlite::OpenedDatabase};
use tempfile::TempDir;

use super::{End, OWN, Subject};
use crate::sqlite::FILE;

pub(super) struct Sqlite {
    database: OpenedDatabase,
    _folder: TempDir,
}

impl Sqlite {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            database: OpenedDatabase::open(&folder.path().join(FILE), OWN).unwrap(),
            _folder: folder,
        }
    }
}

impl Subject for Sqlite {
    type Error = rusqlite::Error;

    fn transact(&mut self, end: End, work: &mut dyn FnMut(&mut dyn Tables<Error = Self::Error>)) {
        let live = self.database.live_entries().unwrap();
        let mut tables = self.database.tables();
        work(&mut tables);
        if end == End::Commits {
            let counted = tables.commit(live).unwrap().live_change;
            let now = self.database.live_entries().unwrap();
            assert_eq!(
                now.checked_add_signed(-counted),
                Some(live),
                "live entries are counted"
            );
        }
    }
}
