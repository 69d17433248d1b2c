//! Durable storage of rows. The only module that knows which engine it is: nothing outside sees SQL.

mod commits;
mod disk;
mod error;
mod health;
mod row_cache;
mod salt;
mod sqlite;

pub(crate) use disk::Room;
pub use error::{OpenError, OtherMode, ReadError, WriteError};
pub(crate) use health::SharedWriteHealth;
pub use health::WriteHealth;
pub use salt::{
    SaltFileError, SaltPlaces, export_salt, keep_salt, read_file as read_salt_file, settle_salt,
};
#[cfg(test)]
pub(crate) use sqlite::SCAN_STACK;
pub use sqlite::SCHEMA_VERSION;
pub use sqlite::{
    BackupError, CONFLICT_PAGE_BYTES, ConflictPage, Copied, EntryReader, Findings, ImportError,
    ImportPage, ImportSource, ListedEntry, NewLife, OpenedDatabase, OwnedValue, Reach, Scanned,
    Selection, Snapshot, Vacuumed, adopt, backup, backup_into, check, restore, vacuum,
};
pub(crate) use sqlite::{DatabaseWriter, Measured, SqliteTables};
