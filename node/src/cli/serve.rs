//! `osc-node` without a command: serves, and turns signals into a stop in good order.

use std::io;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::commands::Outcome;
use crate::{
    config::Config,
    crypto::Iterations,
    json::STACK,
    log::{self, LogTarget},
    os::hangup::Hangup,
    server::BoundNode,
};

/// Serves until a signal comes.
///
/// # Errors
/// Where the log, the runtime or the node does not start, or the database fails.
pub(super) fn serve(config: Config) -> anyhow::Result<Outcome> {
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
    .with_context(|| match &config.log_file {
        Some(path) => format!("cannot open OSC_LOG_FILE ({})", path.display()),
        None => "cannot log".to_owned(),
    })?;
    let stop_on_stdin_eof = config.stop_on_stdin_eof;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers.get())
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let log = log.control.clone();
    runtime.block_on(async {
        // Before the start: until a process listens, a signal ends it at once, or a container's first process ignores it.
        let signals = Signals::listen().context("cannot listen to signals")?;
        let stop = CancellationToken::new();
        tokio::spawn(signals.stop_at_next(stop.clone()));
        if stop_on_stdin_eof {
            let stop = stop.clone();
            std::thread::spawn(move || stop_at_end_of_stdin(&stop));
        }
        let node = match config.shared.clone() {
            Some(database) => {
                let start = BoundNode::start_shared(config, &database, Iterations::STANDARD, log);
                // It waits for its database.
                let Some(node) = stop.run_until_cancelled(start).await else {
                    tracing::info!("node_stopped");
                    return Ok(());
                };
                node?
            }
            None => BoundNode::start(config, Iterations::STANDARD, log)?,
        };
        node.serve(stop).await
    })?;
    Ok(Outcome::Done)
}

/// The signals that end a node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Hangup,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: Hangup::listen()?,
        })
    }

    async fn stop_at_next(mut self, stop: CancellationToken) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            // Of a terminal that closes.
            () = self.hangup.recv() => {}
        }
        stop.cancel();
    }
}

fn stop_at_end_of_stdin(stop: &CancellationToken) {
    // An unreadable standard input is as good as a closed one.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    stop.cancel();
}
