//! `docs/recovery.md` against the operator: each reason of a condition has its row, and no row is without a reason.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use opensecureconf_operator::cluster::resource::CONDITIONS;

const PAGE: &str = include_str!("../../../docs/recovery.md");
/// Where reasons are given, below `src/cluster/`.
const PLACES: [&str; 12] = [
    "stalled.rs",
    "mode_change.rs",
    "recovery.rs",
    "downgrade.rs",
    "layout.rs",
    "pause.rs",
    "validate.rs",
    "secrets/plan.rs",
    "volumes/growth.rs",
    "rebuild/plan.rs",
    "shared",
    "status",
];
/// Words there that are no reasons: kinds, and words of Kubernetes.
const OTHER_WORDS: [&str; 21] = [
    "True",
    "False",
    "Unknown",
    "Secret",
    "ConfigMap",
    "StatefulSet",
    "Deployment",
    "Progressing",
    "ProgressDeadlineExceeded",
    "ReplicaFailure",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ServiceMonitor",
    "Certificate",
    "Image",
    "ContainerCreating",
    "PodInitializing",
    "CrashLoopBackOff",
    "OOMKilled",
    "PodScheduled",
    "Unschedulable",
];
/// Conditions whose reason has their own name when they are true.
const CALLED_ALIKE: [&str; 4] = ["Paused", "Replicated", "SaltMatches", "DatabaseReachable"];

fn sources(place: &Path, all: &mut Vec<PathBuf>) {
    if place.is_file() {
        all.push(place.to_owned());
        return;
    }
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_owned();
        if name != "tests" {
            sources(&path, all);
        }
    }
}

fn is_word(text: &str) -> bool {
    text.len() > 3
        && text.chars().all(char::is_alphanumeric)
        && text.starts_with(char::is_uppercase)
        && text.contains(char::is_lowercase)
}

fn given() -> BTreeSet<String> {
    let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster");
    let mut files = Vec::new();
    for place in PLACES {
        sources(&cluster.join(place), &mut files);
    }
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let texts: Vec<_> = texts
        .map(|text| text.split("#[cfg(test)]").next().unwrap().to_owned())
        .collect();
    let words = texts
        .iter()
        .flat_map(|text| text.split('"').skip(1).step_by(2));
    let is_type = |word: &str| CONDITIONS.contains(&word) && !CALLED_ALIKE.contains(&word);
    words
        .filter(|word| is_word(word) && !is_type(word) && !OTHER_WORDS.contains(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_reason_has_its_row_and_each_row_its_reason() {
    let rows: Vec<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"))
        .map(|(reason, _)| reason.to_owned())
        .collect();
    let told: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(told.len(), rows.len(), "a reason has two rows");
    let given = given();
    let missing: Vec<_> = given.difference(&told).collect();
    let stray: Vec<_> = told.difference(&given).collect();
    assert!(
        missing.is_empty() && stray.is_empty(),
        "without a row: {missing:?}; without a reason: {stray:?}"
    );
}
