//! What the handlers share.

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use ipnet::IpNet;
use opensecureconf_contract::status::{Sharing, WRITES_NOT_READY};

use super::{
    answer::{error::ApiError, untaken::Answers},
    extract::untrusted_forwarders::UntrustedForwarders,
    list_admission::ListAdmission,
    ports::OpenPorts,
    refusal_log::RefusalLog,
    routes::{health::Pulse, metrics::Pages},
    value_threads::ValueThreads,
};
use crate::{
    access::{AccessKeyTries, AccessKeys, UserKeyTries},
    budget::Budgets,
    config::{Config, CorsOrigins, PeerProofPolicy, Timeouts},
    crypto::{CursorKey, Salt},
    entries::{Entries, NodeKind, Replicating},
    keys::KeyRing,
    log::LogControl,
    metrics::Metrics,
    peers::{PeerProofs, UnreachablePeer},
    replica::WallClock,
    store::WriteHealth,
    tls::TlsStatus,
};

/// A shared [`NodeState`].
pub type Node = Arc<NodeState>;

/// Everything that answering requests needs.
pub struct NodeState {
    /// Whether this node keeps entries itself, and what it has for that.
    pub kind: NodeKind,
    /// What requests do with entries, and where those are.
    pub entries: Entries,
    /// Opens and seals values; empty until the salt is known.
    opener: OnceLock<Opener>,
    /// The API keys, or `None` where none is required.
    pub api_keys: Option<AccessKeys>,
    /// What opens peer and admin routes, or `None` where there are none.
    pub cluster_keys: Option<AccessKeys>,
    /// What other nodes prove themselves with; `None` where there are no cluster keys.
    pub peer_proofs: Option<Arc<PeerProofs>>,
    /// Whether other nodes may still show the key itself.
    pub peer_proof: PeerProofPolicy,
    /// Whether peer and admin routes also demand a client certificate.
    pub owners_need_certificates: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which web origins may call.
    pub cors: Option<CorsOrigins>,
    /// Where it listens, beside the port for clients.
    pub ports: OpenPorts,
    /// Its certificates.
    pub tls: Arc<TlsStatus>,
    /// Whether clients have HTTPS alone, and so none while there is no certificate for it.
    pub needs_https: bool,
    /// Shortest user key, in Latin-1 characters.
    pub min_user_key_length: usize,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// What callers may take of the memory.
    pub budgets: Budgets,
    /// Answers that clients have not taken yet.
    pub(super) answers: Answers,
    /// Whose turn it is to work on a large value.
    pub(super) value_threads: ValueThreads,
    /// What lists addresses may have made.
    pub(super) lists: ListAdmission,
    /// Values within the value of an entry, at most.
    pub max_json_values: usize,
    /// Data keys that are cached at most.
    pub cached_keys: u64,
    /// What is counted.
    pub metrics: Metrics,
    /// The log's level.
    pub log: LogControl,
    /// This node's name in logs and status.
    pub node_id: String,
    /// Where the owner of the cluster mounts its salt, perhaps only after this node started.
    pub mounted_salt: Option<PathBuf>,
    /// Wall-clock time.
    pub clock: WallClock,
    /// Set when the node got the signal to stop.
    pub draining: AtomicBool,
    pub(super) user_key_tries: UserKeyTries,
    pub(super) access_key_tries: AccessKeyTries,
    pub(super) untrusted_forwarders: UntrustedForwarders,
    pub(super) refusal_log: RefusalLog,
    pub(super) pulse: Pulse,
    pub(super) metrics_pages: Pages,
    pub(super) unusual_user_key_seen: AtomicBool,
}

/// What the running node brings, beside its configuration.
#[derive(Debug)]
pub struct RunningParts {
    /// Whether the node keeps entries itself, and what it has for that.
    pub kind: NodeKind,
    /// What is counted.
    pub metrics: Metrics,
    /// The log's level.
    pub log: LogControl,
    /// What other nodes prove themselves with; `None` where there are no cluster keys.
    pub peer_proofs: Option<Arc<PeerProofs>>,
    /// The shares of the memory from which callers take.
    pub budgets: Budgets,
    /// Where the node listens, beside the port for clients.
    pub ports: OpenPorts,
    /// Its certificates.
    pub tls: Arc<TlsStatus>,
}

/// The salt, and the keys that are derived with it.
#[derive(Debug)]
pub struct Opener {
    /// The salt.
    pub salt: Salt,
    /// Where data keys come from.
    pub keys: KeyRing,
}

