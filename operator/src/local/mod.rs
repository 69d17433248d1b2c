//! A cluster as processes on this machine: the same resource, the same validation, the same settings builder.

mod bootstrap;
mod files;
mod process;
mod report;
mod resource_file;
mod schema;

use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use futures::future::{join_all, try_join_all};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cluster::{
    build::{build_node_settings, build_peer_list},
    validate::ValidatedCluster,
};
use files::ClusterFolder;
use process::NodeProcess;

/// Settings of `local`.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// File with one OpenSecureConfCluster
    #[arg(short, long = "file", value_name = "FILE")]
    pub file: PathBuf,
    /// Where data, salt and keys are kept
    #[arg(long, value_name = "DIR", default_value = ".local")]
    pub data_dir: PathBuf,
    /// Port of node 0; the others take the ports after it
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    pub port: u16,
    /// The node binary [default: osc-node beside this one]
    #[arg(long, value_name = "FILE")]
    pub node_binary: Option<PathBuf>,
}

/// Longest time from start until all nodes serve.
const START: Duration = Duration::from_mins(1);

/// Starts the nodes, tells how to use them, and restarts what dies until a signal comes.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let begun = Instant::now();
    let cluster = resource_file::read(&settings.file)?;
    let binary = node_binary(settings.node_binary)?;
    // Before the ports: where this cluster runs already, other ports would not help.
    let folder = ClusterFolder::open(&settings.data_dir.join(cluster.name.as_str()))?;
    let ports = free_ports(settings.port, cluster.spec.replicas)?;
    folder.write_peers(&build_peer_list(
        &cluster,
        |ordinal| match usize::try_from(ordinal)
            .ok()
            .and_then(|ordinal| ports.get(ordinal))
        {
            Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
            None => String::new(),
        },
    ))?;
    let nodes: Vec<_> = (0..)
        .zip(&ports)
        .map(|(ordinal, port)| node(&cluster, &folder, &binary, ordinal, *port))
        .collect();

    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let serve = async {
        let started = async {
            let all = try_join_all(nodes.iter().map(NodeProcess::started));
            tokio::try_join!(all, bootstrap::ensure_bootstrapped(&folder, &nodes))?;
            report::ready(&cluster, &folder, &nodes, begun).await
        };
        let ready = tokio::select! {
            result = started => result.map(|()| true),
            () = tokio::time::sleep(START) => Err(anyhow!("not all nodes serve after {} s; see their logs below {}", START.as_secs(), folder.path().display())),
            () = signals.next() => Ok(false),
        };
        if matches!(ready, Ok(true)) {
            signals.next().await;
        }
        // Whatever happened: without this the nodes would be kept running for ever.
        stop.cancel();
        ready
    };
    let (result, _) = tokio::join!(
        serve,
        join_all(nodes.iter().map(|node| node.supervise(&stop)))
    );
    result?;
    writeln!(
        std::io::stdout(),
        "stopped; everything is kept in {}",
        folder.path().display()
    )?;
    Ok(())
}

/// The signals that end this process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn node_binary(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("osc-node");
    let binary = given.unwrap_or(beside);
    if !binary.exists() {
        bail!(
            "there is no node binary {}; build it (cargo build --release), or name it with --node-binary",
            binary.display()
        );
    }
    Ok(std::path::absolute(binary)?)
}

/// Makes sure that nobody listens on the ports that the nodes are going to take.
fn free_ports(first: u16, count: i32) -> anyhow::Result<Vec<u16>> {
    let count = u16::try_from(count).unwrap_or_default();
    let Some(end) = first.checked_add(count) else {
        bail!("--port {first} leaves no room for {count} nodes")
    };
    let ports: Vec<_> = (first..end).collect();
    for port in &ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).with_context(|| {
            format!("port {port} is in use; choose {count} free ones in a row with --port")
        })?;
    }
    Ok(ports)
}

fn node(
    cluster: &ValidatedCluster,
    folder: &ClusterFolder,
    binary: &std::path::Path,
    ordinal: i32,
    port: u16,
) -> NodeProcess {
    let name = cluster.name.pod(ordinal);
    let settings = build_node_settings(cluster, "127.0.0.1", port, folder.node_files(&name), 0);
    NodeProcess::new(
        name.clone(),
        binary.to_owned(),
        &settings,
        folder.node_folder(&name),
    )
}
