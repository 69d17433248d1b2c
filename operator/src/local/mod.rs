//! A cluster as processes on this machine: the same resource, the same validation, the same settings builder.

mod bootstrap;
mod certificates;
mod files;
mod listening;
mod not_used;
mod process;
mod report;
mod resource_file;
mod schema;

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use futures::future::{join_all, try_join_all};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{
        build::{build_node_settings, build_peer_list},
        validate::ValidatedCluster,
    },
    names::{CERTIFICATE_ENTRY, PRIVATE_KEY_ENTRY},
    node::settings::{CertificateFiles, NodePorts, NodeSettings},
};
use certificates::Certificates;
use files::ClusterFolder;
use listening::Listening;
use process::NodeProcess;
use report::Report;

/// Settings of `local`.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// File with one OpenSecureConfCluster
    #[arg(short, long = "file", value_name = "FILE")]
    pub file: PathBuf,
    /// Where data, salt and keys are kept
    #[arg(long, value_name = "DIR", default_value = ".local")]
    pub data_dir: PathBuf,
    /// Port of node 0; the others take the ports after it, with --tls in steps of ten
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    pub port: u16,
    /// Serve HTTPS too, and encrypt what nodes send each other: node 0 has HTTP on PORT, peers on +1, metrics on +2, probes on
    /// +3, HTTPS on +4
    #[arg(long)]
    pub tls: bool,
    /// The node binary [default: osc-node beside this one]
    #[arg(long, value_name = "FILE")]
    pub node_binary: Option<PathBuf>,
}

/// Longest time from start until all nodes serve.
const START: Duration = Duration::from_mins(1);

/// Starts the nodes, prints how to use them, and restarts what dies until a signal comes.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let begun = Instant::now();
    let cluster = resource_file::read(&settings.file)?;
    not_used::check(&cluster, settings.tls)?;
    let binary = node_binary(settings.node_binary)?;
    // Before the ports: where this cluster runs already, other ports would not help.
    let folder = ClusterFolder::open(&settings.data_dir.join(cluster.name.as_str()))?;
    let listening = listening::choose(settings.port, cluster.spec.replicas, settings.tls)?;
    folder.write_peers(&build_peer_list(&cluster, |ordinal| {
        let node = usize::try_from(ordinal).ok();
        let node = node.and_then(|ordinal| listening.get(ordinal));
        node.map(Listening::peers).unwrap_or_default()
    }))?;
    let certificates = Certificates::new(folder.path());
    let pki = if settings.tls {
        Some(certificates.renew_before_start(&cluster)?)
    } else {
        None
    };
    let nodes: Vec<_> = (0..)
        .zip(&listening)
        .map(|(ordinal, ports)| node(&cluster, &folder, &certificates, &binary, ordinal, *ports))
        .collect();
    let client = folder.node_client(pki.as_ref())?;
    let authorities = pki.as_ref().map(|_| certificates.authorities());

    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let serve = async {
        let started = async {
            let all = try_join_all(nodes.iter().map(NodeProcess::started));
            tokio::try_join!(
                all,
                bootstrap::ensure_bootstrapped(&folder, &client, &nodes)
            )?;
            let told = Report {
                cluster: &cluster,
                folder: &folder,
                nodes: &nodes,
                authorities: authorities.as_deref(),
            };
            told.print(&client, begun).await
        };
        let ready = tokio::select! {
            result = started => result.map(|()| true),
            () = tokio::time::sleep(START) => Err(anyhow!("not all nodes serve after {} s; see their logs below {}", START.as_secs(), folder.path().display())),
            () = signals.next() => Ok(false),
        };
        let ready = match ready {
            Ok(true) if settings.tls => tokio::select! {
                () = signals.next() => Ok(true),
                () = certificates.keep_renewing(&cluster, async |stored: &_| {
                    certificates::proved(&folder, &nodes, stored).await
                }) => Ok(true),
            },
            Ok(true) => {
                signals.next().await;
                Ok(true)
            }
            other => other,
        };
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

fn node(
    cluster: &ValidatedCluster,
    folder: &ClusterFolder,
    certificates: &Certificates,
    binary: &std::path::Path,
    ordinal: i32,
    listening: Listening,
) -> NodeProcess {
    let name = cluster.name.pod(ordinal);
    let tls = &cluster.spec.tls;
    let node_tls = certificates.node_folder();
    let ports = listening.tls.map(|ports| NodePorts {
        http: tls.serves_http(),
        https: tls.serves_https().then(|| {
            let certificate = node_tls.join(CERTIFICATE_ENTRY);
            let key = node_tls.join(PRIVATE_KEY_ENTRY);
            (ports.https, CertificateFiles { certificate, key })
        }),
        peers: ports.peers,
        metrics: ports.metrics,
        health: ports.health,
        node_tls: node_tls.to_owned(),
    });
    let settings = NodeSettings {
        ports,
        ..build_node_settings(
            cluster,
            "127.0.0.1",
            listening.http,
            folder.node_files(&name),
            0,
        )
    };
    NodeProcess::new(
        name.clone(),
        binary.to_owned(),
        &settings,
        listening,
        folder.node_folder(&name),
    )
}
