//! Access keys in files.

use std::{io, path::Path};

use zeroize::Zeroizing;

use super::{key_error::KeyFileError, key_set::Keys};
use crate::os::{line_file, regular_file};

/// The key of the documentation, which is public.
pub(crate) const WELL_KNOWN_API_KEY: &str = "your-super-secret-api-key-here";

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
    // The previous key first: the node shows it to nodes that may not have read the new one yet.
    let mut keys = lines_of(&previous, previous_path)?;
    let previous = keys.len();
    keys.extend(current);
    if keys.contains(&WELL_KNOWN_API_KEY.as_bytes()) {
        return Err(KeyFileError::WellKnown);
    }
    Ok(Keys {
        previous,
        ..Keys::new(&keys)?
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let text = regular_file::read_bounded(path).map_err(|source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(Zeroizing::new(text))
}
