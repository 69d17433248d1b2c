//! The node's configuration: flags before environment before `.env`, judged as a whole.

mod access_keys;
pub mod dotenv;
mod flags;
mod layers;
mod listening;
mod lists;
mod memory;
mod mistyped;
mod peers;
mod settings;
mod shared;
mod sources;
mod timeouts;
mod values;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use flags::flag;
pub use layers::{Layers, UsageError};
pub use listening::{ClientHttps, CorsOrigins, TlsFiles};
pub use lists::ListBounds;
pub(crate) use mistyped::remark as remark_on_unknown;
pub use peers::{PeerAddress, PeerList, PeerProofPolicy};
pub use settings::{SETTINGS, Setting};
pub use shared::SharedDatabase;
pub use timeouts::Timeouts;

use ipnet::IpNet;
use values::{Faults, Values, read_items};

use crate::{
    access::AccessKeys,
    budget::{CacheSizes, MemoryPlan},
    cluster::{AckLevel, Mode},
    crypto::SaltPolicy,
    log::{LogFormat, LogLevel, read_level},
};

/// A configuration that holds together.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether that port is open; else clients have [`Config::https`] alone.
    pub http_enabled: bool,
    /// HTTPS for clients beside it.
    pub https: Option<ClientHttps>,
    /// Where other nodes and administration are served, instead of beside the API.
    pub peer_listen: Option<SocketAddr>,
    /// The certificate with which this process proves that it is a node of its cluster.
    pub node_tls: Option<TlsFiles>,
    /// Threads that serve requests.
    pub workers: NonZeroUsize,
    /// The database that this node shares with others, instead of one of its own.
    pub shared: Option<SharedDatabase>,
    /// The SQLite database.
    pub database_path: PathBuf,
    /// The salt file.
    pub salt_file_path: PathBuf,
    /// A salt given from outside.
    pub salt_secret_file: Option<PathBuf>,
    /// Whether this node may make a salt.
    pub salt_policy: SaltPolicy,
    /// Shortest user key, in Latin-1 characters.
    pub min_user_key_length: usize,
    /// The API keys, or `None` where none is required.
    pub api_keys: Option<AccessKeys>,
    /// Wrong keys per client address and minute before new ones are refused; 0 for no limit.
    pub auth_failures_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` the node trusts.
    pub trusted_proxies: Vec<IpNet>,
    /// Which web origins may call; `None` for none.
    pub cors: Option<CorsOrigins>,
    /// The files of HTTPS on the one port; `None` for plain HTTP there.
    pub tls: Option<TlsFiles>,
    /// Where `/metrics` is served instead of beside the API.
    pub metrics_bind: Option<SocketAddr>,
    /// This node's name in logs and status.
    pub node_id: String,
    /// The keys that open peer and admin routes; `None` hides the routes.
    pub cluster_keys: Option<AccessKeys>,
    /// How nodes prove themselves to each other.
    pub peer_proof: PeerProofPolicy,
    /// The cluster that this node belongs to.
    pub cluster: Option<ClusterConfig>,
    /// How many nodes must hold a write before it is answered, by default.
    pub write_ack: AckLevel,
    /// Connections of clients at most.
    pub max_connections: usize,
    /// Requests that a client has on one connection of HTTP/2 at a time.
    pub http2_streams: u32,
    /// Where `/health` and `/ready` are served as well, from a thread of their own.
    pub health_bind: Option<SocketAddr>,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Values within the value of an entry, at most.
    pub max_json_values: usize,
    /// The cost limits of lists.
    pub lists: ListBounds,
    /// How much memory each kind of work may take.
    pub memory: MemoryPlan,
    /// Caches behind the store, and its connections.
    pub caches: CacheSizes,
    /// Free disk space below which creates and updates are refused.
    pub min_free_bytes: u64,
    /// Least severe level that is logged at first.
    pub log_level: LogLevel,
    /// The file with the log level, which may change later.
    pub log_level_file: Option<PathBuf>,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// Whether log lines show the names of entries and environments instead of hashes.
    pub log_names: bool,
    /// Where log lines go instead of standard output.
    pub log_file: Option<PathBuf>,
    /// How long requests are accepted after the signal to stop.
    pub drain: Duration,
    /// Whether the end of standard input is a signal to stop.
    pub stop_on_stdin_eof: bool,
    /// The time limits of clients.
    pub timeouts: Timeouts,
    /// Settings without effect, one line each.
    pub ineffective: Vec<String>,
    /// Settings that protect less than they seem to, one line each.
    pub weak: Vec<String>,
    /// Secrets of `.env` whose value differs from the text in the file, one line each.
    pub rewritten: Vec<String>,
}

/// Membership in a cluster.
#[derive(Debug)]
pub struct ClusterConfig {
    /// The cluster's name, where one is given.
    pub id: Option<String>,
    /// How entries are shared.
    pub mode: Mode,
    /// The addresses of the cluster's nodes, usually with this one among them.
    pub peers: PeerList,
    /// How often this node asks each member for its changes, whether the member pushes or not.
    pub sync_interval: Duration,
    /// Whether a bootstrap may make a salt.
    pub may_make_salt: bool,
}

impl Config {
    /// Files with secrets, beside those of HTTPS.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let keys = [&self.api_keys, &self.cluster_keys].into_iter().flatten();
        let own = [&self.database_path, &self.salt_file_path];
        own.into_iter()
            .chain(&self.salt_secret_file)
            .chain(
                self.shared
                    .iter()
                    .filter_map(|shared| shared.url_file.as_ref()),
            )
            .cloned()
            .chain(keys.flat_map(AccessKeys::files))
            .chain([PathBuf::from(".env")])
            .collect()
    }

    /// The certificate with which this process speaks TLS to other nodes; `None` for plain HTTP.
    pub fn peer_tls(&self) -> Option<&TlsFiles> {
        match self.peer_listen {
            Some(_) => self.node_tls.as_ref(),
            None => self.tls.as_ref(),
        }
    }

    /// Judges all settings; the error lists every fault, not only the first.
    pub fn from_layers(layers: &Layers) -> Result<Self, UsageError> {
        let mut faults = Faults::of(layers);
        let mut values = Values::new(layers, &mut faults);

        let port: u16 = values.parse("HOST_PORT", "a port from 0 to 65535");
        let host = listening::host(&mut values);
        let api_key_required = values.boolean("API_KEY_REQUIRED");
        let workers = workers(&mut values);
        let drain = values.within("DRAIN_SECONDS", "a number of seconds", 0..=3600);
        let cluster_enabled = values.boolean("CLUSTER_ENABLED");
        let salt_policy = values.one_of(
            "BOOTSTRAP",
            &[("auto", SaltPolicy::Generate), ("never", SaltPolicy::Never)],
        );
        let mode = values.one_of(
            "CLUSTER_MODE",
            &[Mode::Replica, Mode::Federated].map(|mode| (mode.text(), mode)),
        );

        let max_body_bytes = memory::max_body_bytes(&mut values);
        let memory = memory::plan(&mut values, max_body_bytes);
        let sync_interval = peers::sync_interval(&mut values);

        let ports = listening::ports(&mut values, host);
        let log_level_file: Option<PathBuf> = values.parse_optional("LOG_LEVEL_FILE", "a path");

        let mut config = Self {
            listen: SocketAddr::new(host, port),
            http_enabled: ports.http_enabled,
            https: ports.https,
            peer_listen: ports.peers,
            node_tls: ports.node_tls,
            workers,
            shared: shared::database(&mut values),
            database_path: values.database_path(),
            salt_file_path: values.parse("SALT_FILE_PATH", "a path"),
            salt_secret_file: values.parse_optional("SALT_SECRET_FILE", "a path"),
            salt_policy: if cluster_enabled {
                SaltPolicy::Wait
            } else {
                salt_policy.unwrap_or(SaltPolicy::Never)
            },
            min_user_key_length: values
                .parse_optional("MIN_USER_KEY_LENGTH", "a number of characters from 1")
                .map_or(1, NonZeroUsize::get),
            api_keys: api_key_required.then(|| access_keys::api_keys(&mut values)),
            node_id: peers::node_id(&mut values, port),
            auth_failures_per_minute: values
                .parse("AUTH_FAILURES_PER_MINUTE", "a number of failures"),
            trusted_proxies: listening::trusted_proxies(&mut values),
            cors: listening::cors_origins(&mut values),
            tls: listening::tls_files(&mut values),
            metrics_bind: listening::bind(&mut values, "METRICS_BIND", "0.0.0.0:9100"),
            cluster_keys: access_keys::cluster_keys(&mut values, cluster_enabled),
            peer_proof: peers::proof_policy(&mut values),
            min_free_bytes: values.parse("MIN_FREE_BYTES", "a number of bytes"),
            log_names: values.boolean("LOG_NAMES"),
            log_file: values.parse_optional("LOG_FILE", "a path"),
            cluster: cluster_enabled.then(|| ClusterConfig {
                id: values.text("CLUSTER_ID"),
                mode: mode.unwrap_or(Mode::Replica),
                peers: peers::list(&mut values),
                sync_interval,
                may_make_salt: salt_policy == Some(SaltPolicy::Generate),
            }),
            write_ack: peers::write_ack(&mut values),
            max_connections: listening::max_connections(&mut values),
            http2_streams: listening::http2_streams(&mut values),
            health_bind: listening::bind(&mut values, "HEALTH_BIND", "0.0.0.0:9200"),
            max_body_bytes,
            max_json_values: memory::json_values(&mut values),
            lists: ListBounds::of(&mut values),
            caches: memory::caches(&mut values, &memory, workers),
            memory,
            log_level: log_level(&mut values, log_level_file.as_deref()),
            log_level_file,
            log_format: values
                .one_of("LOG_FORMAT", LogFormat::NAMES)
                .unwrap_or_default(),
            drain: Duration::from_secs(drain.unwrap_or_default()),
            stop_on_stdin_eof: values.boolean("STOP_ON_STDIN_EOF"),
            timeouts: Timeouts::of(&mut values),
            ineffective: values.ineffective(),
            weak: if api_key_required {
                Vec::new()
            } else {
                access_keys::unrequired(&values, host)
            },
            rewritten: layers.rewritten.clone(),
        };
        // Beside a shared database the mode itself is refused.
        if mode == Some(Mode::Federated) && !cluster_enabled && config.shared.is_none() {
            let fault = "is federated, which needs OSC_CLUSTER_ENABLED=true";
            faults.add("OSC_CLUSTER_MODE", fault);
        }
        config.judge_keys(&mut faults);
        faults.into_result(config)
    }

    /// Records faults of combinations of keys that are each usable.
    fn judge_keys(&mut self, faults: &mut Faults) {
        if self.peer_proof.key_in_clear {
            self.weak.push(
                "OSC_PEER_KEY_IN_CLEAR is true: who answers at the address of a node, or listens, gets the cluster key; unset it \
                 as soon as all nodes are of this release"
                    .to_owned(),
            );
        }
        if let (Some(cluster_keys), Some(api_keys)) = (&self.cluster_keys, &self.api_keys)
            && cluster_keys.shares_a_key_with(api_keys)
        {
            faults.add(
                "OSC_CLUSTER_KEY",
                "is also an API key; workloads that may read configuration must not pass as nodes",
            );
        }
        for (setting, keys, danger) in [
            (
                "OSC_CLUSTER_KEY",
                &self.cluster_keys,
                "is a node of the cluster",
            ),
            (
                "OSC_API_KEY",
                &self.api_keys,
                "may create entries and learn their names",
            ),
        ] {
            if let Some(safe) = keys.as_ref().and_then(AccessKeys::weakness) {
                self.weak.push(format!(
                    "{setting} is shorter than {safe} characters: an attacker who guesses it {danger}; make a random one"
                ));
            }
        }
    }
}

/// Threads that serve requests: by default one per core.
fn workers(values: &mut Values<'_>) -> NonZeroUsize {
    let given = values.within("WORKERS", "a number of threads", 1..=1024);
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    given.and_then(NonZeroUsize::new).unwrap_or_else(cores)
}

/// The level in the file; a faulty file does not keep the node from starting.
fn log_level(values: &mut Values<'_>, file: Option<&Path>) -> LogLevel {
    let set = values.one_of("LOG_LEVEL", LogLevel::NAMES);
    file.and_then(|file| read_level(file).ok())
        .or(set)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
