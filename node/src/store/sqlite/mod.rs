//! The store in an SQLite database: the only SQL. One connection writes; readers have connections of their own.

mod backup;
mod check;
mod columns;
mod database;
mod entry_reader;
mod erasure;
mod feed_size;
mod file;
mod import_source;
mod leftovers;
mod membership;
mod meta;
mod original;
mod path;
mod reader;
mod row;
mod scan_threads;
mod schema;
mod snapshot;
mod staging;
mod tables;
mod values;

pub use backup::{BackupError, Copied, NewLife, adopt, backup, backup_into, restore};
pub use check::{Findings, check};
pub(crate) use database::DatabaseWriter;
pub use database::OpenedDatabase;
pub use entry_reader::EntryReader;
pub use erasure::{Vacuumed, vacuum};
pub(crate) use feed_size::Measured;
pub use import_source::{ImportError, ImportPage, ImportSource};
#[cfg(test)]
pub(super) use row::tests::row_of;
pub use row::{CONFLICT_PAGE_BYTES, ConflictPage};
#[cfg(test)]
pub(crate) use scan_threads::STACK as SCAN_STACK;
pub use schema::SCHEMA_VERSION;
pub use snapshot::{ListedEntry, Reach, Scanned, Selection, Snapshot};
pub(crate) use tables::SqliteTables;
pub use values::OwnedValue;
