//! The names of other files that a file uses.

use std::collections::BTreeSet;

/// The folders below `src/` that a file names: after `crate::`, alone or in braces, or by climbing with `super::`.
pub(crate) fn of(path: &str, text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "opensecureconf_node::"] {
        for after in afters(text, root) {
            match after.strip_prefix('{') {
                Some(group) => found.extend(first_words(group)),
                None => found.extend(word(after)),
            }
        }
    }
    climbs(path, text, &mut found);
    found
}

/// Whether a file uses a name that begins with these words.
pub(crate) fn names(text: &str, words: &str) -> bool {
    afters(text, words).any(|after| !after.starts_with(is_of_word))
}

/// The text behind each place where a name begins with this.
fn afters<'t>(text: &'t str, begin: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(begin).filter_map(move |(at, _)| {
        let before = text.get(..at)?;
        let inside = before.ends_with(|last: char| is_of_word(last) || last == ':');
        (!inside).then(|| text.get(at + begin.len()..))?
    })
}

/// The first word of each item of a group, up to its closing brace.
fn first_words(group: &str) -> BTreeSet<String> {
    let (mut depth, mut at_item, mut words) = (0, true, BTreeSet::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_item = true,
            _ if at_item && is_of_word(character) => {
                words.extend(word(group.get(at..).unwrap_or_default()));
                at_item = false;
            }
            _ => {}
        }
    }
    words
}

/// Names that a file reaches by leaving its folder upwards.
fn climbs(path: &str, text: &str, found: &mut BTreeSet<String>) {
    let file = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = file.split('/').count();
    for after in afters(text, "super::") {
        let (mut rest, mut climbed) = (after, 1);
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, climbed) = (next, climbed + 1);
        }
        // Tests beside the code are a module deeper: they climb one level more to the same place.
        let deeper = usize::from(climbed > 0 && is_in_tests(text, rest));
        if climbed == depth + deeper {
            match rest.strip_prefix('{') {
                Some(group) => found.extend(first_words(group)),
                None => found.extend(word(rest)),
            }
        }
    }
}

fn is_in_tests(text: &str, rest: &str) -> bool {
    let at = text.len() - rest.len();
    text.get(..at)
        .is_some_and(|before| before.contains("#[cfg(test)]\nmod tests {"))
}

fn word(text: &str) -> Option<String> {
    let word: String = text
        .chars()
        .take_while(|character| is_of_word(*character))
        .collect();
    (!word.is_empty() && word != "self").then_some(word)
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn a_name_counts_alone_in_braces_and_behind_super() {
    let text = "use crate::{api::{Node, x}, store, tls::{self}};\nlet a = crate::json::parse;\nuse super::super::log;";
    let all = ["api", "json", "log", "store", "tls"].map(str::to_owned);
    assert_eq!(of("peers/list.rs", text), all.clone().into());
    assert!(!of("peers/proof/list.rs", text).contains("log"));
    assert!(of("peers/mod.rs", "use super::log;").contains("log"));
    assert!(names("use tokio::sync;", "tokio") && !names("use tokio_util::sync;", "tokio"));
    assert!(!names("my::tokio::x", "tokio"));
}
