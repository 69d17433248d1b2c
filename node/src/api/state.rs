//! What the handlers share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use ipnet::IpNet;

use super::failure_limit::FailureLimit;
use crate::{
    config::{AccessKeys, Config, CorsOrigins, Patience},
    crypto::{KeyRing, Salt},
    log::LogControl,
    metrics::Metrics,
    store::{Store, WallClock},
};

/// A shared [`NodeState`].
pub type Node = Arc<NodeState>;

/// Everything that answering requests needs.
pub struct NodeState {
    /// Where entries are.
    pub store: Store,
    /// Where data keys come from.
    pub keys: KeyRing,
    /// The API keys, or `None` where none is required.
    pub api_keys: Option<AccessKeys>,
    /// What opens peer and admin routes, or `None` where there are none.
    pub cluster_keys: Option<AccessKeys>,
    /// Whether peer and admin routes also demand a client certificate.
    pub owners_need_certificates: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which web origins may call.
    pub cors: Option<CorsOrigins>,
    /// Whether `/metrics` is among these routes.
    pub serves_metrics: bool,
    /// Shortest user key, in Latin-1 characters.
    pub min_user_key_length: usize,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// How long clients may take.
    pub patience: Patience,
    /// What is counted.
    pub metrics: Metrics,
    /// The log's level.
    pub log: LogControl,
    /// This node's name in logs and status.
    pub node_id: String,
    /// The cluster that this node belongs to.
    pub cluster: Option<ClusterIdentity>,
    /// The salt.
    pub salt: Salt,
    /// Wall-clock time.
    pub clock: WallClock,
    /// Set when the node was told to stop.
    pub draining: AtomicBool,
    pub(super) failures: Mutex<FailureLimit>,
    pub(super) unusual_user_key_seen: AtomicBool,
}

/// What the running node brings, beside its configuration.
#[derive(Debug)]
pub struct RunningParts {
    /// Where entries are.
    pub store: Store,
    /// Where data keys come from.
    pub keys: KeyRing,
    /// What is counted.
    pub metrics: Metrics,
    /// The log's level.
    pub log: LogControl,
    /// The salt.
    pub salt: Salt,
}

/// What status answers tell of the cluster.
#[derive(Debug, Clone)]
pub struct ClusterIdentity {
    /// How many other nodes the peer list names.
    pub other_nodes: usize,
}

impl NodeState {
    /// Puts a configuration and the running parts together.
    pub fn new(config: Config, clock: WallClock, parts: RunningParts) -> Self {
        let RunningParts {
            store,
            keys,
            metrics,
            log,
            salt,
        } = parts;
        Self {
            store,
            keys,
            api_keys: config.api_keys,
            cluster_keys: config.cluster_keys,
            owners_need_certificates: config
                .tls
                .is_some_and(|tls| tls.client_authorities.is_some()),
            trusted_proxies: config.trusted_proxies,
            cors: config.cors,
            serves_metrics: config.metrics_bind.is_none(),
            min_user_key_length: config.min_user_key_length,
            max_body_bytes: config.max_body_bytes,
            patience: config.patience,
            metrics,
            log,
            node_id: config.node_id,
            cluster: config.cluster.map(|cluster| ClusterIdentity {
                other_nodes: cluster.peers.len().saturating_sub(1),
            }),
            salt,
            clock,
            draining: AtomicBool::new(false),
            failures: Mutex::new(FailureLimit::new(config.auth_failures_per_minute)),
            unusual_user_key_seen: AtomicBool::new(false),
        }
    }

    /// Why this node should get no traffic; empty when it should.
    pub fn reasons_against_traffic(&self) -> Vec<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            vec!["draining"]
        } else {
            Vec::new()
        }
    }
}

impl std::fmt::Debug for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeState")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}
