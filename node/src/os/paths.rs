//! Paths that people give.

use std::path::Path;

/// Whether SQLite takes a path for that of a file, and not for a URI or a database in memory.
pub fn names_a_file(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path != b":memory:" && !path.starts_with(b"file:")
}
