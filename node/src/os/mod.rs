//! The process's requests to the operating system, and the reading of users' files.

pub mod allocator;
pub mod hangup;
pub mod line_file;
pub mod open_files;
mod paths;
pub mod permission;
pub mod process_privacy;
mod random;
pub mod regular_file;
pub mod reload;
pub(crate) mod worker_threads;

pub use paths::names_a_file;
pub(crate) use random::random;
