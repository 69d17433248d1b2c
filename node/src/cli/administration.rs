//! Commands that give a running node orders, over loopback, with its cluster key and its certificate.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::ArgMatches;
use opensecureconf_contract::MemberState;

use super::{
    commands::{Outcome, beside, counted, path, wait_for},
    given_database::GivenDatabase,
    running_node::{self, Member, Removed},
};
use crate::{
    config::{Config, UsageError},
    log::LogLevel,
    store::{export_salt, read_salt_file, sqlite::ImportSource},
};

/// Instructs the running node with these settings to bootstrap its cluster, once no listed node knows of one.
pub(crate) fn bootstrap(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let running_node::BootstrappedCluster { node, id, before } =
        wait_for(running_node::bootstrap(config, arguments.get_flag("force")))?;
    let mut out = io::stdout();
    if before {
        writeln!(
            out,
            "node '{node}' belongs to a cluster already ({id}); nothing was done"
        )?;
    } else {
        writeln!(
            out,
            "node '{node}' has bootstrapped the cluster ({id}); the other nodes join it by themselves"
        )?;
    }
    Ok(Outcome::Done)
}

/// Lets the running node with these settings go on with its present rows, and lists those that may have been deleted.
pub(crate) fn unfence(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let dry_run = arguments.get_flag("dry-run");
    let unfenced = wait_for(running_node::unfence(config, dry_run))?;
    let mut out = io::stdout().lock();
    if dry_run {
        writeln!(out, "the node is {}; nothing was done", unfenced.state)?;
    } else {
        writeln!(out, "the node goes on with what it has")?;
    }
    writeln!(
        out,
        "{} here may have been deleted elsewhere",
        counted(unfenced.count)
    )?;
    for entry in &unfenced.entries {
        let environment = entry.environment.as_deref().unwrap_or("default");
        writeln!(out, "  - {:?} in environment {environment:?}", entry.key)?;
    }
    let rest = unfenced.count.saturating_sub(unfenced.entries.len() as u64);
    if rest > 0 {
        writeln!(out, "  - and {rest} more")?;
    }
    Ok(Outcome::Done)
}

/// Lists the members of the cluster, or removes a member.
pub(crate) fn members(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    if let Some(("remove", arguments)) = arguments.subcommand() {
        let name = text(arguments, "name")?;
        let incarnation = arguments.get_one::<String>("incarnation");
        let removed = running_node::remove_member(
            config,
            name,
            incarnation.map(String::as_str),
            arguments.get_flag("force"),
        );
        let Removed {
            incarnation,
            answers,
        } = wait_for(removed)?;
        let mut out = io::stdout();
        writeln!(out, "member '{name}' ({incarnation}) is removed")?;
        if answers {
            writeln!(
                out,
                "its node still answers, and joins anew with what the others have: stop it if it shall stay away"
            )?;
        }
        return Ok(Outcome::Done);
    }
    let members = wait_for(running_node::members(config))?;
    let mut out = io::stdout().lock();
    let width = members.iter().map(|member| member.name.len()).max();
    let width = width.unwrap_or_default().max(4);
    writeln!(
        out,
        "{:width$}  {:16}  {:9}  {:9}  {:5}  {:>6}  {:>6}  VERSION",
        "NAME", "INCARNATION", "STATE", "REACHABLE", "READY", "LAG", "BEHIND"
    )?;
    for member in &members {
        let Member {
            name,
            incarnation,
            state,
            is_asked,
            reachable,
            ready,
            lag,
            behind,
            version,
        } = member;
        let reachable = match (is_asked, reachable) {
            (true, _) => "itself",
            (false, true) => "yes",
            (false, false) => "no",
        };
        let ready = if *ready { "yes" } else { "no" };
        writeln!(
            out,
            "{name:width$}  {incarnation:16}  {state:9}  {reachable:9}  {ready:5}  {lag:>6}  {behind:>6}  {version}"
        )?;
    }
    Ok(Outcome::Done)
}

