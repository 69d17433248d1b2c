//! One cluster through every planned change and fault, while clients record and check every acknowledged write:
//! `make soak-cluster`. Prints a table, and fails if an acknowledged write was lost or a deleted entry came back.

mod action;
mod cluster;
mod faults;
mod machines;
mod operators;
mod planned;
mod settings;
mod table;

use std::io::Write;

use action::Action;
use anyhow::{Context, ensure};
use opensecureconf_e2e::{Clients, Met, Stage};
use settings::Settings;
use table::{Row, draw, now};
use tokio::time::{Instant, sleep_until};

/// The name of the cluster.
const CLUSTER: &str = "config";

fn main() -> anyhow::Result<()> {
    let settings = Settings::of_environment()?;
    Stage::try_tell("soak", |stage| async move { soak(&stage, &settings).await })
}

async fn soak(stage: &Stage, settings: &Settings) -> anyhow::Result<()> {
    cluster::make(stage).await?;
    let machine = stage.control_plane().await?;
    let clients = Clients::start(stage, CLUSTER, &machine).await?;
    let (rows, outcome) = act(stage, settings).await;
    // After a failure the cluster may serve nothing, and clients would wait for it.
    let met = match outcome {
        Ok(()) => clients.end().await,
        Err(failure) => {
            let met = clients.met().await;
            show(&rows, &met.unwrap_or_default())?;
            return Err(failure);
        }
    }?;
    show(&rows, &met)?;
    let lost = met.all().lost;
    ensure!(lost == 0, "{lost} entries are not what was acknowledged");
    Ok(())
}

/// Carries out one action after the other, spread over the time: none begins before its turn, nor before the last one is over.
async fn act(stage: &Stage, settings: &Settings) -> (Vec<Row>, anyhow::Result<()>) {
    let begun = Instant::now();
    let mut rows = vec![Row {
        name: "nothing",
        begun: now(),
        took: std::time::Duration::ZERO,
        seen: String::new(),
    }];
    let part = settings.time / (u32::try_from(Action::ALL.len()).unwrap_or(u32::MAX) + 1);
    for (number, action) in (1..).zip(Action::ALL) {
        sleep_until(begun + part * number).await;
        let (at, since) = (now(), Instant::now());
        let outcome = action.carry_out(stage, settings).await;
        let (seen, failure) = match outcome {
            Ok(seen) => (seen, None),
            Err(failure) => (format!("failed: {failure}"), Some(failure)),
        };
        let took = since.elapsed();
        let _ = writeln!(
            std::io::stderr(),
            "[soak] {}: {} s, {seen}",
            action.name(),
            took.as_secs()
        );
        rows.push(Row {
            name: action.name(),
            begun: at,
            took,
            seen,
        });
        if let Some(failure) = failure {
            return (rows, Err(failure.context(action.name())));
        }
    }
    sleep_until(begun + settings.time).await;
    (rows, Ok(()))
}

fn show(rows: &[Row], met: &Met) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let table = draw(rows, met);
    let summary = &met.summary;
    write!(out, "{table}").context("no standard output")?;
    writeln!(
        out,
        "{} acknowledged writes, {} looks at entries in the end, {} names with a request that got no answer",
        summary.acknowledged, summary.looked_at, summary.given_up
    )?;
    for loss in &met.losses {
        writeln!(out, "not what was acknowledged: {loss}")?;
    }
    Ok(())
}
