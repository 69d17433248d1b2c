//! `osc-operator`: its command line.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use opensecureconf_operator::{health, local, manifests, run, wait};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Runs OpenSecureConf clusters: on Kubernetes, or as processes on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "osc-operator",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 waited in vain.\n\nExamples:\n  \
    osc-operator local -f manifests/samples/three-nodes.yaml   three nodes on this machine, no Kubernetes\n  \
    kubectl apply --server-side -f manifests/install.yaml      install the operator into a cluster"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconcile clusters on Kubernetes; this is what the operator's pod runs
    Run(run::Settings),
    /// Run the nodes of one resource as processes on this machine
    Local(local::Settings),
    /// Ask the running operator whether it is healthy; exit code 0 or 1
    Health(health::Settings),
    /// Wait until a cluster on Kubernetes is ready, or the operator itself; exit code 0, or 3 when the time is over
    Wait(wait::Settings),
    /// Write the CustomResourceDefinition
    Crd(Output),
    /// Write what is installed into Kubernetes, and the samples
    Manifests(Output),
    /// Write the generated parts of the Helm charts
    Charts(Output),
    /// Write the table of the operator's rights in SECURITY.md
    Security(Output),
}

#[derive(Debug, clap::Args)]
struct Output {
    /// Write nothing; fail when a file is not what would be written
    #[arg(long)]
    check: bool,
    /// Folder to write to [default: crds, manifests, helm or the current folder]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// The system's allocator keeps what a moment of much work took, for each thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which are never used as a whole. Refused, nothing else changes.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Before anything speaks TLS: two providers in one binary would make it guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let command = CommandLine::parse().command;
    if let Command::Run(settings) = &command
        && let Err(error) = settings.check()
    {
        error.exit();
    }
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is gone nothing can be reported.
            let _ = writeln!(io::stderr(), "osc-operator: {error:#}");
            match error.downcast_ref() {
                Some(wait::TimeIsOver { .. }) => ExitCode::from(wait::TimeIsOver::EXIT_CODE),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Crd(Output { check, folder }) => manifests::output(
            &manifests::crds()?,
            &folder.unwrap_or_else(|| "crds".into()),
            check,
        ),
        Command::Manifests(Output { check, folder }) => manifests::output(
            &manifests::install_and_samples()?,
            &folder.unwrap_or_else(|| "manifests".into()),
            check,
        ),
        Command::Charts(Output { check, folder }) => {
            let folder = folder.unwrap_or_else(|| "helm".into());
            manifests::output(&manifests::charts(&folder)?, &folder, check)
        }
        Command::Security(Output { check, folder }) => {
            let folder = folder.unwrap_or_else(|| ".".into());
            manifests::output(&manifests::security(&folder)?, &folder, check)
        }
        Command::Health(settings) => runtime()?.block_on(health::run(settings)),
        Command::Wait(settings) => runtime()?.block_on(wait::run(settings)),
        Command::Local(settings) => runtime()?.block_on(local::run(settings)),
        Command::Run(settings) => {
            log();
            runtime()?.block_on(run::run(settings))
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

fn log() {
    // Libraries speak only when something is wrong.
    let targets = Targets::new()
        .with_default(tracing::Level::WARN)
        // Its warnings hold whole answers of the API server, which may be Secrets; what matters is in our own errors.
        .with_target("kube_client", tracing::Level::ERROR)
        .with_target("opensecureconf_operator", tracing::Level::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .init();
}
