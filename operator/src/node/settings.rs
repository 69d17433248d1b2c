//! The settings of a node. One description, two renderings: a pod's environment and a local process's.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use opensecureconf_contract::{self as contract, AckLevel, setting, status::PeerProof};

use crate::{
    cluster::resource::{LogFormat, LogLevel, WriteAck},
    names::API_KEY_PREVIOUS_FILE,
};

/// The settings of one node, except its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Address to listen on.
    pub host: String,
    /// Port for clients over plain HTTP.
    pub port: u16,
    /// The other ports; `None` for a node that has one port for everything.
    pub ports: Option<NodePorts>,
    /// Files of the node.
    pub files: NodeFiles,
    /// Whether clients must show an API key.
    pub api_key_required: bool,
    /// Namespace and name of the cluster, so that a copy of its volumes cannot talk to it.
    pub cluster_id: String,
    /// Where entries are.
    pub entries: Entries,
    /// Shortest user key.
    pub min_user_key_length: i32,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// How long requests are accepted after the signal to stop.
    pub drain_seconds: u32,
}

/// Where the entries of a node are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries {
    /// In a database of its own, which it replicates with the nodes that it knows.
    OnEachNode(OwnEntries),
    /// In a database that all nodes use; they do not know each other.
    Shared(SharedDatabase),
}

/// How nodes share entries that each of them stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnEntries {
    /// Whether every node has every value.
    pub mode: contract::Mode,
    /// How often the node asks each other node for its changes.
    pub sync_interval_seconds: i32,
    /// Which nodes must hold a write before it is answered.
    pub write_ack: WriteAck,
}

/// A database that all nodes use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedDatabase {
    /// File with its address, user and password.
    pub url: PathBuf,
    /// File with the authorities of the server's certificate; `None` where it is reached without TLS.
    pub authorities: Option<PathBuf>,
    /// Connections for reading, and as many for writing.
    pub connections: i32,
    /// How long a request may wait for it.
    pub timeout_seconds: i32,
}

/// The ports that a node has beside that of plain HTTP, and the certificates that it shows there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePorts {
    /// Whether plain HTTP is served at all.
    pub http: bool,
    /// HTTPS for clients, and the certificate there; `None` for none.
    pub https: Option<(u16, CertificateFiles)>,
    /// Peers, administration, salt and status: mutual TLS only.
    pub peers: u16,
    /// Metrics over HTTPS.
    pub metrics: u16,
    /// For probes only, whatever happens on the other ports.
    pub health: u16,
    /// Folder with the nodes' certificate, its key, and the authorities that they accept.
    pub node_tls: PathBuf,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Where a node's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFiles {
    /// Database.
    pub database: PathBuf,
    /// The node's own copy of the salt.
    pub salt: PathBuf,
    /// The cluster's salt.
    pub cluster_salt: PathBuf,
    /// API keys; `None` where none is required. The previous ones are beside it.
    pub api_key: Option<PathBuf>,
    /// Cluster keys.
    pub cluster_key: PathBuf,
    /// Peer list.
    pub nodes: PathBuf,
    /// The level of the log, which may change while the node runs; `None` where that of its start holds.
    pub log_level: Option<PathBuf>,
}

/// The variable with the node's name, which each rendering fills in its own way.
pub const NODE_ID_VARIABLE: &str = setting::CLUSTER_NODE_ID.variable;

