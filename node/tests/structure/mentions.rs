//! The commands that pages, messages, conditions, events and scripts name: the words behind the name of a program.

use crate::files::{self, TextFile};

/// The places and kinds of files with such texts.
const PLACES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "compose.yaml",
    "compose",
    "crds",
    "docs",
    "e2e",
    "findings",
    "helm",
    "manifests",
    "node",
    "operator",
    "release",
];
const KINDS: &[&str] = &[
    "json", "md", "rs", "sh", "snap", "tpl", "txt", "yaml", "yml",
];
/// Characters that end a command in a text.
const ENDS: &[char] = &[
    '`', '"', '\'', ';', '|', '>', '<', '(', ')', '{', '}', '[', ']', ',', '#', '&', '\\',
];

/// One mention of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The file and the line.
    pub(crate) place: String,
    /// The words behind the program's name, up to the end of the command.
    pub(crate) words: Vec<String>,
}

/// Every text that a user or a developer reads.
pub(crate) fn texts() -> Vec<TextFile> {
    let mut texts: Vec<_> = PLACES
        .iter()
        .flat_map(|place| files::below(place, KINDS))
        .collect();
    // These tests name commands that do not exist.
    let tests = ["structure/commands.rs", "it/commands.rs"];
    texts.retain(|file| !tests.iter().any(|test| file.path.ends_with(test)));
    assert!(texts.len() > 500, "only {} files", texts.len());
    texts
}

/// Where texts name a command of a program.
pub(crate) fn of(program: &str, texts: &[TextFile]) -> Vec<Mention> {
    texts
        .iter()
        .flat_map(|file| in_text(program, &file.path, &file.text))
        .collect()
}

/// The mentions in one text.
pub(crate) fn in_text(program: &str, path: &str, text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    for (number, line) in joined(text) {
        // A command as a list of words.
        let line = line.replace("\", \"", " ");
        for (at, _) in line.match_indices(program) {
            let (before, after) = (&line[..at], &line[at + program.len()..]);
            let begins = before
                .chars()
                .next_back()
                .is_none_or(|last| !last.is_alphanumeric() && last != '-' && last != '_');
            if !begins || !after.starts_with(' ') {
                continue;
            }
            let command = after.split(ENDS).next().unwrap_or_default();
            let words = command.split_whitespace();
            let words = words.map(|word| word.trim_end_matches(['.', ':', '?', '!']).to_owned());
            found.push(Mention {
                place: format!("{path}:{number}"),
                words: words.collect(),
            });
        }
    }
    found
}

/// The lines of a text with their numbers; continued lines are joined.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, before)) => {
                before.push(' ');
                before.push_str(part.trim_start());
            }
            None => lines.push((number, part.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// The flags among the words of a command.
pub(crate) fn flags(words: &[String]) -> impl Iterator<Item = &str> {
    let flags = words.iter().filter_map(|word| word.strip_prefix("--"));
    flags
        .map(|flag| flag.split('=').next().unwrap_or_default())
        .filter(|flag| flag.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Whether a word has the form of a command's name.
pub(crate) fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '-')
}
