//! The store in an SQLite database: the only SQL. One connection writes; readers have connections of their own.

mod backup;
mod change_feed;
mod check;
mod columns;
mod copy_source;
mod copy_target;
mod database;
mod entry_reader;
mod erasure;
mod failure;
mod feed_size;
mod file;
mod import_source;
mod leftovers;
mod membership;
mod meta;
mod open_error;
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
pub(in crate::store) use copy_source::CopySource;
pub(in crate::store) use copy_target::CopyTarget;
pub(crate) use database::DatabaseWriter;
pub use database::OpenedDatabase;
pub use entry_reader::EntryReader;
pub use erasure::{Vacuumed, vacuum};
pub use import_source::{ImportError, ImportPage, ImportSource};
pub use open_error::{OpenError, OtherMode};
#[cfg(test)]
pub(super) use row::tests::row_of;
pub use schema::SCHEMA_VERSION;
pub use tables::{Outcome, SqliteTables};
pub use values::HomeValue;
