//! The settings of a node. One description, two renderings: a pod's environment and a local process's.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

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
pub const NODE_ID_VARIABLE: &str = "OSC_CLUSTER_NODE_ID";

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
            ("OSC_HOST", host.clone()),
            ("OSC_HOST_PORT", port.to_string()),
            ("OSC_DATABASE_PATH", path(database)),
            ("OSC_SALT_FILE_PATH", path(salt)),
            ("OSC_SALT_SECRET_FILE", path(cluster_salt)),
            ("OSC_BOOTSTRAP", "never".to_owned()),
            ("OSC_API_KEY_REQUIRED", api_key_required.to_string()),
            ("OSC_CLUSTER_ENABLED", "true".to_owned()),
            // Every node of this layout signs what it sends.
            ("OSC_PEER_PROOF", "require".to_owned()),
            ("OSC_CLUSTER_MODE", mode.setting().to_owned()),
            ("OSC_CLUSTER_ID", cluster_id.clone()),
            ("OSC_CLUSTER_KEY_FILE", path(cluster_key)),
            ("OSC_CLUSTER_NODES_FILE", path(nodes)),
            ("OSC_MIN_USER_KEY_LENGTH", min_user_key_length.to_string()),
            (
                "OSC_CLUSTER_SYNC_INTERVAL",
                sync_interval_seconds.to_string(),
            ),
            ("OSC_CLUSTER_WRITE_ACK", write_ack.setting().to_owned()),
            match log_level_file {
                Some(file) => ("OSC_LOG_LEVEL_FILE", path(file)),
                None => ("OSC_LOG_LEVEL", log_level.setting().to_owned()),
            },
            ("OSC_LOG_FORMAT", log_format.setting().to_owned()),
            ("OSC_DRAIN_SECONDS", drain_seconds.to_string()),
        ];
        if let Some(ports) = ports {
            variables.extend(ports.variables(host));
        }
        if let Some(file) = api_key {
            let previous = file.with_file_name(API_KEY_PREVIOUS_FILE);
            variables.extend([
                ("OSC_API_KEY_FILE", path(file)),
                ("OSC_API_KEY_PREVIOUS_FILE", path(&previous)),
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
            ("OSC_HTTP_ENABLED", http.to_string()),
            ("OSC_PEER_PORT", peers.to_string()),
            ("OSC_METRICS_BIND", socket(host, *metrics)),
            ("OSC_HEALTH_BIND", socket(host, *health)),
            ("OSC_NODE_TLS_DIR", node_tls.display().to_string()),
        ];
        if let Some((port, CertificateFiles { certificate, key })) = https {
            variables.extend([
                ("OSC_HTTPS_PORT", port.to_string()),
                ("OSC_SSL_CERTFILE", certificate.display().to_string()),
                ("OSC_SSL_KEYFILE", key.display().to_string()),
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

impl Mode {
    fn setting(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Federated => "federated",
        }
    }
}

impl WriteAck {
    fn setting(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Healthy => "healthy",
            Self::All => "all",
        }
    }
}

impl LogLevel {
    /// As nodes spell it.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

impl LogFormat {
    fn setting(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Console => "console",
        }
    }
}
