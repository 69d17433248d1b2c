//! What a client gets: entries, errors, and the memory that answers take until they are taken.

mod causes;
pub(super) mod entry;
pub(super) mod entry_json;
pub(super) mod error;
pub(super) mod exact_json;
pub(super) mod problem;
pub(super) mod protective_headers;
pub(super) mod streaming;
pub(super) mod untaken;
