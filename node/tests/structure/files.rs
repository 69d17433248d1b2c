//! The texts of the repository, as these tests read them: one walk for all.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders of build results, downloads and other tools, wherever they lie.
const NOT_OURS: &[&str] = &["target", "node_modules", ".git"];

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    /// Its path below the repository.
    pub(crate) path: String,
    /// The text of the file.
    pub(crate) text: String,
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every file of some kinds below a folder, or the file of that name.
pub(crate) fn below(start: &str, kinds: &[&str]) -> Vec<TextFile> {
    let mut found = Vec::new();
    visit(&repository().join(start), kinds, &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn visit(path: &Path, kinds: &[&str], found: &mut Vec<TextFile>) {
    if path.is_dir() {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| !NOT_OURS.contains(&name)) {
            for entry in fs::read_dir(path).unwrap() {
                visit(&entry.unwrap().path(), kinds, found);
            }
        }
    } else if path
        .extension()
        .is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted))
    {
        let below = path.strip_prefix(repository()).unwrap();
        found.push(TextFile {
            path: below.display().to_string(),
            text: fs::read_to_string(path).unwrap(),
        });
    }
}
