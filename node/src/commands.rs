//! What `osc-node` does besides serving: show settings, check, back up, restore.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use clap::ArgMatches;
use opensecureconf_node::{
    config::{Config, Layers, SETTINGS},
    serve::fresh_incarnation,
    store::{self, Findings},
};

/// How a command ended, as the exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Damaged,
}

/// Prints the settings in effect, one per line, as a `.env` file has them; secrets are masked.
pub(crate) fn show_config(layers: &Layers) -> anyhow::Result<Outcome> {
    let mut out = io::stdout().lock();
    for setting in SETTINGS {
        let variable = setting.variable();
        match layers.get(setting.name) {
            None => writeln!(out, "# {variable} is not set")?,
            Some("") => writeln!(out, "{variable}=")?,
            Some(_) if setting.is_secret() => writeln!(out, "{variable}=***")?,
            Some(value) => writeln!(out, "{variable}={value}")?,
        }
    }
    Ok(Outcome::Done)
}

/// Checks the database.
pub(crate) fn check(config: &Config) -> anyhow::Result<Outcome> {
    let findings = store::check(&config.database_path)?;
    let Findings {
        entries,
        tombstones,
        set_aside,
        damage,
    } = &findings;
    let mut out = io::stdout().lock();
    writeln!(out, "database    {}", config.database_path.display())?;
    writeln!(out, "entries     {entries}")?;
    writeln!(out, "tombstones  {tombstones}")?;
    writeln!(out, "set aside   {set_aside}")?;
    if damage.is_empty() {
        writeln!(out, "damage      none")?;
        return Ok(Outcome::Done);
    }
    writeln!(out, "damage      {} (restore a backup)", damage.len())?;
    for line in damage {
        writeln!(out, "  - {line}")?;
    }
    Ok(Outcome::Damaged)
}

/// Copies the database.
pub(crate) fn backup(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let output = path(arguments, "output")?;
    let copied = store::backup(&config.database_path, output)?;
    writeln!(
        io::stdout(),
        "{} entries and the salt are in {}; keep it secret",
        copied.entries,
        output.display()
    )?;
    Ok(Outcome::Done)
}

/// Puts a backup in the database's place.
pub(crate) fn restore(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let input = path(arguments, "input")?;
    let copied = store::restore(
        input,
        &config.database_path,
        &config.salt_file_path,
        arguments.get_flag("force"),
        fresh_incarnation()?,
    )?;
    writeln!(
        io::stdout(),
        "{} entries are in {}; the next start writes the salt file",
        copied.entries,
        config.database_path.display()
    )?;
    Ok(Outcome::Done)
}

fn path<'a>(arguments: &'a ArgMatches, name: &str) -> anyhow::Result<&'a Path> {
    arguments
        .get_one::<String>(name)
        .map(Path::new)
        .with_context(|| format!("--{name} is missing"))
}
