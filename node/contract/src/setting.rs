//! Names of the node's settings that others give it: the operator, `osc-operator local`.

/// The name of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingName {
    /// Without its prefix, such as `HOST_PORT`.
    pub name: &'static str,
    /// The environment variable, such as `OSC_HOST_PORT`.
    pub variable: &'static str,
}

macro_rules! names {
    ($($(#[$what:meta])* $name:ident;)*) => {
        $($(#[$what])*
        pub const $name: SettingName = SettingName {
            name: stringify!($name),
            variable: concat!("OSC_", stringify!($name)),
        };)*

        /// All of them.
        pub const ALL: &[SettingName] = &[$($name),*];
    };
}

names! {
    /// Address to listen on.
    HOST;
    /// Port for clients over plain HTTP.
    HOST_PORT;
    /// Whether that port is open.
    HTTP_ENABLED;
    /// Port for clients over HTTPS.
    HTTPS_PORT;
    /// Certificate of that port.
    SSL_CERTFILE;
    /// Its private key.
    SSL_KEYFILE;
    /// Port for other nodes and for the cluster admin: mutual TLS only.
    PEER_PORT;
    /// Folder with the certificate of that port.
    NODE_TLS_DIR;
    /// Where metrics are served.
    METRICS_BIND;
    /// Where probes are answered.
    HEALTH_BIND;
    /// The database of a node's own.
    DATABASE_PATH;
    /// The address of a database that nodes share.
    DATABASE_URL;
    /// A file with that address.
    DATABASE_URL_FILE;
    /// The authorities of its certificate.
    DATABASE_CA_FILE;
    /// Connections to it for reading, and as many for writing.
    DATABASE_CONNECTIONS;
    /// How many seconds a request may wait for it.
    DATABASE_TIMEOUT;
    /// The node's own copy of the salt.
    SALT_FILE_PATH;
    /// The cluster's salt.
    SALT_SECRET_FILE;
    /// Who bootstraps the cluster.
    BOOTSTRAP;
    /// Whether clients must show an API key.
    API_KEY_REQUIRED;
    /// API keys.
    API_KEY_FILE;
    /// API keys from before.
    API_KEY_PREVIOUS_FILE;
    /// Whether the node is one of a cluster.
    CLUSTER_ENABLED;
    /// Its name there.
    CLUSTER_NODE_ID;
    /// Which cluster.
    CLUSTER_ID;
    /// How the nodes share entries.
    CLUSTER_MODE;
    /// Cluster keys.
    CLUSTER_KEY_FILE;
    /// Where the nodes are.
    CLUSTER_NODES_FILE;
    /// How often each other node is asked for its changes.
    CLUSTER_SYNC_INTERVAL;
    /// How many nodes must hold a write.
    CLUSTER_WRITE_ACK;
    /// Whether callers must sign.
    PEER_PROOF;
    /// Shortest user key.
    MIN_USER_KEY_LENGTH;
    /// Least severe level that is logged.
    LOG_LEVEL;
    /// A file with that level, which may change.
    LOG_LEVEL_FILE;
    /// Shape of log lines.
    LOG_FORMAT;
    /// Where log lines go.
    LOG_FILE;
    /// How long requests are accepted after the signal to stop.
    DRAIN_SECONDS;
    /// Whether the end of the standard input stops the node.
    STOP_ON_STDIN_EOF;
}
