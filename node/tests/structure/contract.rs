//! The agreements of node and operator stand in one crate, which only computes, and nowhere else.

use std::fs;

use crate::files::{self, TextFile, repository};

/// The crates that the contract uses, beside the standard library.
const LIBRARIES: [&str; 6] = [
    "hmac",
    "percent-encoding",
    "serde",
    "sha2",
    "thiserror",
    "zeroize",
];

/// Names that the contract does not use: time, threads, files, the network, the environment.
const IMPURE: [&str; 7] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
];

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// The crates that a released package is linked with.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = read(manifest);
    let begin = text.lines().skip_while(|line| *line != "[dependencies]");
    let lines = begin.skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The code of every file below a folder, without comments and tests.
fn code_below(folder: &str) -> Vec<(String, String)> {
    let files = files::below(folder, &["rs"]).into_iter();
    files
        .filter(|file| !file.path.contains("/tests/") && !file.path.ends_with("/tests.rs"))
        .map(|TextFile { path, text }| {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            (path, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

#[test]
fn the_contract_thinks_and_does_nothing() {
    assert_eq!(dependencies("node/contract/Cargo.toml"), LIBRARIES);
    for (path, code) in code_below("node/contract/src") {
        for name in IMPURE {
            assert!(!code.contains(name), "{path} names {name}");
        }
    }
}

#[test]
fn a_released_operator_holds_the_contract_and_no_node() {
    for manifest in ["node/Cargo.toml", "operator/Cargo.toml"] {
        let linked = dependencies(manifest);
        assert!(linked.contains(&"opensecureconf-contract".to_owned()));
        assert!(!linked.contains(&"opensecureconf-node".to_owned()));
    }
}

#[test]
fn the_operator_and_the_commands_spell_no_route_of_a_node() {
    for folder in ["operator/src", "node/src/cli"] {
        for (path, code) in code_below(folder) {
            for begin in [
                "\"/cluster/",
                "\"/admin/",
                "\"OSC_CLUSTER_",
                "\"OSC_DATABASE_",
                "\"OSC_HOST",
            ] {
                let is_help = folder == "node/src/cli" && begin.starts_with("\"OSC_");
                assert!(is_help || !code.contains(begin), "{path} spells {begin}");
            }
        }
    }
}