impl NodeSettings {
    /// All settings but the node's name, as environment variables in a fixed order.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        // Destructured in full: a setting that is not rendered would be silently ignored.
        let Self {
            host,
            port,
            ports,
            files,
            api_key_required,
            cluster_id,
            entries,
            min_user_key_length,
            log_level,
            log_format,
            drain_seconds,
        } = self;
        let NodeFiles {
            database,
            salt,
            cluster_salt,
            api_key,
            cluster_key,
            nodes,
            log_level: log_level_file,
        } = files;
        let path = |path: &PathBuf| path.display().to_string();
        let (own, shared) = match entries {
            Entries::OnEachNode(own) => (Some(own), None),
            Entries::Shared(shared) => (None, Some(shared)),
        };
        // Settings of nodes with a database of their own; beside a shared one a node refuses them.
        let of_own = |value: fn(&OwnEntries) -> String| own.map(value);
        let variables = [
            (setting::HOST.variable, Some(host.clone())),
            (setting::HOST_PORT.variable, Some(port.to_string())),
            (setting::DATABASE_PATH.variable, own.map(|_| path(database))),
            (setting::SALT_FILE_PATH.variable, own.map(|_| path(salt))),
            (setting::SALT_SECRET_FILE.variable, Some(path(cluster_salt))),
            (setting::BOOTSTRAP.variable, of_own(|_| "never".to_owned())),
            (
                setting::API_KEY_REQUIRED.variable,
                Some(api_key_required.to_string()),
            ),
            (
                setting::CLUSTER_ENABLED.variable,
                of_own(|_| "true".to_owned()),
            ),
            // Every node of this layout signs its requests.
            (
                setting::PEER_PROOF.variable,
                of_own(|_| PeerProof::Require.text().to_owned()),
            ),
            (
                setting::CLUSTER_MODE.variable,
                of_own(|own| own.mode.text().to_owned()),
            ),
            (setting::CLUSTER_ID.variable, Some(cluster_id.clone())),
            (setting::CLUSTER_KEY_FILE.variable, Some(path(cluster_key))),
            (
                setting::CLUSTER_NODES_FILE.variable,
                own.map(|_| path(nodes)),
            ),
            (
                setting::MIN_USER_KEY_LENGTH.variable,
                Some(min_user_key_length.to_string()),
            ),
            (
                setting::CLUSTER_SYNC_INTERVAL.variable,
                of_own(|own| own.sync_interval_seconds.to_string()),
            ),
            (
                setting::CLUSTER_WRITE_ACK.variable,
                of_own(|own| AckLevel::from(own.write_ack).text().to_owned()),
            ),
            match log_level_file {
                Some(file) => (setting::LOG_LEVEL_FILE.variable, Some(path(file))),
                None => (
                    setting::LOG_LEVEL.variable,
                    Some(log_level.setting().to_owned()),
                ),
            },
            (
                setting::LOG_FORMAT.variable,
                Some(contract::LogFormat::from(*log_format).name().to_owned()),
            ),
            (
                setting::DRAIN_SECONDS.variable,
                Some(drain_seconds.to_string()),
            ),
        ];
        let given = variables.into_iter();
        let given = given.filter_map(|(name, value)| Some((name, value?)));
        let mut variables: Vec<_> = given.collect();
        variables.extend(shared.into_iter().flat_map(SharedDatabase::variables));
        if let Some(ports) = ports {
            variables.extend(ports.variables(host));
        }
        if let Some(file) = api_key {
            let previous = file.with_file_name(API_KEY_PREVIOUS_FILE);
            variables.extend([
                (setting::API_KEY_FILE.variable, path(file)),
                (setting::API_KEY_PREVIOUS_FILE.variable, path(&previous)),
            ]);
        }
        variables
    }
}

impl SharedDatabase {
    /// As nodes read it, and as the step reads it that makes the tables.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let Self {
            url,
            authorities,
            connections,
            timeout_seconds,
        } = self;
        let file = |file: &PathBuf| file.display().to_string();
        let mut variables = vec![(setting::DATABASE_URL_FILE.variable, file(url))];
        let authorities = authorities.iter();
        variables.extend(authorities.map(|path| (setting::DATABASE_CA_FILE.variable, file(path))));
        variables.extend([
            (
                setting::DATABASE_CONNECTIONS.variable,
                connections.to_string(),
            ),
            (
                setting::DATABASE_TIMEOUT.variable,
                timeout_seconds.to_string(),
            ),
        ]);
        variables
    }
}

impl NodePorts {
    fn variables(&self, host: &str) -> Vec<(&'static str, String)> {
        let Self {
            http,
            https,
            peers,
            metrics,
            health,
            node_tls,
        } = self;
        let mut variables = vec![
            (setting::HTTP_ENABLED.variable, http.to_string()),
            (setting::PEER_PORT.variable, peers.to_string()),
            (setting::METRICS_BIND.variable, socket(host, *metrics)),
            (setting::HEALTH_BIND.variable, socket(host, *health)),
            (
                setting::NODE_TLS_DIR.variable,
                node_tls.display().to_string(),
            ),
        ];
        if let Some((port, CertificateFiles { certificate, key })) = https {
            variables.extend([
                (setting::HTTPS_PORT.variable, port.to_string()),
                (
                    setting::SSL_CERTFILE.variable,
                    certificate.display().to_string(),
                ),
                (setting::SSL_KEYFILE.variable, key.display().to_string()),
            ]);
        }
        variables
    }
}

/// An address and a port in one text: IPv6 addresses stand between brackets.
fn socket(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

impl From<WriteAck> for AckLevel {
    fn from(write_ack: WriteAck) -> Self {
        match write_ack {
            WriteAck::Local => Self::Local,
            WriteAck::Healthy => Self::Healthy,
            WriteAck::All => Self::All,
        }
    }
}

impl LogLevel {
    /// As nodes spell it.
    pub(crate) fn setting(self) -> &'static str {
        let level = match self {
            Self::Debug => contract::LogLevel::Debug,
            Self::Info => contract::LogLevel::Info,
            Self::Warning => contract::LogLevel::Warning,
            Self::Error => contract::LogLevel::Error,
        };
        level.name()
    }
}

impl From<LogFormat> for contract::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Console => Self::Console,
        }
    }
}
