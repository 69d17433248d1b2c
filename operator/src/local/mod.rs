//! A cluster as processes on this machine: the same resource, the same validation, the same settings builder.

mod bootstrap;
mod certificates;
mod files;
mod listening;
mod not_used;
mod postgres;
mod process;
mod report;
mod resource_file;
mod schema;

use std::{
    io::Write,
    path::{Path, PathBuf},
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
    hangup::Hangup,
    names::{CERTIFICATE_ENTRY, PRIVATE_KEY_ENTRY},
    node::settings::{CertificateFiles, NodePorts, NodeSettings},
};
use certificates::Certificates;
use files::ClusterFolder;
use listening::Listening;
pub use postgres::Database;
use postgres::PostgresDatabase;
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
    /// Where nodes have their entries
    #[arg(long, value_enum, value_name = "WHERE", default_value = "sqlite")]
    pub database: Database,
    /// Folder with PostgreSQL's programs [default: where they are in the PATH, or Debian's newest]
    #[arg(long, value_name = "DIR")]
    pub postgres_programs: Option<PathBuf>,
    /// The node binary [default: osc-node beside this one]
    #[arg(long, value_name = "FILE")]
    pub node_binary: Option<PathBuf>,
}

/// Longest time from start until all nodes serve.
const START: Duration = Duration::from_mins(1);

/// Starts the nodes, prints how to use them, and restarts what dies until a signal comes.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let begun = Instant::now();
    // Before anything is made that has to be taken away again.
    let mut signals = Signals::listen()?;
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
    let programs = settings.postgres_programs.as_deref();
    let mut database = match settings.database {
        Database::Sqlite => None,
        Database::Postgres => tokio::select! {
            started = PostgresDatabase::start(&cluster, &folder, programs) => Some(started?),
            () = signals.next() => return Ok(()),
        },
    };
    let made = Nodes {
        cluster: &cluster,
        folder: &folder,
        certificates: &certificates,
        binary: &binary,
        database: database.as_ref(),
    };
    let nodes = made.on(&listening).await?;
    let database_url = database.as_ref().map(|database| database.server.url());
    let client = folder.node_client(pki.as_ref())?;
    let authorities = pki.as_ref().map(|_| certificates.authorities());

    let stop = CancellationToken::new();
    let serving = async {
        let started = async {
            let bootstrapped = async {
                // Nodes of one database are no cluster that has to begin.
                if database_url.is_none() {
                    bootstrap::ensure_bootstrapped(&folder, &client, &nodes).await?;
                }
                Ok(())
            };
            let all = try_join_all(nodes.iter().map(NodeProcess::started));
            tokio::try_join!(all, bootstrapped)?;
            let told = Report {
                cluster: &cluster,
                folder: &folder,
                nodes: &nodes,
                authorities: authorities.as_deref(),
                database_url: database_url.as_deref(),
            };
            told.print(&client, begun).await
        };
        let ready = tokio::select! {
            result = started => result.map(|()| true),
            () = tokio::time::sleep(START) => Err(anyhow!("not all nodes serve after {} s; see their logs below {}", START.as_secs(), folder.path().display())),
            () = signals.next() => Ok(false),
        };
        match ready {
            Ok(true) if settings.tls => tokio::select! {
                () = signals.next() => Ok(true),
                () = certificates.keep_renewing(&cluster, async |stored: &_| {
                    certificates::proved(&folder, &nodes, stored).await
                }, certificates::report) => Ok(true),
            },
            Ok(true) => {
                signals.next().await;
                Ok(true)
            }
            other => other,
        }
    };
    let serve = async {
        let result = tokio::select! {
            result = serving => result,
            ended = ended(database.as_mut()) => Err(anyhow!(ended)),
        };
        // Whatever happened: without this the nodes would be kept running for ever.
        stop.cancel();
        result
    };
    let (result, _) = tokio::join!(
        serve,
        join_all(nodes.iter().map(|node| node.supervise(&stop)))
    );
    let kept = stop_database(database).await;
    result?;
    writeln!(
        std::io::stdout(),
        "stopped; {kept} in {}",
        folder.path().display()
    )?;
    Ok(())
}

/// Ends the database, where the nodes had one; says what is left.
async fn stop_database(database: Option<PostgresDatabase>) -> &'static str {
    let Some(database) = database else {
        return "everything is kept";
    };
    database.server.stop().await;
    "the database is gone, salt and keys are kept"
}

/// Returns once the database has ended, where the nodes have one that can.
async fn ended(database: Option<&mut PostgresDatabase>) -> String {
    match database {
        Some(database) => database.server.ended().await,
        None => std::future::pending().await,
    }
}

/// The signals that end this process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Hangup,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: Hangup::listen()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            // Of a terminal that closes.
            () = self.hangup.recv() => {}
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

/// What nodes are made of.
struct Nodes<'a> {
    cluster: &'a ValidatedCluster,
    folder: &'a ClusterFolder,
    certificates: &'a Certificates,
    binary: &'a Path,
    database: Option<&'a PostgresDatabase>,
}

impl Nodes<'_> {
    /// One for each of these, with tables to begin with where they have one database.
    async fn on(&self, listening: &[Listening]) -> anyhow::Result<Vec<NodeProcess>> {
        let mut nodes = Vec::new();
        for (ordinal, ports) in (0..).zip(listening) {
            let name = self.cluster.name.pod(ordinal);
            let mut settings = self.settings(&name, *ports).variables();
            if let Some(database) = self.database {
                settings = database.settings(settings);
                if nodes.is_empty() {
                    database.migrate(self.binary, &settings).await?;
                }
            }
            let own = self.folder.node_folder(&name);
            let binary = self.binary.to_owned();
            nodes.push(NodeProcess::new(name, binary, settings, *ports, own));
        }
        Ok(nodes)
    }

    fn settings(&self, name: &str, listening: Listening) -> NodeSettings {
        let tls = &self.cluster.spec.tls;
        let node_tls = self.certificates.node_folder();
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
        let files = self.folder.node_files(name);
        NodeSettings {
            ports,
            ..build_node_settings(self.cluster, "127.0.0.1", listening.http, files, 0)
        }
    }
}
