//! The commands of `osc-node` besides serving: show settings, check, back up, restore, bootstrap a cluster, import.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::ArgMatches;

use super::{given_database::GivenDatabase, running_node};
use crate::{
    budget::{CacheSizes, MemoryPlan, MemorySource, Share},
    cluster::MemberName,
    config::{Config, Layers, SETTINGS, UsageError, remark_on_unknown},
    server::fresh_incarnation,
    store::sqlite::{self, Findings, NewLife, Vacuumed},
};

/// The result of a command, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Damaged,
    Incomplete,
}

/// Prints the settings in effect, one per line, in the form of a `.env` file; secrets are masked. Values that the node derives
/// stand in comments.
pub(crate) fn show_config(layers: &Layers, config: &Config) -> anyhow::Result<Outcome> {
    let mut out = io::stdout().lock();
    for setting in SETTINGS {
        let variable = setting.variable();
        match layers.get(setting.name) {
            None => writeln!(out, "# {variable} is not set")?,
            Some(_) if setting.is_secret() => writeln!(out, "{variable}=***")?,
            Some(value) => writeln!(out, "{variable}={value}")?,
        }
    }
    for name in layers.unknown() {
        writeln!(out, "# {}", remark_on_unknown(name))?;
    }
    show_memory(&config.memory, config.caches, &mut out)?;
    Ok(Outcome::Done)
}

/// Prints how much memory each kind of work may take.
fn show_memory(plan: &MemoryPlan, caches: CacheSizes, out: &mut impl Write) -> io::Result<()> {
    let source = match plan.source() {
        MemorySource::Setting => "OSC_MEMORY_BYTES".to_owned(),
        MemorySource::Cgroup(limit) => format!("60 % of the cgroup's limit of {limit}"),
        MemorySource::Unlimited => "no limit is set, and the cgroup has none".to_owned(),
    };
    writeln!(
        out,
        "# memory that is planned with: {} bytes ({source})",
        plan.total()
    )?;
    for share in Share::ALL {
        writeln!(
            out,
            "#   OSC_{} {} bytes",
            share.setting(),
            plan.bytes(share)
        )?;
    }
    let CacheSizes {
        rows,
        keys,
        readers,
        pages,
    } = caches;
    writeln!(
        out,
        "# of the last: {rows} bytes of rows, {keys} data keys, {pages} bytes of pages for each of {} connections",
        readers + 1
    )
}

/// Checks the database.
pub(crate) fn check(config: &Config) -> anyhow::Result<Outcome> {
    must_have_a_file(config)?;
    let path = match database(config) {
        Ok(path) => path,
        Err(absent) => {
            writeln!(io::stderr(), "osc-node: {absent}")?;
            return Ok(Outcome::Damaged);
        }
    };
    let findings = sqlite::check(path)?;
    let Findings {
        entries,
        home_values,
        tombstones,
        sealed,
        set_aside,
        damage,
    } = &findings;
    let mut out = io::stdout().lock();
    writeln!(out, "database    {}", config.database_path.display())?;
    writeln!(out, "entries     {entries}")?;
    if *home_values > 0 {
        // Only in a federated cluster.
        writeln!(out, "home values {home_values}")?;
    }
    writeln!(out, "tombstones  {tombstones}")?;
    writeln!(
        out,
        "sealed      {sealed} (by the right seal? only their user keys show that)"
    )?;
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

/// Writes the database anew.
pub(crate) fn vacuum(config: &Config) -> anyhow::Result<Outcome> {
    let path = database(config)?;
    let Vacuumed { before, after } = sqlite::vacuum(path)?;
    writeln!(
        io::stdout(),
        "{} is written anew: {before} bytes before, {after} now",
        path.display()
    )?;
    Ok(Outcome::Done)
}

/// Copies the database.
pub(crate) fn backup(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let output = path(arguments, "output")?;
    if output == Path::new("-") {
        return backup_to_stdout(database(config)?);
    }
    let copied = sqlite::backup(database(config)?, output)?;
    writeln!(
        io::stdout(),
        "{} and the salt are in {}; keep it secret",
        counted(copied.entries),
        output.display()
    )?;
    Ok(Outcome::Done)
}

/// The same to standard output.
fn backup_to_stdout(database: &Path) -> anyhow::Result<Outcome> {
    let mut out = io::stdout().lock();
    ensure!(
        !out.is_terminal(),
        "a backup is no text for a terminal: send standard output into a file, or name one with --output"
    );
    let copied = sqlite::backup_into(database, &mut out)?;
    writeln!(
        io::stderr(),
        "{} and the salt are written to standard output; keep it secret",
        counted(copied.entries)
    )?;
    Ok(Outcome::Done)
}

/// Puts a backup in the database's place.
pub(crate) fn restore(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    must_have_a_file(config)?;
    let input = existing(path(arguments, "input")?, "--input")?;
    let cluster_is_lost = arguments.get_flag("new-cluster");
    let copied = sqlite::restore(
        input,
        &config.database_path,
        &config.salt_file_path,
        arguments.get_flag("force"),
        &NewLife {
            incarnation: fresh_incarnation()?,
            name: MemberName::new(config.node_id.clone()),
            cluster_is_lost,
        },
    )?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} {} in {}; the next start writes the salt file",
        counted(copied.entries),
        if copied.entries == 1 { "is" } else { "are" },
        config.database_path.display()
    )?;
    if cluster_is_lost {
        writeln!(
            out,
            "start the nodes, then have one bootstrap the new cluster: osc-node bootstrap"
        )?;
    }
    Ok(Outcome::Done)
}

