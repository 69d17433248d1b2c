//! A running node: puts the parts together, listens, and stops in good order.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum_server::{Handle, accept::NoDelayAcceptor};
use rand::{TryRng, rngs::SysRng};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{ClusterIdentity, NodeState, router},
    config::Config,
    crypto::{Iterations, KeyRing, Salt},
    domain::{Incarnation, Timestamp},
    metrics::Metrics,
    store::{OpenedDatabase, SaltPlaces, Store, WallClock, settle_salt},
};

/// How long in-flight requests may take after the node stopped listening.
const FINISH: Duration = Duration::from_secs(30);

/// A node that listens but does not serve yet.
#[derive(Debug)]
pub struct BoundNode {
    listener: TcpListener,
    state: Arc<NodeState>,
    drain: Duration,
}

impl BoundNode {
    /// Opens the database, settles the salt, starts the threads and takes the port.
    pub fn start(config: Config, iterations: Iterations) -> anyhow::Result<Self> {
        let clock: WallClock = Arc::new(now);
        let (store, salt) = open_store(&config, Arc::clone(&clock))?;
        let listener = TcpListener::bind(config.listen).with_context(|| {
            format!(
                "cannot listen on {}; choose another OSC_HOST or OSC_HOST_PORT",
                config.listen
            )
        })?;
        listener.set_nonblocking(true)?;
        let state = NodeState {
            keys: KeyRing::start(&salt, iterations, derivation_threads(), random()?)
                .context("cannot start the derivation threads")?,
            store,
            api_keys: config.api_keys,
            min_user_key_length: config.min_user_key_length,
            max_body_bytes: config.max_body_bytes,
            metrics: Metrics::new()?,
            node_id: config.node_id,
            cluster: config.cluster.map(|cluster| ClusterIdentity {
                other_nodes: cluster.peers.len().saturating_sub(1),
            }),
            salt_fingerprint: salt.fingerprint(),
            clock,
            draining: AtomicBool::new(false),
        };
        Ok(Self {
            listener,
            state: Arc::new(state),
            drain: config.drain,
        })
    }

    /// Where the node listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop: then `/ready` says no while requests are still accepted for the drain time,
    /// running requests finish, and the database is closed.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            listener,
            state,
            drain,
        } = self;
        tracing::info!(
            address = %listener.local_addr()?,
            entries = state.store.live_entries(),
            salt_fingerprint = %state.salt_fingerprint,
            incarnation = %state.store.incarnation(),
            version = env!("CARGO_PKG_VERSION"),
            "node_started"
        );
        if state
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster.other_nodes > 0)
        {
            tracing::warn!("replication_not_built");
        }
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
        let served = axum_server::from_tcp(listener)?
            .acceptor(NoDelayAcceptor::new())
            .handle(handle)
            .serve(router(Arc::clone(&state)).into_make_service())
            .await;
        stopping.abort();
        state.store.close().await;
        tracing::info!("node_stopped");
        served.context("the server ended")
    }
}

fn open_store(config: &Config, clock: WallClock) -> anyhow::Result<(Store, Salt)> {
    let incarnation = Incarnation::from_random(u64::from_le_bytes(random()?));
    let database = OpenedDatabase::open(&config.database_path, incarnation)?;
    let places = SaltPlaces {
        mounted: config.salt_secret_file.as_deref(),
        file: &config.salt_file_path,
    };
    let fresh =
        Salt::from_bytes(&random::<64>()?).ok_or_else(|| anyhow!("64 random bytes are no salt"))?;
    let salt = settle_salt(&database, places, config.salt_policy, || fresh)?;
    let readers = config.workers.get() * 2;
    Ok((database.start(clock, readers)?, salt))
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
