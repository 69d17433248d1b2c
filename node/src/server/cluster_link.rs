//! The extra parts of a node in a cluster: its link to the others, and a salt that may come later.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::task::JoinHandle;

use super::listeners::StartIdentities;
use crate::{
    api::{Node, Opener},
    budget::MessagePools,
    cluster::{MemberName, Mode, ProcessEpoch},
    config::{Config, PeerList},
    crypto::{Iterations, Salt},
    entries::Federation,
    keys::KeyRing,
    metrics::KeyMetrics,
    os::random,
    peers::{self, Caller, OnSalt, Outputs, PeerClient, PeerFaults},
    replica::Replica,
    store::keep_salt,
    tls::KnownHosts,
};

/// How long a stopping node waits until others hold its latest changes.
const FLUSH: Duration = Duration::from_secs(5);

/// The connection of a node to the others of its cluster.
pub(crate) struct ClusterLink {
    client: Arc<PeerClient>,
    /// Its name, where the cluster is federated.
    federated_as: Option<MemberName>,
    list: PeerList,
    outputs: Outputs,
    salt_file: PathBuf,
    iterations: Iterations,
    hosts: KnownHosts,
    replica: Replica,
}

impl std::fmt::Debug for ClusterLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterLink").finish_non_exhaustive()
    }
}

impl ClusterLink {
    /// The link of a node in a cluster; `None` for a standalone node.
    pub(crate) fn new(
        config: &Config,
        process_epoch: ProcessEpoch,
        pools: MessagePools,
        outputs: Outputs,
        iterations: Iterations,
        identities: StartIdentities,
        replica: &Replica,
    ) -> anyhow::Result<Option<Self>> {
        let (Some(cluster), Some(keys)) = (&config.cluster, &config.cluster_keys) else {
            return Ok(None);
        };
        let caller = Caller {
            name: Some(config.node_id.clone()),
            process_epoch,
            cluster_keys: keys.clone(),
            policy: config.peer_proof,
            tls: identities.peers,
            resolved: None,
        };
        let client = Arc::new(PeerClient::new(caller, pools)?);
        let federated_as =
            (cluster.mode == Mode::Federated).then(|| MemberName::new(config.node_id.clone()));
        Ok(Some(Self {
            client,
            federated_as,
            list: cluster.peers.clone(),
            outputs,
            salt_file: config.salt_file_path.clone(),
            iterations,
            hosts: identities.hosts,
            replica: replica.clone(),
        }))
    }

    /// The parts of the link that requests need.
    pub(crate) fn federation(&self) -> Option<Federation> {
        self.federated_as.clone().map(|name| Federation {
            peers: self.client(),
            name,
            replica: self.replica.clone(),
        })
    }

    /// The client for requests to other nodes.
    pub(crate) fn client(&self) -> Arc<PeerClient> {
        Arc::clone(&self.client)
    }

    /// Which nodes do not answer.
    pub(crate) fn faults(&self) -> Arc<PeerFaults> {
        Arc::clone(self.client.faults())
    }

    /// Starts everything that connects the node; ends with the handles' abortion.
    pub(crate) fn connect(self, state: &Node) -> Vec<JoinHandle<()>> {
        let Self {
            client,
            federated_as,
            list,
            outputs,
            salt_file,
            iterations,
            hosts,
            replica,
        } = self;
        let mut tasks = peers::start(
            &replica,
            Arc::clone(&client),
            (list, hosts),
            outputs,
            on_salt(Arc::clone(state), salt_file, iterations),
            state.metrics.cluster.clone(),
        );
        if let Some(name) = federated_as {
            tasks.push(peers::start_handover(&replica, client, name));
        }
        tasks
    }
}

/// The steps of a running node that gets its salt.
fn on_salt(state: Node, file: PathBuf, iterations: Iterations) -> OnSalt {
    Box::new(move |salt| {
        // The database holds it already: where the file cannot be written now, the next start does it.
        if let Err(error) = keep_salt(&file, &salt) {
            tracing::error!(error = %error, "salt_file_not_written");
        }
        let (cached_keys, metrics) = (state.cached_keys, state.metrics.keys.clone());
        match opener(salt, iterations, cached_keys, metrics) {
            Ok(opener) => state.open_values_with(opener),
            Err(error) => {
                tracing::error!(error = %format_args!("{error:#}"), "values_cannot_be_opened");
            }
        }
    })
}

/// Starts the threads that derive keys with a salt.
pub(crate) fn opener(
    salt: Salt,
    iterations: Iterations,
    cached_keys: u64,
    metrics: KeyMetrics,
) -> anyhow::Result<Opener> {
    let threads = derivation_threads();
    let keys = KeyRing::start(&salt, iterations, threads, random()?, cached_keys, metrics)
        .context("cannot start the derivation threads")?;
    Ok(Opener { salt, keys })
}

/// One core stays free for requests that need no derivation.
fn derivation_threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)
}

/// Waits a while until every healthy member holds this node's rows, and knows of its leave if it has left.
pub(crate) async fn flush(store: &Replica) {
    let mut view = store.watch_view();
    let all_hold_it = async {
        // The last published view may be older than the last write.
        store.current_view(FLUSH).await;
        let all_hold_it = view.wait_for(|view| {
            view.members
                .iter()
                .filter(|member| member.healthy)
                .all(|member| member.lag == 0 && (member.knows_roster || !member.counts))
        });
        // The view ends with the store, which then has nothing left to hand over.
        let _ = all_hold_it.await;
    };
    if tokio::time::timeout(FLUSH, all_hold_it).await.is_err() {
        tracing::warn!("shutdown_flush_timed_out");
    }
}

#[cfg(test)]
mod tests {
    use crate::{budget::CacheSizes, crypto::DataKey};

    #[test]
    fn a_cached_key_is_counted_with_all_that_it_takes() {
        // The cache took as much beside each key.
        const AROUND: usize = 550;
        assert!(size_of::<DataKey>() + AROUND <= CacheSizes::KEY);
    }
}