impl NodeState {
    /// Puts a configuration and the running parts together. Fails where the system gives no more threads.
    pub fn new(config: Config, clock: WallClock, parts: RunningParts) -> std::io::Result<Self> {
        let RunningParts {
            kind,
            metrics,
            log,
            peer_proofs,
            budgets,
            ports,
            tls,
        } = parts;
        Ok(Self {
            entries: Entries::new(&kind, metrics.cluster.clone()),
            kind,
            opener: OnceLock::new(),
            api_keys: config.api_keys,
            cluster_keys: config.cluster_keys,
            peer_proofs,
            peer_proof: config.peer_proof,
            owners_need_certificates: [
                config.tls.as_ref(),
                config.https.as_ref().map(|https| &https.files),
            ]
            .into_iter()
            .flatten()
            .any(|files| files.client_authorities.is_some()),
            trusted_proxies: config.trusted_proxies,
            cors: config.cors,
            ports,
            tls,
            needs_https: !config.http_enabled,
            min_user_key_length: config.min_user_key_length,
            max_body_bytes: config.max_body_bytes,
            timeouts: config.timeouts,
            answers: Answers::new(&budgets, config.timeouts),
            budgets,
            value_threads: ValueThreads::start()?,
            lists: ListAdmission::new(config.lists),
            max_json_values: config.max_json_values,
            cached_keys: config.caches.keys,
            metrics,
            log,
            node_id: config.node_id,
            mounted_salt: config.salt_secret_file,
            clock,
            draining: AtomicBool::new(false),
            user_key_tries: UserKeyTries::new(config.auth_failures_per_minute),
            access_key_tries: AccessKeyTries::new(config.auth_failures_per_minute),
            untrusted_forwarders: UntrustedForwarders::default(),
            refusal_log: RefusalLog::default(),
            pulse: Pulse::default(),
            metrics_pages: Pages::default(),
            unusual_user_key_seen: AtomicBool::new(false),
        })
    }

    /// The salt is known from now on. A second call changes nothing: there is one salt, ever.
    pub fn open_values_with(&self, opener: Opener) {
        let _ = self.opener.set(opener);
    }

    /// Ends the connections of clients that take their answers too slowly.
    pub(crate) fn end_overdue_answers(&self) {
        self.answers.end_overdue();
    }

    /// How nodes share entries; `None` where this one stands alone.
    pub fn sharing(&self) -> Option<Sharing> {
        match self.entries.sharing() {
            Sharing::Shared => Some(Sharing::Shared),
            sharing => self.kind.is_clustered().then_some(sharing),
        }
    }

    /// What this node has that keeps entries itself; refused by one that keeps none.
    pub(super) fn replicating(&self) -> Result<&Replicating, ApiError> {
        self.kind.replicating().ok_or(ApiError::NotReplicating)
    }

    /// The salt, once it is known.
    pub fn salt(&self) -> Option<&Salt> {
        self.opener.get().map(|opener| &opener.salt)
    }

    /// Wipes data keys that were not used for a while.
    pub(crate) fn wipe_expired_keys(&self) {
        if let Some(opener) = self.opener.get() {
            opener.keys.wipe_expired();
        }
    }

    /// What seals cursors of lists; `None` while the salt is not known.
    pub(super) fn cursors(&self) -> Option<CursorKey> {
        self.salt().map(CursorKey::of)
    }

    /// Where data keys come from; refused while the salt is not known.
    pub(super) fn keys(&self) -> Result<&KeyRing, ApiError> {
        self.opener
            .get()
            .map(|opener| &opener.keys)
            .ok_or_else(|| ApiError::NotReady {
                reason: "it has no salt yet".to_owned(),
            })
    }

    /// Refuses to touch entries while this node may lack some of them.
    pub(super) fn serves_entries(&self) -> Result<(), ApiError> {
        match self.kind.not_ready() {
            None => Ok(()),
            Some(reason) => Err(ApiError::NotReady { reason }),
        }
    }

    /// Why no traffic should come, and what creates and updates meet where the store says this of them: both of one moment.
    pub fn traffic(&self, store: WriteHealth) -> (Vec<String>, &'static str) {
        let closed = self.closed();
        let writes = match closed {
            Some(_) => WRITES_NOT_READY,
            None => store.text(),
        };
        let draining = self
            .draining
            .load(Ordering::Relaxed)
            .then(|| "draining".to_owned());
        let reasons = draining.into_iter().chain(closed);
        (reasons.chain(self.without_clients()).collect(), writes)
    }

    /// Listed or known nodes that do not answer, with all causes.
    pub fn unreachable_peers(&self) -> Vec<UnreachablePeer> {
        let node = self.kind.replicating();
        let faults = node.and_then(|node| node.peer_faults.as_ref());
        faults.map_or_else(Vec::new, |faults| faults.current(Instant::now()))
    }

    /// Why no client reaches this node; `None` while one does.
    fn without_clients(&self) -> Option<String> {
        let closed = self.needs_https && !self.tls.is_open();
        closed.then(|| match self.tls.fault_of_clients() {
            Some(error) => format!("OSC_HTTPS_PORT is closed: {error}"),
            None => "OSC_HTTPS_PORT is closed".to_owned(),
        })
    }

    /// Why this node opens no entry; `None` while it does.
    fn closed(&self) -> Option<String> {
        let salt_missing = || {
            let missing = self.opener.get().is_none();
            missing.then(|| "it has no salt yet".to_owned())
        };
        self.kind.not_ready().or_else(salt_missing)
    }
}

impl std::fmt::Debug for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeState")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}
