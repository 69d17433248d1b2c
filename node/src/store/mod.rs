//! Durable storage of entries: the promises of every store, and the two stores: `sqlite` keeps entries in a file of the node's
//! own, `postgres` in a database that several nodes share.

mod changes;
mod clocks;
mod commits;
mod conflicts;
pub mod copy;
mod deadline;
mod disk;
mod entry_store;
mod error;
mod health;
mod listing;
mod measured;
pub mod postgres;
mod row_cache;
mod salt;
pub mod sqlite;

pub use changes::{ChangeCursor, Changes, Subscription};
pub use conflicts::{CONFLICT_PAGE_BYTES, ConflictPage, LostVersion};
pub use deadline::Deadline;
pub(crate) use disk::Room;
pub use entry_store::{Atomicity, BATCH_ROWS, EntryStore};
pub use error::{Cause, ReadError, StoreLoss, WriteError};
pub(crate) use health::SharedWriteHealth;
pub use health::WriteHealth;
pub use listing::{
    EntrySnapshot, GatheredRows, Hashed, LIST_WAIT, ListedEntry, ROWS_BYTES, Reach, Scanned,
    Selection, VISITOR_STACK,
};
pub(crate) use measured::Measured;
pub use salt::{
    SaltFileError, SaltPlaces, export_salt, keep_salt, read_file as read_salt_file, settle_salt,
};
