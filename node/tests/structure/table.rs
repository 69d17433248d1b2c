//! The table of folders in ARCHITECTURE.md.

use std::{collections::BTreeSet, fs, path::Path};

/// How the table begins.
const HEAD: &str = "| folder of `node/src/` |";

/// One row of the table.
pub(crate) struct Folder {
    /// The folder; of a loose file, its name without `.rs`.
    pub(crate) name: String,
    /// The folders that it may use.
    pub(crate) uses: BTreeSet<String>,
}

/// The rows, as they stand.
pub(crate) fn folders() -> Vec<Folder> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with(HEAD));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let folders: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').collect();
            let [name, .., uses] = cells.as_slice() else {
                panic!("a row has one cell: {row}");
            };
            Folder {
                name: quoted(name).next().unwrap(),
                uses: quoted(uses).collect(),
            }
        })
        .collect();
    assert!(
        !folders.is_empty(),
        "ARCHITECTURE.md has no row below {HEAD}"
    );
    folders
}

/// The texts between backquotes, without a slash or `.rs` at the end.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(|name| {
        name.trim_end_matches(".rs")
            .trim_end_matches('/')
            .to_owned()
    })
}
