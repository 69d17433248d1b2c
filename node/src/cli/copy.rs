//! `osc-node copy`: a whole store, from a database in a file into the shared one, or back.

use std::{
    cell::Cell,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use clap::ArgMatches;

use super::{
    commands::{Outcome, counted, existing, path, wait_for},
    waiting::{until_it_succeeds, wait},
};
use crate::{
    config::{Config, UsageError},
    server::{as_told, fresh_incarnation, mounted_salt, settings_of},
    store::copy::{Copied, CopyError, Ending, Progress, SharedStore, into_shared, out_of_shared},
};

/// The name of the shared database on the command line, which must not show the password in its address.
const SHARED: &str = "shared";
/// How often progress is reported.
const REPORT: Duration = Duration::from_secs(2);

/// Copies it.
pub(crate) fn copy(config: &Config, arguments: &ArgMatches) -> anyhow::Result<Outcome> {
    let (from, to) = (path(arguments, "from")?, path(arguments, "to")?);
    let is_shared = |given: &Path| given == Path::new(SHARED);
    let usage = |fault: &str| UsageError(vec![fault.to_owned()]);
    if is_shared(from) == is_shared(to) {
        return Err(usage(
            "copy needs a file on the one side and 'shared' on the other, for the database of OSC_DATABASE_URL; 'osc-node backup' \
             copies a file, pg_dump a database",
        )
        .into());
    }
    let Some(shared) = &config.shared else {
        return Err(usage("OSC_DATABASE_URL is missing: it names the shared database").into());
    };
    let (settings, salt) = (settings_of(shared)?, mounted_salt(config)?);
    let store = SharedStore {
        settings: &settings,
        cluster: &shared.cluster,
        salt: &salt,
    };
    let (got_further, wait) = (Cell::default(), wait(arguments));
    let mut report = reporter(&got_further);
    let copied = if is_shared(from) {
        let incarnation = fresh_incarnation()?;
        let copying = until_it_succeeds(wait, may_pass, &got_further, async || {
            out_of_shared(store, to, incarnation, &mut report).await
        });
        wait_for(async { copying.await.map_err(as_said) })?
    } else {
        let from = existing(from, "--from")?;
        let mut ending = Ending::default();
        let copying = until_it_succeeds(wait, may_pass, &got_further, async || {
            into_shared(from, store, &mut ending, &mut report).await
        });
        wait_for(async { copying.await.map_err(as_said) })?
    };
    show(&copied, to)
}

/// Whether the shared database may answer soon: the next run goes on where this one ended.
fn may_pass(error: &CopyError) -> bool {
    matches!(error, CopyError::Shared(error) if error.may_pass())
}

/// Shows how far it is, now and then, and notes where a run wrote something, or looked at more rows than all before it.
fn reporter(got_further: &Cell<bool>) -> impl FnMut(Progress) {
    let (mut last, mut furthest) = (Instant::now(), 0);
    move |Progress { looked_at, written }| {
        if written > 0 || looked_at > furthest {
            got_further.set(true);
        }
        furthest = furthest.max(looked_at);
        if last.elapsed() < REPORT {
            return;
        }
        last = Instant::now();
        // If no reader takes the progress, the copy goes on.
        let _ = writeln!(
            io::stderr(),
            "{looked_at} rows compared, {written} of them written"
        );
    }
}

fn show(copied: &Copied, to: &Path) -> anyhow::Result<Outcome> {
    let Copied {
        entries,
        tombstones,
        written,
        removed,
        conflicts,
        rest,
    } = *copied;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} and {tombstones} deletes are in {}, compared by digest; this run wrote {written} and took {removed} away",
        counted(entries),
        to.display()
    )?;
    if conflicts > 0 {
        writeln!(
            out,
            "{conflicts} losing versions of conflicts stay behind: GET /cluster/conflicts lists them on the old nodes"
        )?;
    }
    if rest.is_nothing() {
        writeln!(out, "the copy is finished: start its nodes")?;
        return Ok(Outcome::Done);
    }
    let written = match rest.written_since {
        0 => String::new(),
        rows => format!(
            "; {} written there since this run began to read",
            if rows == 1 {
                "1 row was".to_owned()
            } else {
                format!("{rows} rows were")
            }
        ),
    };
    let (cause, remedy) = if rest.is_in_use {
        (
            "a node still uses what was copied",
            "stop it, and run this again, which brings what is missing",
        )
    } else {
        (
            "a node used what was copied meanwhile",
            "run this again, which brings what is missing",
        )
    };
    writeln!(
        out,
        "the copy is not finished, because {cause}{written}: {remedy}"
    )?;
    Ok(Outcome::Incomplete)
}

/// A copy that needs other settings reports a fault of the settings.
fn as_said(error: CopyError) -> anyhow::Error {
    match error {
        CopyError::Shared(error) => as_told(error),
        CopyError::OtherSalt { .. } => {
            UsageError(vec![format!("OSC_SALT_SECRET_FILE: {error}")]).into()
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_gets_further_where_it_writes_or_looks_at_more_rows_than_before() {
        let got_further = Cell::default();
        let mut report = reporter(&got_further);
        let mut seen = |looked_at, written| {
            report(Progress { looked_at, written });
            got_further.take()
        };
        assert!(seen(1000, 0));
        assert!(!seen(1000, 0), "another run that came as far");
        assert!(seen(1000, 1));
        assert!(seen(2000, 0));
    }
}
