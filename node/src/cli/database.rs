//! `osc-node database`: the tables of a shared database, and the cluster to which its store belongs.

use std::{
    cell::Cell,
    io::{self, Write},
    time::Duration,
};

use clap::ArgMatches;

use super::{
    administration::text,
    commands::{Outcome, wait_for},
    waiting::{until_it_succeeds, wait},
};
use crate::{
    config::{Config, UsageError},
    server::{as_told, mounted_salt, settings_of},
    store::postgres::{self, Migrated, PostgresError, PostgresSettings, Uid},
};

/// The input of both commands: how to reach the database, and what it must match.
struct Target {
    /// How long to wait for the database.
    wait: Duration,
    settings: PostgresSettings,
    cluster: String,
    salt_fingerprint: String,
}

/// Makes the tables, or gives the store to another cluster.
pub(crate) fn database(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let Some(shared) = &config.shared else {
        let fault = "OSC_DATABASE_URL is missing: it names the database";
        return Err(UsageError(vec![fault.to_owned()]).into());
    };
    let (name, of_command) = arguments.subcommand().unwrap_or(("migrate", arguments));
    let target = Target {
        wait: wait(of_command),
        settings: settings_of(shared)?,
        cluster: shared.cluster.clone(),
        salt_fingerprint: mounted_salt(config)?.fingerprint().to_string(),
    };
    match name {
        "adopt" => adopt(&target, text(of_command, "from")?),
        _ => migrate(&target),
    }
}

/// Makes the tables, or brings older ones to this release's version.
fn migrate(target: &Target) -> anyhow::Result<Outcome> {
    let Target {
        wait,
        settings,
        cluster,
        salt_fingerprint,
    } = target;
    let steps = Cell::default();
    let migrating = until_it_succeeds(*wait, PostgresError::may_pass, &steps, async || {
        postgres::migrate(settings, cluster, salt_fingerprint).await
    });
    let migrating = async { migrating.await.map_err(as_told) };
    let Migrated { from, to, identity } = wait_for(migrating)?;
    let mut out = io::stdout().lock();
    let store = format!("store {} of cluster '{}'", identity.uid, identity.cluster);
    match from {
        0 => writeln!(out, "{store} is made, with schema {to}")?,
        from if from == to => writeln!(out, "{store} has schema {to} already")?,
        from => writeln!(
            out,
            "{store} had schema {from}, and has {to} now; tell a pooler to connect anew (RECONNECT)"
        )?,
    }
    Ok(Outcome::Done)
}

/// Gives the store of another cluster to this one.
fn adopt(target: &Target, from: &str) -> anyhow::Result<Outcome> {
    let Target {
        wait,
        settings,
        cluster,
        salt_fingerprint,
    } = target;
    // The same for all tries: the next one finds what an earlier one did, whose answer was lost.
    let (uid, steps) = (Uid::random(), Cell::default());
    let adopting = until_it_succeeds(*wait, PostgresError::may_pass, &steps, async || {
        postgres::adopt(settings, from, cluster, salt_fingerprint, &uid).await
    });
    let adopting = async { adopting.await.map_err(as_told) };
    let identity = wait_for(adopting)?;
    writeln!(
        io::stdout(),
        "the store of cluster '{from}' is now store {} of cluster '{cluster}'",
        identity.uid
    )?;
    Ok(Outcome::Done)
}
