//! Who may do what: the keys that callers show, and how many of them they may try.

mod key_file;
mod keys;

pub use key_file::KeyFileError;
pub(crate) use key_file::WELL_KNOWN_API_KEY;
pub(crate) use keys::Lengths;
pub use keys::{AccessKey, AccessKeys};
