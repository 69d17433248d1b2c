//! Every command of `osc-node` or `make` that a text names exists, with the flags that it names.

use std::{collections::BTreeSet, fs};

use clap::Command;
use opensecureconf_node::cli;

use crate::{
    files::repository,
    mentions::{self, Mention, flags, is_name},
};

/// Words behind the name of the program that are none of its commands.
const PROSE: &[&str] = &["beside", "operator", "osc-operator", "there"];
/// Commands that a page lists as missing: the page, and the command.
const MISSING: &[(&str, &str)] = &[];

#[test]
fn what_is_named_of_osc_node_is_there() {
    let mentions = mentions::of("osc-node", &mentions::texts());
    assert!(mentions.len() > 150, "only {} mentions", mentions.len());
    let faults: Vec<_> = mentions.iter().filter_map(fault).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn what_is_said_to_be_missing_is_missing() {
    let known = cli::command();
    for (page, command) in MISSING {
        assert!(
            known.find_subcommand(command).is_none(),
            "{page}: {command}"
        );
    }
}

/// The fault of a mention, if it has one.
fn fault(mention: &Mention) -> Option<String> {
    let Mention { place, words } = mention;
    let is_known = |word: &str| {
        let mut missing = MISSING.iter();
        PROSE.contains(&word)
            || missing.any(|(page, command)| place.starts_with(page) && word == *command)
    };
    let mut command = &cli::command();
    let mut rest = words.as_slice();
    while let [word, after @ ..] = rest {
        if !is_name(word) || !command.has_subcommands() {
            break;
        }
        match command.find_subcommand(word) {
            Some(found) => command = found,
            None if is_known(word) => return None,
            None => return Some(format!("{place}: {} has no {word}", command.get_name())),
        }
        rest = after;
    }
    flags(rest)
        .find(|flag| !takes(command, flag))
        .map(|flag| format!("{place}: {} has no --{flag}", command.get_name()))
}

fn takes(command: &Command, flag: &str) -> bool {
    // Settings are flags of every command.
    let serving = cli::command();
    ["help", "version"].contains(&flag)
        || command
            .get_arguments()
            .chain(serving.get_arguments())
            .any(|argument| argument.get_long() == Some(flag))
}

#[test]
fn a_command_that_is_not_there_is_found() {
    let in_text = |text: &str| {
        let mentions = mentions::in_text("osc-node", "page", text);
        mentions.iter().filter_map(fault).collect::<Vec<_>>()
    };
    for text in [
        "run `osc-node members`, then `osc-node members remove NAME --force`",
        "kubectl exec POD -c node -- osc-node backup --output - > backup.db",
        "osc-node --host 0.0.0.0 \\\n  --host-port 9000",
        "HEALTHCHECK CMD [\"/usr/local/bin/osc-node\", \"health\"]",
        "opensecureconf-node backs nothing up; build osc-node beside it",
    ] {
        assert_eq!(in_text(text), Vec::<String>::new(), "{text}");
    }
    for text in [
        "run `osc-node members forget NAME`",
        "run 'osc-node migrate'",
        "osc-node backup --ouput x",
        "osc-node --host 0.0.0.0 \\\n  --http-prot 9000",
        "[\"osc-node\", \"helth\"]",
    ] {
        assert_eq!(in_text(text).len(), 1, "{text}");
    }
}

/// The targets of `make`.
fn targets() -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("Makefile")).unwrap();
    let names = text.lines().filter_map(|line| line.split_once(':'));
    names
        .filter(|(name, rest)| is_target(name) && !rest.starts_with('='))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn is_target(word: &str) -> bool {
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && letters
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

/// The targets of `make` that a line names. The word has other uses: only code counts, and the commands in a message.
fn made(line: &str) -> Vec<String> {
    let spans = line.split('`').skip(1).step_by(2);
    let order = ["$ make ", ": make ", "run make ", "of make "];
    let orders = order.iter().filter_map(|order| {
        let (_, rest) = line.split_once(order)?;
        Some(format!("make {rest}"))
    });
    let commands = spans.map(str::to_owned).chain(orders);
    commands
        .filter_map(|command| {
            let mut words = command
                .split_whitespace()
                .skip_while(|word| word.contains('='));
            (words.next() == Some("make")).then_some(())?;
            let mut goals = words.filter(|word| !word.contains('=') && !word.starts_with('-'));
            let goal = goals
                .next()?
                .trim_end_matches(|letter: char| !letter.is_alphanumeric());
            is_target(goal).then(|| goal.to_owned())
        })
        .collect()
}

#[test]
fn what_is_named_of_make_is_there() {
    let targets = targets();
    let (mut named, mut faults) = (0, Vec::new());
    for file in mentions::texts() {
        for (number, line) in (1..).zip(file.text.lines()) {
            for goal in made(line) {
                named += 1;
                if !targets.contains(&goal) {
                    faults.push(format!("{}:{number}: make {goal}", file.path));
                }
            }
        }
    }
    assert!(named > 100, "only {named}");
    assert_eq!(faults, Vec::<String>::new());
    assert!(
        !made("first run `KUBERNETES=1.33 make nothing`")
            .iter()
            .all(|goal| targets.contains(goal))
    );
}