/// Makes the node leave its cluster.
pub(crate) fn leave(config: &Config) -> anyhow::Result<Outcome> {
    let state = wait_for(running_node::leave(config))?;
    let mut out = io::stdout().lock();
    if state == MemberState::Left {
        writeln!(
            out,
            "the node has left: stop it, and remove it on another one (osc-node members remove)"
        )?;
    } else {
        writeln!(
            out,
            "the node is {state}; run it again to see how far it is"
        )?;
    }
    Ok(Outcome::Done)
}

/// Exports the salt, or compares the node's with an exported one.
pub(crate) fn salt(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    match arguments.subcommand() {
        Some(("export", arguments)) => export(config, arguments),
        Some(("compare", arguments)) => {
            let file = path(arguments, "file")?;
            let salt = read_salt_file(file)?;
            let salt = salt.ok_or_else(|| {
                UsageError(vec![format!("the salt file {} is missing", file.display())])
            })?;
            wait_for(running_node::compare_salt(config, &salt))
                .with_context(|| format!("{} ({})", file.display(), salt.fingerprint()))?;
            writeln!(
                io::stdout(),
                "{} is the node's salt ({})",
                file.display(),
                salt.fingerprint()
            )?;
            Ok(Outcome::Done)
        }
        _ => bail!("salt needs a command: export or compare"),
    }
}

fn export(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let output = path(arguments, "output")?;
    let is_stream = output == Path::new("-");
    let mut out = io::stdout();
    ensure!(
        !(is_stream && out.is_terminal()),
        "a salt is no text for a terminal: send standard output into a file, or name one with --output"
    );
    // Checked before the node is asked for the salt; no file is overwritten either way.
    ensure!(
        is_stream || output.symlink_metadata().is_err(),
        "{} exists already; name another file",
        output.display()
    );
    let salt = match arguments.get_one::<PathBuf>("from") {
        Some(from) => {
            let from = GivenDatabase::open(from, "--from", beside(config))?;
            ImportSource::open(from.path(), None)?.salt().clone()
        }
        None => wait_for(running_node::export_salt(config))?,
    };
    if is_stream {
        out.write_all(salt.bytes())?;
        out.flush()?;
        writeln!(
            io::stderr(),
            "the salt ({}) is written to standard output; keep it secret",
            salt.fingerprint()
        )?;
        return Ok(Outcome::Done);
    }
    export_salt(output, &salt)?;
    writeln!(
        out,
        "the salt ({}) is in {}; keep it secret",
        salt.fingerprint(),
        output.display()
    )?;
    Ok(Outcome::Done)
}

/// Deletes an entry unread, or shows or changes the log level.
pub(crate) fn admin(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let mut out = io::stdout();
    match arguments.subcommand() {
        Some(("force-delete", arguments)) => {
            let key = text(arguments, "key")?;
            let environment = arguments.get_one::<String>("environment");
            let environment = environment.map(String::as_str);
            wait_for(running_node::force_delete(config, key, environment))?;
            let place = environment.unwrap_or("default");
            writeln!(out, "{key:?} in environment {place:?} is deleted unread")?;
        }
        Some(("log-level", arguments)) => {
            let Some(name) = arguments.get_one::<String>("level") else {
                writeln!(out, "{}", wait_for(running_node::log_level(config))?)?;
                return Ok(Outcome::Done);
            };
            let level = LogLevel::of_name(name).ok_or_else(|| {
                let choices: Vec<_> = LogLevel::NAMES.iter().map(|(name, _)| *name).collect();
                UsageError(vec![format!(
                    "the level must be {}, not '{name}'",
                    choices.join(" or ")
                )])
            })?;
            wait_for(running_node::set_log_level(config, level))?;
            writeln!(
                out,
                "the node logs from {} on, until it restarts",
                level.name()
            )?;
        }
        _ => bail!("admin needs a command: force-delete or log-level"),
    }
    Ok(Outcome::Done)
}

pub(super) fn text<'a>(arguments: &'a ArgMatches, name: &str) -> anyhow::Result<&'a str> {
    let given = arguments.get_one::<String>(name).map(String::as_str);
    given.with_context(|| format!("{name} is missing"))
}
