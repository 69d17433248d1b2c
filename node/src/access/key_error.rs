//! Why access keys cannot be used.

use std::{io, path::PathBuf};

use crate::os::line_file::LineFileError;

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read ({path}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line of the file is no key.
    #[error("cannot be used ({path}): {fault}")]
    Lines {
        /// The file.
        path: PathBuf,
        /// The fault of the line.
        fault: LineFileError,
    },
    /// It has no line with a key.
    #[error("holds no key ({0})")]
    Empty(PathBuf),
    /// A workload that may read configuration must not pass as a node.
    #[error("holds a key that is an API key and a cluster key at once")]
    Shared,
    /// It holds a key that no client can send.
    #[error(
        "holds a key with a line break or another control character, which no HTTP header can carry; make another key"
    )]
    Unsendable,
    /// It holds a key that is tried out in no time.
    #[error(
        "holds a key with {has} characters; make a random one with at least {safe} ({least} are the least)"
    )]
    Short {
        /// Bytes of the shortest.
        has: usize,
        /// Fewer are refused.
        least: usize,
        /// So many are safe.
        safe: usize,
    },
    /// It holds the key of the documentation, which is public.
    #[error("holds the well-known default key; make one of your own")]
    WellKnown,
}
