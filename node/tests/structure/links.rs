//! Links between pages lead to files and headings that are there, and the book has every page of `docs/`.

use std::{collections::BTreeSet, fs, path::Path};

use crate::files::{self, TextFile, repository};

/// Pages that stand in the repository itself.
const ROOTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
];
/// Folders whose pages are checked.
const FOLDERS: &[&str] = &["docs", "helm"];
/// The links of this page start at the repository's root: the book is built from a copy of it there.
const SUMMARY: &str = "docs/book/SUMMARY.md";

/// The pages.
pub(crate) fn pages() -> Vec<TextFile> {
    let places = ROOTS.iter().chain(FOLDERS);
    places
        .flat_map(|place| files::below(place, &["md"]))
        .collect()
}

/// The lines of a page outside its examples.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_example = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_example ^= fence;
        !in_example && !fence
    })
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let targets = prose(text).flat_map(|line| {
        let rest = line.split("](").skip(1);
        rest.filter_map(|rest| rest.split_once(')'))
    });
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page: its headings in the form that links use.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The fault of a link, if it has one.
fn fault(page: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let root = repository();
    let folder = Path::new(page).parent().unwrap();
    let target = match (page, file) {
        (_, "") => root.join(page),
        (SUMMARY, file) => root.join(file),
        (_, file) => root.join(folder).join(file),
    };
    if !target.exists() {
        return Some(format!("{page}: {link}: no such file"));
    }
    let missing =
        !anchor.is_empty() && !anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
    missing.then(|| format!("{page}: {link}: no such heading"))
}

#[test]
fn every_link_leads_somewhere() {
    let (mut looked_at, mut faults) = (0, Vec::new());
    for TextFile { path, text } in pages() {
        for link in links(&text) {
            looked_at += 1;
            faults.extend(fault(&path, &link));
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(looked_at > 80, "only {looked_at} links");
}

#[test]
fn a_link_to_nothing_is_found() {
    assert!(fault("README.md", "docs/none.md").is_some());
    assert!(fault("docs/tls.md", "upgrades.md#no-such-heading").is_some());
    assert!(fault("docs/tls.md", "../README.md").is_none());
}

#[test]
fn the_book_has_every_page() {
    let summary = fs::read_to_string(repository().join(SUMMARY)).unwrap();
    let listed: BTreeSet<_> = links(&summary).into_iter().collect();
    let pages = pages().into_iter().map(|page| page.path);
    let pages = pages.filter(|page| {
        page != SUMMARY && (ROOTS.contains(&page.as_str()) || page.starts_with("docs/"))
    });
    let missing: Vec<_> = pages.filter(|page| !listed.contains(page)).collect();
    assert_eq!(missing, [""; 0]);
}
