//! One word for one thing: old words for what the field, or docs/glossary.md, names otherwise do not come back.

use crate::{
    files::{self, TextFile},
    imports::names,
    links::pages,
};

/// Old words, and the words that replaced them.
const OLD: &[(&str, &str)] = &[
    ("Attempts", "RetryBudget"),
    ("Audience", "AckTargets"),
    ("Beginning", "InitialState"),
    ("Boot", "ProcessEpoch"),
    ("Contacts", "PeerTable"),
    ("Discipline", "AdminStrategy"),
    ("Fate", "Delivery, ReclaimOutcome"),
    ("FoundBody", "BootstrapBody"),
    ("Founded", "Bootstrapped"),
    ("Founding", "bootstrap, cluster uid"),
    ("FoundingId", "ClusterUid"),
    ("Gathering", "ScatterGather"),
    ("Happening", "SimulationEvent"),
    ("Hello", "PeerInfo"),
    ("Holder", "ValueLocation"),
    ("OtherFounding", "OtherClusterUid"),
    ("OwnerAnswer", "AdminOutcome"),
    ("OwnerOrder", "AdminOrder"),
    ("OwnerRefusal", "AdminRefusal"),
    ("PATIENCE", "TIMEOUT"),
    ("Patience", "Timeouts"),
    ("Witnesses", "SaltReports"),
    ("boot", "process_epoch"),
    ("patience", "timeout, timeouts"),
    ("portrait", "dump"),
    ("whisper", "trace"),
];

#[test]
fn no_old_word_comes_back() {
    let mut said = Vec::new();
    let mut files = 0;
    for TextFile { path, text } in each(&["node", "operator", "e2e"], &["rs"]) {
        files += 1;
        let old = OLD.iter().filter(|(old, _)| names(&text, old));
        said.extend(old.map(|(old, new)| format!("{path}: {old}, which is {new}")));
    }
    assert!(files > 300, "only {files} files");
    assert_eq!(said, Vec::<String>::new());
}

/// Old names on disk, on the wire, in logs, settings and pages, and their new names. Code is checked too: serialized names are
/// mostly names of fields.
const SERIALIZED: &[(&str, &str)] = &[
    ("FOUNDING_DEPTH", "BOOTSTRAP_DEPTH"),
    ("boot_began", "epoch_began"),
    ("founded", "bootstrapped"),
    ("founder", "the node that bootstrapped"),
    ("founders", "nodes that bootstrapped"),
    ("founding", "bootstrap, cluster_uid"),
    ("foundings", "cluster_uids"),
    ("founds", "bootstraps"),
    ("other_founding", "other_cluster_uid"),
    ("owned_values", "home_values"),
    ("patience_ms", "timeout_ms"),
];

/// Fields whose old names have other meanings too: they come back neither as public fields nor in quotation marks.
const FIELDS: &[(&str, &str)] = &[("boot", "process_epoch"), ("standing", "status")];

#[test]
fn no_old_name_comes_back_on_disk_on_the_wire_or_in_a_log() {
    let kinds = ["json", "md", "rs", "snap", "sql", "toml", "yaml", "yml"];
    let mut said = Vec::new();
    let mut files = 0;
    let folders = [
        "compose",
        "docs",
        "e2e",
        "helm",
        "manifests",
        "node",
        "operator",
    ];
    for TextFile { path, text } in each(&folders, &kinds) {
        files += 1;
        let old = SERIALIZED.iter().filter(|(old, _)| names(&text, old));
        said.extend(old.map(|(old, new)| format!("{path}: {old}, which is {new}")));
        let old = FIELDS.iter().filter(|(old, _)| {
            text.contains(&format!("\"{old}\"")) || text.contains(&format!("pub {old}: "))
        });
        said.extend(old.map(|(old, new)| format!("{path}: {old}, which is {new}")));
    }
    assert!(files > 400, "only {files} files");
    assert_eq!(said, Vec::<String>::new());
}

/// Words that name no actor: the node, the operator, a client, a user or an attacker acts.
const NO_ACTORS: &[&str] = &["anybody", "nobody", "somebody", "whoever"];

#[test]
fn pages_name_who_acts() {
    let mut said = Vec::new();
    // The log of changes is not written anew.
    for TextFile { path, text } in pages() {
        if path == "CHANGELOG.md" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            // Names of tests and text of programs stand in backticks.
            let prose: String = line.split('`').step_by(2).collect();
            let prose = prose.to_lowercase();
            let word = NO_ACTORS.iter().find(|word| names(&prose, word));
            said.extend(word.map(|word| format!("{path}:{}: {word}", number + 1)));
        }
    }
    assert_eq!(said, Vec::<String>::new());
}

/// Words that name no speaker: a node reports, logs or answers, and an operator instructs.
const TOLD: &[&str] = &[
    "are told",
    "be told",
    "been told",
    "is told",
    "was told",
    "were told",
];

#[test]
fn code_names_who_acts() {
    let mut said = Vec::new();
    let mut files = 0;
    for TextFile { path, text } in each(&["node/src", "node/contract", "operator/src"], &["rs"]) {
        files += 1;
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            let mut words = NO_ACTORS.iter().chain(TOLD);
            let word = words.find(|word| names(&line, word));
            said.extend(word.map(|word| format!("{path}:{}: {word}", number + 1)));
        }
    }
    assert!(files > 300, "only {files} files");
    assert_eq!(said, Vec::<String>::new());
}

/// Every file of these kinds below these folders, except for this one.
fn each(folders: &[&str], kinds: &[&str]) -> impl Iterator<Item = TextFile> {
    let files = folders
        .iter()
        .flat_map(|folder| files::below(folder, kinds));
    files.filter(|file| !file.path.ends_with("structure/words.rs"))
}
