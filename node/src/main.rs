//! `osc-node`: reads the settings, serves, and turns signals into a stop in good order.

mod commands;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use commands::{Outcome, administration};
use opensecureconf_node::{
    config::{Config, Layers, UsageError, command},
    crypto::Iterations,
    json::STACK,
    log::{self, LogTarget},
    os::{open_files, process_privacy},
    serve::BoundNode,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Threads that serve requests wait for each other in the system's allocator (see docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which triple what an idle node allocates. Refused, nothing else changes.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    process_privacy::withdraw();
    open_files::raise();
    let arguments = command().get_matches();
    let (name, flags) = match arguments.subcommand() {
        Some((name, flags)) => (name, flags),
        None => ("serve", &arguments),
    };
    let layers = Layers::of_process(flags);
    let config = match Config::from_layers(&layers) {
        Ok(config) => config,
        // Docker takes 0 and 1 only.
        Err(error) => return complain(&error, if name == "health" { 1 } else { 2 }),
    };
    let outcome = match name {
        "config" => commands::show_config(&layers, &config),
        "check" => commands::check(&config),
        "vacuum" => commands::vacuum(&config),
        "backup" => commands::backup(&config, flags),
        "restore" => commands::restore(&config, flags),
        "adopt" => commands::adopt(&config),
        "import" => commands::import(&config, flags),
        "bootstrap" => administration::bootstrap(&config, flags),
        "members" => administration::members(&config, flags),
        "leave" => administration::leave(&config),
        "unfence" => administration::unfence(&config, flags),
        "salt" => administration::salt(&config, flags),
        "admin" => administration::admin(&config, flags),
        "health" => commands::health(&layers, &config, flags),
        _ => run(config),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::from(3),
        Ok(Outcome::Incomplete) => ExitCode::from(4),
        Err(error) => {
            let code = if error.is::<UsageError>() { 2 } else { 1 };
            complain(&format_args!("{error:#}"), code)
        }
    }
}

fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "osc-node: {error}");
    ExitCode::from(code)
}

fn run(config: Config) -> anyhow::Result<Outcome> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed"))?;
    let target = match &config.log_file {
        Some(path) => LogTarget::File(path.clone()),
        None => LogTarget::Stdout,
    };
    let log = log::start(
        config.log_level,
        config.log_format,
        &target,
        &config.node_id,
        config.log_names,
    )
    .context("cannot open OSC_LOG_FILE")?;
    let stop_on_stdin_eof = config.stop_on_stdin_eof;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers.get())
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let node = BoundNode::start(config, Iterations::STANDARD, log.control.clone())?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        if stop_on_stdin_eof {
            let stop = stop.clone();
            std::thread::spawn(move || stop_at_end_of_stdin(&stop));
        }
        node.serve(stop).await
    })?;
    Ok(Outcome::Done)
}

async fn stop_on_signal(stop: CancellationToken) -> io::Result<()> {
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        // Of a terminal that closes.
        _ = hangup.recv() => {}
    }
    stop.cancel();
    Ok(())
}

fn stop_at_end_of_stdin(stop: &CancellationToken) {
    // An unreadable standard input is as good as a closed one.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    stop.cancel();
}
