//! The folders of `src/` use each other as the table in ARCHITECTURE.md says, and libraries for the outside world stay in the
//! folders that the table names. Links between pages lead somewhere, and the commands that pages name exist.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod attack_table;
mod citations;
mod commands;
mod contract;
mod files;
mod imports;
mod links;
mod mentions;
mod modules;
mod source;
mod table;
mod words;

use std::collections::BTreeSet;

use source::Source;
use table::Folder;

/// Known exceptions from the table or the rules below: the file, the name that it uses, and why.
const KNOWN: &[(&str, &str, &str)] = &[];

/// Libraries that bring the outside world in, and below which paths they may be named.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("axum", &["api/", "server/"]),
    ("clap", &["cli/", "config/"]),
    ("deadpool_postgres", &["store/postgres/"]),
    ("hyper", &["server/connections/"]),
    ("hyper_util", &["server/connections/"]),
    ("reqwest", &["cli/", "peers/"]),
    ("rusqlite", &["store/sqlite/"]),
    ("rustls_tokio_postgres", &["store/postgres/"]),
    ("tokio_postgres", &["store/postgres/"]),
];

/// Folders that only compute: no time, no thread, no file, no network.
const PURE: &[&str] = &["cluster", "crypto", "domain", "json"];
/// Names that pure folders do not use.
const IMPURE: &[&str] = &[
    "tokio",
    "moka",
    "std::fs",
    "std::thread",
    "std::process",
    "Instant::now",
    "SystemTime",
    "SysRng",
];

/// Folders that know stores only by the promises of every store. One file chooses the store.
const OVER_ANY_STORE: &[&str] = &["api", "entries"];
/// The name that they do not use.
const ONE_STORE: &str = "sqlite";

/// Where SQL is.
const STORES_IN_SQL: &[&str] = &["store/sqlite/", "store/postgres/"];
/// How a statement of SQL begins.
const SQL: &[&str] = &["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "PRAGMA "];

#[test]
fn every_folder_has_its_row_and_every_row_its_folder() {
    let rows: BTreeSet<_> = table::folders().into_iter().map(|row| row.name).collect();
    let folders: BTreeSet<_> = source::all().into_iter().map(|file| file.folder).collect();
    assert_eq!(rows, folders);
}

#[test]
fn arrows_point_up_the_table() {
    let folders = table::folders();
    for (place, Folder { name, uses }) in folders.iter().enumerate() {
        let above = folders.get(..place).unwrap_or_default();
        for used in uses {
            assert!(
                above.iter().any(|folder| folder.name == *used),
                "`{name}` may use `{used}`, which does not stand above it"
            );
        }
    }
}

#[test]
fn every_file_keeps_to_its_row_but_for_the_known_exceptions() {
    let known: BTreeSet<_> = KNOWN
        .iter()
        .map(|(path, name, _)| ((*path).to_owned(), (*name).to_owned()))
        .collect();
    let found: BTreeSet<_> = forbidden_folders().chain(forbidden_names()).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(
        new.is_empty(),
        "neither the table nor the rules allow this: {new:#?}"
    );
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "no exceptions any more: {gone:#?}");
}

#[test]
fn what_a_row_allows_is_needed() {
    let files = source::all();
    for Folder { name, uses } in table::folders() {
        let used: BTreeSet<_> = files
            .iter()
            .filter(|file| file.folder == name)
            .flat_map(|file| imports::of(&file.path, &file.text))
            .collect();
        let unused: Vec<_> = uses.difference(&used).collect();
        assert!(unused.is_empty(), "`{name}` uses none of {unused:?}");
    }
}

/// Each file with a folder that its row does not name.
fn forbidden_folders() -> impl Iterator<Item = (String, String)> {
    let rows = table::folders();
    source::all().into_iter().flat_map(move |file| {
        let row = rows.iter().find(|row| row.name == file.folder);
        let mut used = imports::of(&file.path, &file.text);
        used.retain(|used| *used != file.folder && !row.is_some_and(|row| row.uses.contains(used)));
        used.into_iter().map(move |used| (file.path.clone(), used))
    })
}

/// Each file with a library, or another part of the outside world, that does not belong in its folder.
fn forbidden_names() -> impl Iterator<Item = (String, String)> {
    source::all()
        .into_iter()
        .flat_map(|Source { path, folder, text }| {
            let folder = folder.as_str();
            let libraries = LIBRARIES
                .iter()
                .filter(|(_, places)| !places.iter().any(|place| path.starts_with(place)))
                .map(|(library, _)| *library);
            let impure = IMPURE.iter().copied().filter(|_| PURE.contains(&folder));
            let mut names: Vec<_> = libraries
                .chain(impure)
                .filter(|name| imports::names(&text, name))
                .map(str::to_owned)
                .collect();
            if OVER_ANY_STORE.contains(&folder) && text.contains(ONE_STORE) {
                names.push(ONE_STORE.to_owned());
            }
            if !STORES_IN_SQL.iter().any(|store| path.starts_with(store))
                && SQL.iter().any(|begin| text.contains(&format!("\"{begin}")))
            {
                names.push("SQL".to_owned());
            }
            names.into_iter().map(move |name| (path.clone(), name))
        })
}
