//! Pages that name a test as proof name one that is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::links::{pages, repository};

#[test]
fn each_test_that_a_page_cites_is_there() {
    let mut sources = BTreeMap::new();
    for folder in ["node", "operator", "e2e"] {
        read(&repository().join(folder), &mut sources);
    }
    let (mut cited, mut missing) = (0, Vec::new());
    for page in pages().iter().filter(|page| *page != "CHANGELOG.md") {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        // What stands in backticks is every second part.
        for citation in text.split('`').skip(1).step_by(2) {
            let Some((file, test)) = citation.split_once(".rs::") else {
                continue;
            };
            cited += 1;
            let file = PathBuf::from(format!("{file}.rs"));
            // Long names may be cut.
            let found = sources.iter().any(|(path, source): (&PathBuf, &String)| {
                path.ends_with(&file)
                    && match test.strip_suffix("...") {
                        Some(begin) => source.contains(&format!("fn {begin}")),
                        None => source.contains(&format!("fn {test}(")),
                    }
            });
            if !found {
                missing.push(format!("{page}: {citation}"));
            }
        }
    }
    assert!(cited > 30, "{cited}");
    assert_eq!(missing, Vec::<String>::new());
}

/// The Rust sources below a folder.
fn read(folder: &Path, sources: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            read(&path, sources);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            sources.insert(path, source);
        }
    }
}
