//! A running node: puts the parts together, listens, and stops in good order.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum_server::{
    Handle, Server,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use rand::{TryRng, rngs::SysRng};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Node, NodeState, Opener, RunningParts, metrics_router, router},
    cluster::{Boot, MemberName, Mode, Rules, Setup},
    config::{AccessKeys, Config, PeerList, TlsFiles},
    crypto::{Iterations, KeyRing, Salt},
    domain::{Incarnation, Timestamp},
    log::LogControl,
    metrics::{KeyMetrics, Metrics, StoreMetrics},
    peers::{self, OnSalt, Outputs, PeerClient},
    reload,
    store::{OpenedDatabase, SaltPlaces, Store, StoreSettings, WallClock, keep_salt, settle_salt},
    tls,
};

/// How long in-flight requests may take after the node stopped listening.
const FINISH: Duration = Duration::from_secs(30);
/// How long a stopping node waits for others to take its latest changes.
const FLUSH: Duration = Duration::from_secs(5);
/// A client that sends its headers slower than this is not worth a connection.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 64 << 10;

/// A node that listens but does not serve yet.
#[derive(Debug)]
pub struct BoundNode {
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    tls: Option<(TlsFiles, RustlsConfig)>,
    state: Node,
    drain: Duration,
    cluster: Option<ClusterLink>,
}

/// What connects a node to the others of its cluster.
struct ClusterLink {
    client: PeerClient,
    list: PeerList,
    outputs: Outputs,
    on_salt: OnSalt,
}

impl std::fmt::Debug for ClusterLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterLink").finish_non_exhaustive()
    }
}

impl BoundNode {
    /// Opens the database, settles the salt, starts the threads and takes the ports.
    pub fn start(config: Config, iterations: Iterations, log: LogControl) -> anyhow::Result<Self> {
        let clock: WallClock = Arc::new(now);
        let metrics = Metrics::new()?;
        let tls = config
            .tls
            .clone()
            .map(|files| {
                let config = tls::server_config(&files)?;
                anyhow::Ok((files, RustlsConfig::from_config(Arc::new(config))))
            })
            .transpose()?;
        let opened = open_store(&config, Arc::clone(&clock), metrics.store.clone())?;
        let OpenedStore {
            store,
            salt,
            outputs,
        } = opened;
        let listener = listen(config.listen, "OSC_HOST or OSC_HOST_PORT")?;
        let metrics_listener = config
            .metrics_bind
            .map(|address| listen(address, "OSC_METRICS_BIND"))
            .transpose()?;
        let drain = config.drain;
        let keys = metrics.keys.clone();
        let peers = config
            .cluster
            .as_ref()
            .zip(config.cluster_keys.clone())
            .map(|(cluster, keys)| {
                let client = PeerClient::new(keys, config.tls.clone())?;
                anyhow::Ok((client, cluster.peers.clone()))
            })
            .transpose()?;
        let salt_file = config.salt_file_path.clone();
        let parts = RunningParts {
            store,
            metrics,
            log,
        };
        let state = Arc::new(NodeState::new(config, clock, parts));
        if let Some(salt) = salt {
            state.open_values_with(opener(salt, iterations, keys.clone())?);
        }
        let cluster = peers.map(|(client, list)| ClusterLink {
            client,
            list,
            outputs,
            on_salt: on_salt(Arc::clone(&state), salt_file, iterations, keys),
        });
        Ok(Self {
            listener,
            metrics_listener,
            tls,
            state,
            drain,
            cluster,
        })
    }

