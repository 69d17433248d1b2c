//! Every test that a page cites as proof exists.

use std::path::Path;

use crate::{
    files::{self, TextFile},
    links::pages,
};

#[test]
fn each_test_that_a_page_cites_is_there() {
    let folders = ["node", "operator", "e2e"];
    let sources: Vec<_> = folders
        .iter()
        .flat_map(|folder| files::below(folder, &["rs"]))
        .collect();
    let (mut cited, mut missing) = (0, Vec::new());
    for TextFile { path: page, text } in pages() {
        if page == "CHANGELOG.md" {
            continue;
        }
        // The text in backticks is every second part.
        for citation in text.split('`').skip(1).step_by(2) {
            let Some((file, test)) = citation.split_once(".rs::") else {
                continue;
            };
            cited += 1;
            let file = format!("{file}.rs");
            // Long names may be cut.
            let found = sources.iter().any(|source| {
                Path::new(&source.path).ends_with(&file)
                    && match test.strip_suffix("...") {
                        Some(begin) => source.text.contains(&format!("fn {begin}")),
                        None => source.text.contains(&format!("fn {test}(")),
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
