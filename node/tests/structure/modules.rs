//! Every file of Rust is compiled: a `mod` line leads to it from the root of a crate. A test whose line is lost runs nowhere and
//! fails nowhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::files;

/// Where the packages of the repository are.
const FOLDERS: [&str; 3] = ["node", "operator", "e2e"];

#[test]
fn each_file_belongs_to_a_crate() {
    let packages: Vec<_> = manifests().collect();
    let sources: BTreeMap<_, _> = FOLDERS
        .iter()
        .flat_map(|folder| files::below(folder, &["rs"]))
        .map(|file| (PathBuf::from(file.path), file.text))
        .collect();
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = sources
        .keys()
        .filter(|path| packages.iter().any(|package| is_root(package, path)))
        .map(|root| (root.clone(), true))
        .collect();
    while let Some((path, root)) = next.pop() {
        let text = &sources[&path];
        let folder = folder_of_modules(&path, root);
        for name in modules(text) {
            let file = folder.join(format!("{name}.rs"));
            let either = [file, folder.join(&name).join("mod.rs")];
            next.extend(
                either
                    .into_iter()
                    .filter(|module| sources.contains_key(module) && !reached.contains(module))
                    .map(|module| (module, false)),
            );
        }
        reached.insert(path);
    }
    assert!(reached.len() > 700, "only {} files", reached.len());
    let lost: Vec<_> = sources
        .keys()
        .filter(|path| !reached.contains(*path))
        .collect();
    assert!(lost.is_empty(), "no `mod` line leads to {lost:?}");
}

/// The folders of all packages.
fn manifests() -> impl Iterator<Item = PathBuf> {
    FOLDERS
        .iter()
        .flat_map(|folder| files::below(folder, &["toml"]))
        .map(|file| PathBuf::from(file.path))
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter_map(|path| path.parent().map(Path::to_owned))
}

/// Whether Cargo begins a crate of this package with this file.
fn is_root(package: &Path, file: &Path) -> bool {
    let Ok(below) = file.strip_prefix(package) else {
        return false;
    };
    let parts: Vec<_> = below.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
        ["tests" | "benches" | "examples", rest @ ..] | ["src", "bin", rest @ ..] => {
            is_target(rest)
        }
        _ => false,
    }
}

/// Whether this is the only or the first file of a target, as Cargo finds them.
fn is_target(parts: &[&str]) -> bool {
    matches!(parts, [_] | [_, "main.rs"])
}

/// The folder in which the modules of a file lie.
fn folder_of_modules(file: &Path, root: bool) -> PathBuf {
    if root || file.ends_with("mod.rs") {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    }
}

/// The names of the modules that are files of their own.
fn modules(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let after = line.strip_prefix("pub").unwrap_or(line);
        let after = match after.strip_prefix('(') {
            Some(within) => within.split_once(')')?.1,
            None => after,
        };
        let name = after.trim_start().strip_prefix("mod ")?;
        let name = name.strip_suffix(';')?;
        Some(name.to_owned())
    })
}

#[test]
fn modules_are_found_however_visible_they_are() {
    let text = "mod one;\npub(crate) mod two;\n    pub mod three;\n\
        pub(in crate::one) mod four;\nmod five {\n// mod six;\n";
    assert!(modules(text).eq(["one", "two", "three", "four"]));
    for (file, root) in [
        ("node/src/lib.rs", true),
        ("node/tests/it/main.rs", true),
        ("node/tests/alone.rs", true),
        ("node/src/bin/tool.rs", true),
        ("node/tests/it/node.rs", false),
        ("node/tests/it/ports/main.rs", false),
        ("node/src/api/main.rs", false),
    ] {
        assert_eq!(is_root(Path::new("node"), Path::new(file)), root, "{file}");
    }
}