    /// Where the node listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where metrics are served, if not beside the API.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref()?.local_addr().ok()
    }

    /// Serves until told to stop: then `/ready` says no while requests are still accepted for the drain time,
    /// running requests finish, and the database is closed.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            listener,
            metrics_listener,
            tls,
            state,
            drain,
            cluster,
        } = self;
        tracing::info!(
            address = %listener.local_addr()?,
            https = tls.is_some(),
            entries = state.store.live_entries(),
            salt_fingerprint = state.salt().map(|salt| salt.fingerprint().to_string()),
            incarnation = %state.store.incarnation(),
            version = env!("CARGO_PKG_VERSION"),
            "node_started"
        );
        let handle = Handle::new();
        let stopping = tokio::spawn({
            let (handle, state) = (handle.clone(), Arc::clone(&state));
            async move {
                stop.cancelled().await;
                tracing::info!(drain_seconds = drain.as_secs(), "node_stopping");
                state.draining.store(true, Ordering::Relaxed);
                tokio::time::sleep(drain).await;
                handle.graceful_shutdown(Some(FINISH));
            }
        });
        let mut background = watch_files(&state, tls.as_ref());
        if let Some(cluster) = cluster {
            background.extend(link(&state, cluster, tls.as_ref()));
        }
        if let Some(listener) = metrics_listener {
            let service = metrics_router(Arc::clone(&state)).into_make_service();
            let server = limited(axum_server::from_tcp(listener)?);
            background.push(tokio::spawn(async move {
                if let Err(error) = server.serve(service).await {
                    tracing::error!(error = %error, "metrics_server_ended");
                }
            }));
        }
        let service =
            router(Arc::clone(&state)).into_make_service_with_connect_info::<SocketAddr>();
        let server = limited(axum_server::from_tcp(listener)?.handle(handle));
        let served = match tls {
            None => server.acceptor(NoDelayAcceptor::new()).serve(service).await,
            Some((_, config)) => {
                let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
                server.acceptor(acceptor).serve(service).await
            }
        };
        stopping.abort();
        flush(&state.store).await;
        for task in background {
            task.abort();
        }
        state.store.close().await;
        tracing::info!("node_stopped");
        served.context("the server ended")
    }
}

/// Starts what connects a node to the others.
fn link(
    state: &Node,
    cluster: ClusterLink,
    tls: Option<&(TlsFiles, RustlsConfig)>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let ClusterLink {
        client,
        list,
        outputs,
        on_salt,
    } = cluster;
    let client = Arc::new(client);
    let metrics = state.metrics.cluster.clone();
    let mut tasks = peers::start(
        &state.store,
        Arc::clone(&client),
        list,
        outputs,
        on_salt,
        metrics,
    );
    if let Some((files, _)) = tls {
        tasks.push(tokio::spawn(reload::on_change(files.paths(), move || {
            if let Err(error) = client.reload() {
                tracing::error!(error = %format_args!("{error:#}"), "peer_certificates_not_reloaded");
            }
        })));
    }
    tasks
}

/// Waits until every healthy member holds what this node holds, for a while.
async fn flush(store: &Store) {
    let mut view = store.watch_view();
    let all_hold_it = view.wait_for(|view| {
        view.members
            .iter()
            .all(|member| !member.healthy || member.lag == 0)
    });
    if tokio::time::timeout(FLUSH, all_hold_it).await.is_err() {
        tracing::warn!("stopped_before_all_members_hold_everything");
    }
}

fn opener(salt: Salt, iterations: Iterations, metrics: KeyMetrics) -> anyhow::Result<Opener> {
    let keys = KeyRing::start(&salt, iterations, derivation_threads(), random()?, metrics)
        .context("cannot start the derivation threads")?;
    Ok(Opener { salt, keys })
}

/// What a node does that gets its salt while it runs.
fn on_salt(
    state: Node,
    file: std::path::PathBuf,
    iterations: Iterations,
    metrics: KeyMetrics,
) -> OnSalt {
    Box::new(move |salt| {
        // The database holds it already: where the file cannot be written now, the next start does it.
        if let Err(error) = keep_salt(&file, &salt) {
            tracing::error!(error = %error, "salt_file_not_written");
        }
        match opener(salt, iterations, metrics.clone()) {
            Ok(opener) => state.open_values_with(opener),
            Err(error) => {
                tracing::error!(error = %format_args!("{error:#}"), "values_cannot_be_opened");
            }
        }
    })
}

fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another {setting}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Bounds what a client may send before anybody looks at it, and how long it may take.
fn limited<A>(mut server: Server<SocketAddr, A>) -> Server<SocketAddr, A> {
    let http = server.http_builder();
    http.http1()
        .header_read_timeout(HEADER_PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    http.http2()
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(20));
    server
}

/// Keeps keys and certificates as their files are.
fn watch_files(
    state: &Node,
    tls: Option<&(TlsFiles, RustlsConfig)>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let mut watches = Vec::new();
    for (keys, setting) in [
        (&state.api_keys, "OSC_API_KEY_FILE"),
        (&state.cluster_keys, "OSC_CLUSTER_KEY_FILE"),
    ] {
        let Some((keys, file)) = keys.as_ref().and_then(|keys| Some((keys, keys.file()?))) else {
            continue;
        };
        let (keys, file) = (AccessKeys::clone(keys), file.to_owned());
        watches.push(tokio::spawn(reload::on_change(
            vec![file],
            move || match keys.reload() {
                Ok(()) => tracing::info!(setting, "keys_reloaded"),
                Err(error) => tracing::error!(setting, error = %error, "keys_not_reloaded"),
            },
        )));
    }
    if let Some((files, config)) = tls {
        let (files, config) = (files.clone(), config.clone());
        watches.push(tokio::spawn(reload::on_change(files.paths(), move || {
            match tls::server_config(&files) {
                Ok(fresh) => {
                    config.reload_from_config(Arc::new(fresh));
                    tracing::info!("certificates_reloaded");
                }
                // Often one file of a pair is written before the other.
                Err(error) => {
                    tracing::error!(error = %format_args!("{error:#}"), "certificates_not_reloaded");
                }
            }
        })));
    }
    watches
}

/// An open store, and what came with it.
struct OpenedStore {
    store: Store,
    /// `None` where a clustered node has none yet.
    salt: Option<Salt>,
    outputs: Outputs,
}

fn open_store(
    config: &Config,
    clock: WallClock,
    metrics: StoreMetrics,
) -> anyhow::Result<OpenedStore> {
    let database = OpenedDatabase::open(&config.database_path, fresh_incarnation()?)?;
    let places = SaltPlaces {
        mounted: config.salt_secret_file.as_deref(),
        file: &config.salt_file_path,
    };
    let fresh =
        Salt::from_bytes(&random::<64>()?).ok_or_else(|| anyhow!("64 random bytes are no salt"))?;
    let salt = settle_salt(&database, places, config.salt_policy, || fresh)?;
    let (outbox, outputs) = tokio::sync::mpsc::unbounded_channel();
    let store = database.start(StoreSettings {
        clock,
        readers: config.workers.get() * 2,
        min_free_bytes: config.min_free_bytes,
        metrics,
        engine: engine_setup(config, salt.clone())?,
        outbox,
    })?;
    Ok(OpenedStore {
        store,
        salt,
        outputs,
    })
}

/// What the engine needs to know of the settings.
fn engine_setup(config: &Config, salt: Option<Salt>) -> anyhow::Result<Setup> {
    let cluster = config.cluster.as_ref();
    Ok(Setup {
        clustered: cluster.is_some(),
        name: MemberName::new(config.node_id.clone()),
        boot: Boot::from_random(u64::from_le_bytes(random()?)),
        cluster: cluster
            .and_then(|cluster| cluster.id.clone())
            .unwrap_or_default(),
        mode: cluster.map_or(Mode::Replica, |cluster| cluster.mode),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        salt,
        may_make_salt: cluster.is_some_and(|cluster| cluster.may_make_salt),
        grace: Setup::GRACE,
        sync_interval: cluster.map_or(Duration::ZERO, |cluster| cluster.sync_interval),
        rules: Rules::ALL,
        entropy: random()?,
    })
}

/// The identity of a database that is made now.
pub fn fresh_incarnation() -> anyhow::Result<Incarnation> {
    Ok(Incarnation::from_random(u64::from_le_bytes(random()?)))
}

/// One core stays free for requests that need no derivation.
fn derivation_threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .context("the system gives no random bytes")?;
    Ok(bytes)
}

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}
