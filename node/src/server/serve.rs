//! A running node: puts the parts together, listens, and stops in good order.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use super::{
    cluster_link::{ClusterLink, flush, opener},
    file_care::FileCare,
    listeners::Listeners,
    upkeep,
};
use crate::{
    api::{Node, NodeState, RunningParts},
    budget::Budgets,
    cluster::{MemberName, MemberState, Mode, ProcessEpoch, Rules, Setup},
    config::{Config, UsageError},
    crypto::{Iterations, Salt},
    domain::{Incarnation, Timestamp},
    log::LogControl,
    metrics::{Metrics, StoreMetrics},
    os::random,
    peers::{Outputs, PeerProofs},
    replica::{Replica, ReplicaSettings, WallClock},
    store::{
        EntryStore, SaltPlaces, settle_salt,
        sqlite::{OpenError, OpenedDatabase},
    },
    tls::TlsStatus,
};

/// A node that listens but does not serve yet.
#[derive(Debug)]
pub struct BoundNode {
    listeners: Listeners,
    state: Node,
    drain: Duration,
    cluster: Option<ClusterLink>,
    files: FileCare,
    log_level_file: Option<PathBuf>,
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
            tracing::warn!(warning, "insecure_setting");
        }
        for warning in &config.rewritten {
            tracing::warn!(warning, "setting_rewritten");
        }
        let tls = Arc::new(TlsStatus::default());
        let (certificates, identities) = Listeners::certificates(&config, &tls, &metrics.files)?;
        let process_epoch = ProcessEpoch::from_random(u64::from_le_bytes(random()?));
        let opened = open_store(
            &config,
            process_epoch,
            Arc::clone(&clock),
            metrics.store.clone(),
        )?;
        let OpenedStore {
            store,
            salt,
            outputs,
        } = opened;
        let mut files = FileCare::new(&config, metrics.files.clone());
        files.look(clock());
        let listeners = Listeners::bind(&config, certificates)?;
        let drain = config.drain;
        let log_level_file = config.log_level_file.clone();
        let (keys, cached_keys) = (metrics.keys.clone(), config.caches.keys);
        let budgets = Budgets::new(config.memory.clone(), config.max_body_bytes);
        let cluster = ClusterLink::new(
            &config,
            process_epoch,
            budgets.peers.clone(),
            outputs,
            iterations,
            identities,
        )?;
        let peer_proofs = config
            .cluster_keys
            .clone()
            .map(|keys| PeerProofs::new(process_epoch, keys));
        let link = cluster.as_ref();
        let parts = RunningParts {
            federation: link.and_then(|link| link.federation(&store)),
            store,
            metrics,
            log,
            peer_proofs: peer_proofs.transpose()?.map(Arc::new),
            budgets,
            peer_faults: link.map(ClusterLink::faults),
            ports: listeners.open_ports(),
            tls,
        };
        let state = Arc::new(NodeState::new(config, clock, parts)?);
        if let Some(salt) = salt {
            state.open_values_with(opener(salt, iterations, cached_keys, keys)?);
        }
        Ok(Self {
            listeners,
            state,
            drain,
            cluster,
            files,
            log_level_file,
        })
    }

    /// Where clients come.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listeners.client_address()
    }

    /// Where metrics are served, if not beside the API.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.listeners.metrics_address()
    }

    /// Where probes are answered, if not only beside the API.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.listeners.health_address()
    }

    /// Serves until it gets the signal to stop: then `/ready` says no while requests are still accepted for the drain time,
    /// running requests finish, and the database is closed.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            listeners,
            state,
            drain,
            cluster,
            files,
            log_level_file,
        } = self;
        tracing::info!(
            address = %listeners.client_address()?,
            https = listeners.clients_speak_https(),
            https_address = listeners.https_address().map(tracing::field::display),
            peer_address = listeners.peer_address().map(tracing::field::display),
            metrics_address = listeners.metrics_address().map(tracing::field::display),
            health_address = listeners.health_address().map(tracing::field::display),
            entries = state.entries.store().live_entries(),
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
                if state.store.view().state == MemberState::Left {
                    // Others believe that it has left only once they have asked, so it must answer until then.
                    flush(&state.store).await;
                }
                closing.cancel();
            }
        });
        // Until the end: a node that drains still says that it lives.
        let probed = CancellationToken::new();
        let _probed = probed.clone().drop_guard();
        let client = cluster.as_ref().map(ClusterLink::client);
        let mut serving = listeners.serve(&state, client, closing, probed)?;
        let mut background = upkeep::start(&state, files, log_level_file);
        background.append(&mut serving.background);
        if let Some(cluster) = cluster {
            background.extend(cluster.connect(&state));
        }
        let served = serving.end().await;
        stopping.abort();
        flush(&state.store).await;
        for task in background {
            task.abort();
        }
        state.store.close().await;
        tracing::info!("node_stopped");
        served
    }
}

/// An open store, and what came with it.
struct OpenedStore {
    store: Replica,
    /// `None` where a clustered node has none yet.
    salt: Option<Salt>,
    outputs: Outputs,
}

fn open_store(
    config: &Config,
    process_epoch: ProcessEpoch,
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
    let settings = ReplicaSettings {
        clock,
        caches: config.caches,
        min_free_bytes: config.min_free_bytes,
        metrics,
        engine: engine_setup(config, process_epoch, salt.clone())?,
        outbox,
    };
    let store = Replica::start(database, settings).map_err(|error| match error {
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
fn engine_setup(
    config: &Config,
    process_epoch: ProcessEpoch,
    salt: Option<Salt>,
) -> anyhow::Result<Setup> {
    let cluster = config.cluster.as_ref();
    Ok(Setup {
        clustered: cluster.is_some(),
        name: MemberName::new(config.node_id.clone()),
        process_epoch,
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
