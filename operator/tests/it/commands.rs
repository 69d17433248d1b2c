//! Every command of `osc-operator` that a text names exists, with the flags that it names.

use std::{collections::BTreeMap, process::Command};

use crate::mentions::{self, Mention, flags, is_name};

/// The help text of a command.
fn help(command: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_osc-operator"));
    let output = program.args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Each command, and its help.
fn commands() -> BTreeMap<String, String> {
    let all = help(&[]);
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    names.map(|name| (name.to_owned(), help(&[name]))).collect()
}

/// The fault of a mention, if it has one.
fn fault(commands: &BTreeMap<String, String>, mention: &Mention) -> Option<String> {
    let Mention { place, words } = mention;
    let [name, rest @ ..] = words.as_slice() else {
        return None;
    };
    // A list of programs is no command.
    if !is_name(name) || name == "osc-node" {
        return None;
    }
    let Some(help) = commands.get(name) else {
        return Some(format!("{place}: osc-operator has no {name}"));
    };
    let takes = |flag: &str| {
        let mut words = help.split(|letter: char| letter.is_whitespace() || letter == ',');
        words.any(|word| word.strip_prefix("--") == Some(flag))
    };
    flags(rest)
        .find(|flag| !takes(flag))
        .map(|flag| format!("{place}: {name} has no --{flag}"))
}

#[test]
fn the_version_is_told_under_the_name_of_the_program() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_osc-operator"));
    let output = program.arg("--version").output().unwrap();
    let version = concat!("osc-operator ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
}

#[test]
fn what_is_named_of_osc_operator_is_there() {
    let commands = commands();
    assert!(commands.len() >= 8, "{:?}", commands.keys());
    let mentions = mentions::of("osc-operator", &mentions::texts());
    assert!(mentions.len() > 25, "only {} mentions", mentions.len());
    let faults: Vec<_> = mentions
        .iter()
        .filter_map(|mention| fault(&commands, mention))
        .collect();
    assert_eq!(faults, Vec::<String>::new());
    for text in [
        "osc-operator start",
        "osc-operator local --tsl",
        "[\"/osc-operator\", \"helth\"]",
    ] {
        let mentions = mentions::in_text("osc-operator", "page", text);
        let faults = mentions
            .iter()
            .filter_map(|mention| fault(&commands, mention));
        assert_eq!(faults.count(), 1, "{text}");
    }
}
