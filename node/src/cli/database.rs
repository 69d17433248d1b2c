//! `osc-node database`: the tables of a shared database, and the cluster to which its store belongs.

use std::io::{self, Write};

use clap::ArgMatches;

use super::{
    administration::text,
    commands::{Outcome, wait_for},
};
use crate::{
    config::{Config, UsageError},
    server::{as_told, mounted_salt, settings_of},
    store::postgres::{self, Migrated, PostgresSettings},
};

/// The input of both commands: how to reach the database, and what it must match.
struct Target {
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
    let target = Target {
        settings: settings_of(shared)?,
        cluster: shared.cluster.clone(),
        salt_fingerprint: mounted_salt(config)?.fingerprint().to_string(),
    };
    match arguments.subcommand() {
        Some(("adopt", arguments)) => adopt(&target, text(arguments, "from")?),
        _ => migrate(&target),
    }
}

/// Makes the tables, or brings older ones to this release's version.
fn migrate(target: &Target) -> anyhow::Result<Outcome> {
    let migrating = async {
        postgres::migrate(&target.settings, &target.cluster, &target.salt_fingerprint)
            .await
            .map_err(as_told)
    };
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
        settings,
        cluster,
        salt_fingerprint,
    } = target;
    let adopting = async {
        postgres::adopt(settings, from, cluster, salt_fingerprint)
            .await
            .map_err(as_told)
    };
    let identity = wait_for(adopting)?;
    writeln!(
        io::stdout(),
        "the store of cluster '{from}' is now store {} of cluster '{cluster}'",
        identity.uid
    )?;
    Ok(Outcome::Done)
}