/// Gives the database this node's name.
pub(crate) fn adopt(config: &Config) -> anyhow::Result<Outcome> {
    let name = MemberName::new(config.node_id.clone());
    let before = sqlite::adopt(database(config)?, &name)?;
    let database = config.database_path.display();
    if before == name {
        writeln!(io::stdout(), "{database} belongs to '{name}' already")?;
    } else {
        writeln!(
            io::stdout(),
            "{database} belonged to '{before}', and now to '{name}'"
        )?;
    }
    Ok(Outcome::Done)
}

/// Asks the running node with these settings whether it is healthy, or ready.
pub(crate) fn health(
    layers: &Layers,
    config: &Config,
    arguments: &ArgMatches,
) -> anyhow::Result<Outcome> {
    let health_bind = layers.get("HEALTH_BIND").map(str::parse).transpose();
    let probe = if arguments.get_flag("ready") {
        running_node::Probe::Ready
    } else {
        running_node::Probe::Health
    };
    wait_for(running_node::probe(config, health_bind?, probe))?;
    Ok(Outcome::Done)
}

/// Brings the entries of another database in through the running node with these settings.
pub(crate) fn import(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let from = GivenDatabase::open(path(arguments, "from")?, "--from", beside(config))?;
    let salt = arguments.get_one::<PathBuf>("salt").map(PathBuf::as_path);
    let dry_run = arguments.get_flag("dry-run");
    let mut progress = io::stderr();
    let imported = wait_for(running_node::import(
        config,
        from.path(),
        salt,
        dry_run,
        &mut progress,
    ))?;
    let mut out = io::stdout().lock();
    let verb = if dry_run { "to be written" } else { "written" };
    writeln!(out, "{verb:14} {}", imported.written)?;
    writeln!(out, "there already  {}", imported.present)?;
    writeln!(out, "name taken     {}", imported.taken.len())?;
    writeln!(
        out,
        "unusable       {}",
        imported.unusable.len() as u64 + imported.set_aside
    )?;
    for (what, entries) in [
        ("name taken", &imported.taken),
        ("unusable", &imported.unusable),
    ] {
        for entry in entries {
            let environment = entry.environment.name().unwrap_or("default");
            let key = entry.key.as_str();
            writeln!(out, "  - {what}: {key:?} in environment {environment:?}")?;
        }
    }
    if imported.is_complete() {
        return Ok(Outcome::Done);
    }
    if !imported.taken.is_empty() {
        writeln!(
            out,
            "The node's own values stand. A holder of the user keys can read the others on a node with the imported database."
        )?;
    }
    Ok(Outcome::Incomplete)
}

/// Waits for a command that speaks to the running node.
pub(super) fn wait_for<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}

/// The folder of the node's database, which has room for another database.
pub(super) fn beside(config: &Config) -> &Path {
    folder_of(&config.database_path)
}

fn folder_of(database: &Path) -> &Path {
    database
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Refuses a command about a file where the node has none.
fn must_have_a_file(config: &Config) -> anyhow::Result<()> {
    if config.shared.is_none() {
        return Ok(());
    }
    let fault = "OSC_DATABASE_URL is set, and the command is about a database in a file: a shared one is checked, backed up \
                 and restored by its own means";
    Err(UsageError(vec![fault.to_owned()]).into())
}

/// The node's own database, which is there.
fn database(config: &Config) -> anyhow::Result<&Path> {
    must_have_a_file(config)?;
    existing(&config.database_path, "--database-path (OSC_DATABASE_PATH)")
}

/// An existing database; SQLite's own error for a missing one names no option.
pub(super) fn existing<'a>(path: &'a Path, option: &str) -> anyhow::Result<&'a Path> {
    // The code that opens the path reports other faults better.
    let absent = matches!(path.try_exists(), Ok(false));
    ensure!(
        !absent,
        "there is no database at {}; name it with {option}",
        std::path::absolute(path)?.display()
    );
    Ok(path)
}

pub(super) fn counted(entries: u64) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        many => format!("{many} entries"),
    }
}

pub(super) fn path<'a>(arguments: &'a ArgMatches, name: &str) -> anyhow::Result<&'a Path> {
    arguments
        .get_one::<PathBuf>(name)
        .map(PathBuf::as_path)
        .with_context(|| format!("--{name} is missing"))
}
