//! Access keys in files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::keys::Keys;
use crate::os::line_file::{self, LineFileError};

/// The key of the documentation, which everybody knows.
pub(crate) const WELL_KNOWN_API_KEY: &str = "your-super-secret-api-key-here";

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read ({path}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line of it is no key.
    #[error("cannot be used ({path}): {fault}")]
    Lines {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        fault: LineFileError,
    },
    /// It has no line with a key.
    #[error("holds no key ({0})")]
    Empty(PathBuf),
    /// A workload that may read configuration must not pass as a node.
    #[error("holds a key that is an API key and a cluster key at once")]
    Shared,
    /// It holds a key that nobody can send.
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
    /// It holds the key that everybody knows.
    #[error("holds the well-known default key; make one of your own")]
    WellKnown,
}

/// One key per line; blank lines and blanks around a key do not count. Only the file of the previous keys may be absent
/// or empty.
///
/// # Errors
/// A file that cannot be read or has no key, and a line that is no key.
pub(super) fn read_files(path: &Path, previous: Option<&Path>) -> Result<Keys, KeyFileError> {
    let previous_path = previous.unwrap_or(path);
    let previous = match previous.map(read) {
        Some(Err(KeyFileError::Unreadable { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Zeroizing::default()
        }
        Some(text) => text?,
        None => Zeroizing::default(),
    };
    let text = read(path)?;
    let lines_of = |text, path: &Path| {
        line_file::items(text).map_err(|fault| KeyFileError::Lines {
            path: path.to_owned(),
            fault,
        })
    };
    let current = lines_of(&text, path)?;
    if current.is_empty() {
        return Err(KeyFileError::Empty(path.to_owned()));
    }
    // The previous one first: it is shown to nodes that may not have read the new one yet.
    let mut keys = lines_of(&previous, previous_path)?;
    keys.extend(current);
    if keys.contains(&WELL_KNOWN_API_KEY.as_bytes()) {
        return Err(KeyFileError::WellKnown);
    }
    Keys::new(&keys)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let text = fs::read(path).map_err(|source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(Zeroizing::new(text))
}
