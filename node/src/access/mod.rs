//! Access: the keys that callers show, their rights, and how many keys they may try.

mod access_limit;
mod failure_limit;
mod key_error;
mod key_file;
mod key_set;
mod keys;
mod leaky_bucket;
mod shown_keys;
mod tries;

pub use key_error::KeyFileError;
pub(crate) use key_file::WELL_KNOWN_API_KEY;
pub use key_set::AccessKey;
pub(crate) use key_set::Lengths;
pub use keys::AccessKeys;
pub(crate) use leaky_bucket::MINUTE;
pub(crate) use shown_keys::ShownKeys;
pub(crate) use tries::{AccessKeyTries, Shown, UserKeyTries};
