//! The files of `src/`, without their comments.

use std::{fs, path::Path};

/// Roots of the library and of the binary: they name folders and hold nothing.
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

/// All of them.
pub(crate) fn all() -> Vec<Source> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    collect(&root, "", &mut found);
    assert!(found.len() > 100, "only {} files", found.len());
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{path}/"), found);
        } else if entry.path().extension().is_some_and(|kind| kind == "rs")
            && !ROOTS.contains(&path.as_str())
        {
            let text = fs::read_to_string(entry.path()).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            found.push(Source {
                folder: path
                    .split('/')
                    .next()
                    .unwrap()
                    .trim_end_matches(".rs")
                    .to_owned(),
                text: code.collect::<Vec<_>>().join("\n"),
                path,
            });
        }
    }
}
