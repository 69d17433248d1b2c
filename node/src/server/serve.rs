//! A running node: puts the parts together, listens, and stops in good order.

use std::{
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::ensure;
use tokio_util::sync::CancellationToken;

use super::{
    cluster_link::{ClusterLink, flush, opener},
    file_care::FileCare,
    listeners::Listeners,
    own_database::{LinkParts, OpenedStore, open_store},
    shared_database::{self, OpenedDatabase, follow},
    upkeep,
};
use crate::{
    api::{Node, NodeState, RunningParts},
    budget::Budgets,
    cluster::{MemberState, ProcessEpoch},
    config::{Config, SharedDatabase},
    crypto::Iterations,
    domain::Timestamp,
    entries::NodeKind,
    log::LogControl,
    metrics::Metrics,
    os::random,
    peers::PeerProofs,
    replica::WallClock,
    store::EntryStore,
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
    database: Option<SharedDatabase>,
}

impl BoundNode {
    /// A node with a database of its own: opens the database, settles the salt, starts the threads and binds the ports.
    ///
    /// # Errors
    /// Where one of these steps fails, or the settings name a shared database.
    pub fn start(config: Config, iterations: Iterations, log: LogControl) -> anyhow::Result<Self> {
        ensure!(
            config.shared.is_none(),
            "the settings name a shared database"
        );
        Self::assemble(config, iterations, log, None)
    }

    /// A node of a shared database: connects to it, with the mounted salt, and binds the ports. Where the database does not
    /// answer, the node listens all the same, and serves entries once it does.
    ///
    /// # Errors
    /// Where the database is another store than the settings demand, or has another salt.
    pub async fn start_shared(
        config: Config,
        database: &SharedDatabase,
        iterations: Iterations,
        log: LogControl,
    ) -> anyhow::Result<Self> {
        let opened = shared_database::open(&config, database).await?;
        Self::assemble(config, iterations, log, Some(opened))
    }

    fn assemble(
        config: Config,
        iterations: Iterations,
        log: LogControl,
        shared: Option<OpenedDatabase>,
    ) -> anyhow::Result<Self> {
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
        let budgets = Budgets::new(config.memory.clone(), config.max_body_bytes);
        let OpenedStore {
            kind,
            salt,
            cluster,
        } = if let Some(OpenedDatabase { store, salt }) = shared {
            OpenedStore {
                kind: NodeKind::Shared(store),
                salt: Some(salt),
                cluster: None,
            }
        } else {
            let link = LinkParts {
                iterations,
                identities,
                room: budgets.peers.clone(),
            };
            open_store(
                &config,
                process_epoch,
                Arc::clone(&clock),
                metrics.store.clone(),
                link,
            )?
        };
        let mut files = FileCare::new(&config, Arc::clone(&tls), metrics.files.clone());
        files.look(clock());
        let listeners = Listeners::bind(&config, certificates)?;
        let drain = config.drain;
        let log_level_file = config.log_level_file.clone();
        let database = config.shared.clone();
        let (keys, cached_keys) = (metrics.keys.clone(), config.caches.keys);
        let peer_proofs = config
            .cluster_keys
            .clone()
            .map(|keys| PeerProofs::new(process_epoch, keys));
        let parts = RunningParts {
            kind,
            metrics,
            log,
            peer_proofs: peer_proofs.transpose()?.map(Arc::new),
            budgets,
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
            database,
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

    /// Serves until the signal to stop. Then `/ready` answers no while requests are still accepted for the drain time, running
    /// requests finish, and the database is closed. A shared database that comes late and turns out to be another store ends it
    /// as well, at once and without the drain time, with an error.
    ///
    /// # Errors
    /// Where it cannot serve, or a shared database cannot be used.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            listeners,
            state,
            drain,
            cluster,
            files,
            log_level_file,
            database,
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
            incarnation = %state.kind.incarnation(),
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
                if let Some(node) = state.kind.replicating()
                    && node.replica.view().state == MemberState::Left
                {
                    // Others learn that it has left only by asking it, so it must answer until then.
                    flush(&node.replica).await;
                }
                closing.cancel();
            }
        });
        // Until the end: a node that drains still answers that it lives.
        let probed = CancellationToken::new();
        let _probed = probed.clone().drop_guard();
        let client = cluster.as_ref().map(ClusterLink::client);
        let mut serving = listeners.serve(&state, client, closing.clone(), probed)?;
        let mut background = upkeep::start(&state, files, log_level_file);
        background.append(&mut serving.background);
        if let (NodeKind::Shared(store), Some(database)) = (&state.kind, database.clone()) {
            background.push(tokio::spawn(follow(store.clone(), database)));
        }
        if let Some(cluster) = cluster {
            background.extend(cluster.connect(&state));
        }
        let mut end = pin!(serving.end());
        let served = tokio::select! {
            served = &mut end => served,
            unusable = unusable_database(&state, database) => {
                closing.cancel();
                end.await.and(Err(unusable))
            }
        };
        // Where one port failed, the others take no more connections either.
        closing.cancel();
        stopping.abort();
        let node = state.kind.replicating();
        if let Some(node) = node {
            flush(&node.replica).await;
        }
        for task in background {
            task.abort();
        }
        if let Some(node) = node {
            node.replica.close().await;
        }
        tracing::info!("node_stopped");
        served
    }
}

/// Ends where a shared database that came after the start cannot be used.
async fn unusable_database(state: &Node, database: Option<SharedDatabase>) -> anyhow::Error {
    if let (NodeKind::Shared(store), Some(database)) = (&state.kind, database)
        && let Err(error) = shared_database::wait_for(store, &database.cluster).await
    {
        return error;
    }
    std::future::pending().await
}

fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}
