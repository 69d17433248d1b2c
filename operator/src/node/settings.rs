//! The settings of a node. One description, two renderings: a pod's environment and a local process's.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use opensecureconf_contract::{self as contract, AckLevel, setting, status::PeerProof};

use crate::{
    cluster::resource::{LogFormat, LogLevel, Mode, WriteAck},
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
    /// How the nodes share entries.
    pub mode: Mode,
    /// Shortest user key.
    pub min_user_key_length: i32,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// How often each other node is asked for its changes.
    pub sync_interval_seconds: i32,
    /// Which nodes must hold a write before it is answered.
    pub write_ack: WriteAck,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// How long requests are accepted after the signal to stop.
    pub drain_seconds: u32,
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
    /// Probes only, whatever happens on the others.
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
            mode,
            min_user_key_length,
            sync_interval_seconds,
            write_ack,
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
        let mut variables = vec![
            (setting::HOST.variable, host.clone()),
            (setting::HOST_PORT.variable, port.to_string()),
            (setting::DATABASE_PATH.variable, path(database)),
            (setting::SALT_FILE_PATH.variable, path(salt)),
            (setting::SALT_SECRET_FILE.variable, path(cluster_salt)),
            (setting::BOOTSTRAP.variable, "never".to_owned()),
            (
                setting::API_KEY_REQUIRED.variable,
                api_key_required.to_string(),
            ),
            (setting::CLUSTER_ENABLED.variable, "true".to_owned()),
            // Every node of this layout signs what it sends.
            (
                setting::PEER_PROOF.variable,
                PeerProof::Require.text().to_owned(),
            ),
            (
                setting::CLUSTER_MODE.variable,
                contract::Mode::from(*mode).text().to_owned(),
            ),
            (setting::CLUSTER_ID.variable, cluster_id.clone()),
            (setting::CLUSTER_KEY_FILE.variable, path(cluster_key)),
            (setting::CLUSTER_NODES_FILE.variable, path(nodes)),
            (
                setting::MIN_USER_KEY_LENGTH.variable,
                min_user_key_length.to_string(),
            ),
            (
                setting::CLUSTER_SYNC_INTERVAL.variable,
                sync_interval_seconds.to_string(),
            ),
            (
                setting::CLUSTER_WRITE_ACK.variable,
                AckLevel::from(*write_ack).text().to_owned(),
            ),
            match log_level_file {
                Some(file) => (setting::LOG_LEVEL_FILE.variable, path(file)),
                None => (setting::LOG_LEVEL.variable, log_level.setting().to_owned()),
            },
            (
                setting::LOG_FORMAT.variable,
                contract::LogFormat::from(*log_format).name().to_owned(),
            ),
            (setting::DRAIN_SECONDS.variable, drain_seconds.to_string()),
        ];
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

impl From<Mode> for contract::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Replica => Self::Replica,
            Mode::Federated => Self::Federated,
        }
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
