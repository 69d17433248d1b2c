//! A running node: puts the parts together, listens, and stops in good order.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Node, NodeState, RunningParts, metrics_router, router},
    budget::Budgets,
    cluster::{Boot, MemberName, Mode, Rules, Setup},
    cluster_link::{ClusterLink, flush, opener},
    config::{Config, TlsFiles, UsageError},
    crypto::{Iterations, Salt},
    domain::{Incarnation, Timestamp},
    file_care::FileCare,
    log::LogControl,
    metrics::{ConnectionMetrics, Metrics, StoreMetrics},
    peers::{Outputs, PeerProofs},
    random::random,
    server::{ConnectionLimits, HealthPort, LiveTls, Port},
    store::{OpenError, OpenedDatabase, SaltPlaces, Store, StoreSettings, WallClock, settle_salt},
    tls, upkeep,
};

/// What a thread that serves requests needs for the deepest value that is read.
pub const STACK: usize = 8 << 20;

/// A node that listens but does not serve yet.
#[derive(Debug)]
pub struct BoundNode {
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    health_listener: Option<TcpListener>,
    limits: ConnectionLimits,
    tls: Option<(TlsFiles, LiveTls)>,
    state: Node,
    drain: Duration,
    cluster: Option<ClusterLink>,
    files: FileCare,
}

impl BoundNode {
    /// Opens the database, settles the salt, starts the threads and takes the ports.
    pub fn start(config: Config, iterations: Iterations, log: LogControl) -> anyhow::Result<Self> {
        let clock: WallClock = Arc::new(now);
        let metrics = Metrics::new()?;
        for warning in &config.ineffective {
            tracing::warn!(warning, "setting_without_effect");
        }
        for warning in &config.weak {
            tracing::warn!(warning, "setting_weak");
        }
        for warning in &config.rewritten {
            tracing::warn!(warning, "setting_rewritten");
        }
        let tls = config
            .tls
            .clone()
            .map(|files| {
                let config = tls::server_config(&files)
                    .map_err(|error| UsageError(vec![format!("HTTPS: {error:#}")]))?;
                anyhow::Ok((files, LiveTls::new(config)))
            })
            .transpose()?;
        let boot = Boot::from_random(u64::from_le_bytes(random()?));
        let opened = open_store(&config, boot, Arc::clone(&clock), metrics.store.clone())?;
        let OpenedStore {
            store,
            salt,
            outputs,
        } = opened;
        let mut files = FileCare::new(
            config.secret_files(),
            config.tls.as_ref(),
            metrics.files.clone(),
        );
        files.look(clock());
        let listener = listen(config.listen, "OSC_HOST or OSC_HOST_PORT")?;
        let metrics_listener = config
            .metrics_bind
            .map(|address| listen(address, "OSC_METRICS_BIND"))
            .transpose()?;
        let health_listener = config
            .health_bind
            .map(|address| listen(address, "OSC_HEALTH_BIND"))
            .transpose()?;
        let limits = ConnectionLimits::of_clients(
            config.max_connections,
            health_listener.is_none(),
            config.max_body_bytes,
            config.trusted_proxies.clone(),
            config.patience,
        );
        let drain = config.drain;
        let (keys, cached_keys) = (metrics.keys.clone(), config.caches.keys);
        let budgets = Budgets::new(config.memory.clone(), config.max_body_bytes);
        let cluster = ClusterLink::new(&config, boot, budgets.peers.clone(), outputs, iterations)?;
        let peer_proofs = config
            .cluster_keys
            .clone()
            .map(|keys| PeerProofs::new(boot, keys));
        let parts = RunningParts {
            store,
            metrics,
            log,
            federation: cluster.as_ref().and_then(ClusterLink::federation),
            peer_proofs: peer_proofs.transpose()?.map(Arc::new),
            budgets,
            peer_faults: cluster.as_ref().map(ClusterLink::faults),
        };
        let state = Arc::new(NodeState::new(config, clock, parts));
        if let Some(salt) = salt {
            state.open_values_with(opener(salt, iterations, cached_keys, keys)?);
        }
        Ok(Self {
            listener,
            metrics_listener,
            health_listener,
            limits,
            tls,
            state,
            drain,
            cluster,
            files,
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

    /// Where probes are answered, if not only beside the API.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_listener.as_ref()?.local_addr().ok()
    }

    /// Serves until told to stop: then `/ready` says no while requests are still accepted for the drain time,
    /// running requests finish, and the database is closed.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            listener,
            metrics_listener,
            health_listener,
            limits,
            tls,
            state,
            drain,
            cluster,
            files,
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
        let closing = CancellationToken::new();
        let stopping = tokio::spawn({
            let (closing, state) = (closing.clone(), Arc::clone(&state));
            async move {
                stop.cancelled().await;
                tracing::info!(drain_seconds = drain.as_secs(), "node_stopping");
                state.draining.store(true, Ordering::Relaxed);
                tokio::time::sleep(drain).await;
                if state.store.view().state == "left" {
                    // Others believe that it has left only once they have asked, so it must answer until then.
                    flush(&state.store).await;
                }
                closing.cancel();
            }
        });
        // Until the end: a node that drains still says that it lives.
        let probed = CancellationToken::new();
        let _probed = probed.clone().drop_guard();
        if let Some(listener) = health_listener {
            let node = Arc::clone(&state);
            HealthPort { listener, node }.start(probed)?;
        }
        let mut background = upkeep::start(&state, tls.as_ref(), files);
        if let Some(cluster) = cluster {
            background.extend(cluster.connect(&state, tls.as_ref().map(|(files, _)| files)));
        }
        let head_room = &state.budgets.connections;
        if let Some(listener) = metrics_listener {
            let port = Port {
                listener,
                router: metrics_router(Arc::clone(&state)),
                tls: None,
                limits: ConnectionLimits::of_few(state.patience),
                head_room: head_room.clone(),
                metrics: ConnectionMetrics::unregistered()?,
            };
            let closing = closing.clone();
            background.push(tokio::spawn(async move {
                if let Err(error) = port.serve(closing).await {
                    tracing::error!(error = %error, "metrics_server_ended");
                }
            }));
        }
        let port = Port {
            listener,
            router: router(Arc::clone(&state)),
            tls: tls.map(|(_, tls)| tls),
            limits,
            head_room: head_room.clone(),
            metrics: state.metrics.connections.clone(),
        };
        let served = port.serve(closing).await;
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

/// Binds. `::` takes IPv4 too, and is every IPv4 address where the kernel has no IPv6.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let everywhere = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match TcpListener::bind(address) {
        // Linux' EAFNOSUPPORT and EADDRNOTAVAIL: no such family at all, or none on any interface.
        Err(error) if everywhere && matches!(error.raw_os_error(), Some(97 | 99)) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another {setting}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
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
    boot: Boot,
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
    let started = database.start(StoreSettings {
        clock,
        caches: config.caches,
        min_free_bytes: config.min_free_bytes,
        metrics,
        engine: engine_setup(config, boot, salt.clone())?,
        outbox,
    });
    let store = started.map_err(|error| match error {
        OpenError::OtherMode(mode) => UsageError(vec![mode.to_string()]).into(),
        error => anyhow::Error::from(error),
    })?;
    Ok(OpenedStore {
        store,
        salt,
        outputs,
    })
}

/// What the engine needs to know of the settings.
fn engine_setup(config: &Config, boot: Boot, salt: Option<Salt>) -> anyhow::Result<Setup> {
    let cluster = config.cluster.as_ref();
    Ok(Setup {
        clustered: cluster.is_some(),
        name: MemberName::new(config.node_id.clone()),
        boot,
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

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}
