//! The files of `src/`, without their comments.

use crate::files;

/// Roots of the library and of the binary: they name folders and hold no code of their own.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

/// One file.
pub(crate) struct Source {
    /// Its path below `src/`.
    pub(crate) path: String,
    /// The folder below `src/` that it is in; of a loose file, its name without `.rs`.
    pub(crate) folder: String,
    /// Its code.
    pub(crate) text: String,
}

/// All source files.
pub(crate) fn all() -> Vec<Source> {
    let files = files::below("node/src", &["rs"]).into_iter();
    let found: Vec<_> = files
        .filter_map(|file| {
            let path = file.path.strip_prefix("node/src/").unwrap().to_owned();
            let first = path.split('/').next().unwrap();
            let folder = first.trim_end_matches(".rs").to_owned();
            let code = file
                .text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let text = code.collect::<Vec<_>>().join("\n");
            (!ROOTS.contains(&path.as_str())).then_some(Source { path, folder, text })
        })
        .collect();
    assert!(found.len() > 100, "only {} files", found.len());
    found
}
