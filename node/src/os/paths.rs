//! Paths in settings.

use std::path::Path;

/// Whether SQLite reads a path as that of a file, and not as a URI or a database in memory.
pub fn names_a_file(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path != b":memory:" && !path.starts_with(b"file:")
}
