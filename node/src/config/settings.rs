//! Every setting of the node, once: its name, default and meaning.

use opensecureconf_contract::setting as shared;

use crate::access::WELL_KNOWN_API_KEY;

/// One setting. `HOST_PORT` is the variable `OSC_HOST_PORT` and the flag `--host-port`.
#[derive(Debug)]
pub struct Setting {
    /// The name without `OSC_`, in upper case.
    pub name: &'static str,
    /// The value where none is given; `None` means "not set".
    pub default: Option<&'static str>,
    /// The kind of value that it takes, as `--help` shows it.
    pub value: &'static str,
    /// Its effect, with units.
    pub help: &'static str,
}

impl Setting {
    /// The environment variable.
    pub fn variable(&self) -> String {
        match self.name {
            // The original has some without the prefix.
            "CORS_ORIGINS" => self.name.to_owned(),
            // Of the Prometheus library that the original uses.
            "PROMETHEUS_MULTIPROC_DIR" => self.name.to_lowercase(),
            name => format!("OSC_{name}"),
        }
    }

    /// The flag, with its dashes.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.to_lowercase().replace('_', "-"))
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(
            self.name,
            "API_KEY" | "CLUSTER_KEY" | "DATABASE_URL" | "SSL_KEYFILE_PASSWORD"
        )
    }
}

const fn setting(
    name: &'static str,
    default: Option<&'static str>,
    value: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        value,
        help,
    }
}

/// All settings, in the order in which `--help` shows them.
pub const SETTINGS: &[Setting] = &[
    setting(
        shared::HOST.name,
        Some("127.0.0.1"),
        "ADDRESS",
        "Address to listen on, or a name of it such as localhost",
    ),
    setting(
        shared::HOST_PORT.name,
        Some("9000"),
        "PORT",
        "Port to listen on; 0 takes a free one and logs it",
    ),
    setting(
        shared::HTTP_ENABLED.name,
        Some("true"),
        "true|false",
        "Whether OSC_HOST_PORT is open; false leaves clients OSC_HTTPS_PORT alone",
    ),
    setting(
        shared::HTTPS_PORT.name,
        None,
        "PORT",
        "Port for clients that speak HTTPS, beside OSC_HOST_PORT; needs OSC_SSL_CERTFILE and OSC_SSL_KEYFILE, and stays closed until these can be used",
    ),
    setting(
        shared::PEER_PORT.name,
        None,
        "PORT",
        "Port for other nodes and for administration, mutual TLS only: they are served there and nowhere else; needs OSC_NODE_TLS_DIR, and OSC_CLUSTER_NODES lists this port",
    ),
    setting(
        shared::NODE_TLS_DIR.name,
        None,
        "FOLDER",
        "Folder with the certificate that shows this process to be a node (tls.crt), its private key (tls.key) and the authorities of the cluster's certificates (ca.crt), in PEM; read again when they change",
    ),
    setting(
        "WORKERS",
        None,
        "THREADS",
        "Threads that serve requests, 1024 at most [default: number of cores]",
    ),
    setting(
        shared::DATABASE_PATH.name,
        Some("configurations.db"),
        "FILE",
        "The SQLite database",
    ),
    setting(
        shared::DATABASE_URL.name,
        None,
        "URL",
        "postgres://USER:PASSWORD@HOST:PORT/NAME of a PostgreSQL database that nodes share, instead of OSC_DATABASE_PATH; osc-node database migrate makes its tables",
    ),
    setting(
        shared::DATABASE_URL_FILE.name,
        None,
        "FILE",
        "File with that URL in one line; instead of OSC_DATABASE_URL",
    ),
    setting(
        shared::DATABASE_TIMEOUT.name,
        Some("5"),
        "SECONDS",
        "How long a request waits for the shared database, with everything; 60 at most",
    ),
    setting(
        shared::DATABASE_CONNECTIONS.name,
        Some("8"),
        "COUNT",
        "Connections to the shared database for reading, and as many for writing; 2 to 1000",
    ),
    setting(
        shared::DATABASE_CA_FILE.name,
        None,
        "FILE",
        "Certificate authorities of the shared database's server in PEM",
    ),
    setting(
        shared::SALT_FILE_PATH.name,
        Some("encryption.salt"),
        "FILE",
        "The 64-byte salt; back it up together with the database",
    ),
    setting(
        shared::SALT_SECRET_FILE.name,
        None,
        "FILE",
        "A salt given from outside, such as a mounted Secret; may be absent",
    ),
    setting(
        shared::BOOTSTRAP.name,
        Some("auto"),
        "auto|never",
        "Whether a node without a salt and without entries may make a salt; in a cluster only the node that is instructed to bootstrap does",
    ),
    setting(
        shared::MIN_USER_KEY_LENGTH.name,
        Some("8"),
        "CHARACTERS",
        "Shortest X-User-Key that is accepted, at least 1",
    ),
    setting(
        shared::API_KEY_REQUIRED.name,
        Some("false"),
        "true|false",
        "Whether callers must send X-API-Key",
    ),
    setting("API_KEY", Some(DEFAULT_API_KEY), "KEY", "The API key"),
    setting(
        shared::API_KEY_FILE.name,
        None,
        "FILE",
        "File with one API key per line, all of them accepted; instead of OSC_API_KEY",
    ),
    setting(
        shared::API_KEY_PREVIOUS_FILE.name,
        None,
        "FILE",
        "File with the API keys before those of API_KEY_FILE, accepted as well; it may be absent, and come and go",
    ),
    setting(
        "AUTH_FAILURES_PER_MINUTE",
        Some("30"),
        "COUNT",
        "User keys per client address and minute that opened nothing there, before others are refused with 429; 0 switches the limits on keys off",
    ),
    setting(
        "TRUSTED_PROXIES",
        None,
        "ADDRESS,...",
        "Addresses or networks (10.0.0.0/8) whose X-Forwarded-For names the client",
    ),
    setting(
        shared::CLUSTER_ENABLED.name,
        Some("false"),
        "true|false",
        "Whether this node belongs to a cluster",
    ),
    setting(
        shared::CLUSTER_MODE.name,
        Some("replica"),
        "replica|federated",
        "How the nodes of a cluster share entries: every node holds all of them, or each holds those that it received and asks the others for theirs; fixed when the cluster is bootstrapped",
    ),
    setting(
        shared::CLUSTER_NODE_ID.name,
        None,
        "NAME",
        "This node's name in its cluster, which no other node there has, in logs and status [default: node-<port>]",
    ),
    setting(
        shared::CLUSTER_ID.name,
        None,
        "NAME",
        "The cluster's name; nodes of different clusters refuse each other",
    ),
    setting(
        "CLUSTER_KEY",
        None,
        "KEY",
        "What nodes sign with, and what the cluster admin shows at /admin and /cluster/salt; must differ from every API key",
    ),
    setting(
        shared::CLUSTER_KEY_FILE.name,
        None,
        "FILE",
        "File with one cluster key per line; instead of OSC_CLUSTER_KEY",
    ),
    setting(
        "CLUSTER_NODES",
        None,
        "HOST:PORT,...",
        "Addresses of the cluster's nodes",
    ),
    setting(
        shared::CLUSTER_NODES_FILE.name,
        None,
        "FILE",
        "File with one HOST:PORT per line; instead of OSC_CLUSTER_NODES",
    ),
    setting(
        shared::PEER_PROOF.name,
        Some("accept"),
        "accept|require",
        "Whether other nodes may show the cluster key itself (accept), as releases before this one do, or only what is signed with it counts (require)",
    ),
    setting(
        "PEER_KEY_IN_CLEAR",
        Some("false"),
        "true|false",
        "Whether this node may show the cluster key itself over plain HTTP to a node that knows no proofs: for the time of an upgrade",
    ),
    setting(
        shared::CLUSTER_SYNC_INTERVAL.name,
        Some("30"),
        "SECONDS",
        "How often each other node is asked for its changes, whether it pushes them or not; 86400 at most",
    ),
    setting(
        shared::CLUSTER_WRITE_ACK.name,
        Some("healthy"),
        "local|healthy|all",
        "Which nodes must hold a write before it is answered: this one; every healthy one (250 ms at most); every one (2 s at most, else 202)",
    ),
    setting(
        "MAX_CONNECTIONS",
        Some("4096"),
        "COUNT",
        "Connections of clients at most, 64 to 65536; one address holds at most a quarter of them",
    ),
    setting(
        "IDLE_SECONDS",
        Some("75"),
        "SECONDS",
        "How long a connection may wait for its next request, 86400 at most; more than a load balancer keeps its own",
    ),
    setting(
        "CONNECTION_SECONDS",
        Some("3600"),
        "SECONDS",
        "How old a connection gets before the node ends it in good order, 86400 at most; each one up to a tenth less",
    ),
    setting(
        "HTTP2_STREAMS",
        Some("32"),
        "COUNT",
        "Requests that a client has on one connection of HTTP/2 at a time, 256 at most",
    ),
    setting(
        "HEADER_SECONDS",
        Some("10"),
        "SECONDS",
        "How long the headers of a request may take, from their first byte to the last; 120 at most",
    ),
    setting(
        "BODY_BYTES_PER_SECOND",
        Some("16384"),
        "BYTES",
        "How fast a body arrives after its first 5 s, on the average since its beginning; 256 to 1048576",
    ),
    setting(
        "ANSWER_BYTES_PER_SECOND",
        Some("65536"),
        "BYTES",
        "How fast a client takes an answer after its first 10 s, on the average since its beginning; 1024 to 1048576",
    ),
    setting(
        "ANSWER_SECONDS",
        Some("120"),
        "SECONDS",
        "How long a client may take for a whole answer, 10 to 3600",
    ),
    setting(
        "MAX_BODY_BYTES",
        Some("1048576"),
        "BYTES",
        "Largest request body that is accepted, 8388608 at most",
    ),
    setting(
        "MAX_JSON_VALUES",
        Some("100000"),
        "COUNT",
        "Values that the value of one entry may hold, at all depths; stored ones stay readable",
    ),
    setting(
        "LIST_PAGE_ROWS",
        Some("10000"),
        "COUNT",
        "Rows that a page of a list looks at; it may have fewer entries than its limit, even none, and a Link to the next one",
    ),
    setting(
        "LIST_ROWS_PER_MINUTE",
        Some("2000000"),
        "COUNT",
        "Rows that the lists of one client address look at within a minute, before further ones are refused with 429; 0 for no limit",
    ),
    setting(
        "LISTS_AT_ONCE",
        Some("1"),
        "COUNT",
        "Lists without limit that are made for one client address at a time, where the store has more entries than a page looks at; who waits for 5 s is refused with 429; 1024 at most",
    ),
    setting(
        "LIST_SNAPSHOT_ROWS",
        Some("100000"),
        "COUNT",
        "Rows up to which a list without limit is read from one state of the store; beyond it each page has a state of its own",
    ),
    setting(
        "READ_SECONDS",
        Some("30"),
        "SECONDS",
        "How long one state of the store is kept for a list; one that takes longer is ended, and its client asks for pages; 3600 at most",
    ),
    setting(
        "MEMORY_BYTES",
        None,
        "BYTES",
        "Memory that is planned with; the sizes below are shares of it [default: 60 % of the cgroup's limit, without one 167772160]",
    ),
    setting(
        "CONNECTION_MEMORY_BYTES",
        None,
        "BYTES",
        "Memory for connections and headers [default: 20 % of OSC_MEMORY_BYTES]",
    ),
    setting(
        "BODY_MEMORY_BYTES",
        None,
        "BYTES",
        "Memory for bodies of clients' requests; beyond it they are refused with 503 [default: 15 % of OSC_MEMORY_BYTES]",
    ),
    setting(
        "ANSWER_MEMORY_BYTES",
        None,
        "BYTES",
        "Memory for answers that clients have not taken yet; who waits for it longer than 5 s is refused with 503 [default: 15 % of OSC_MEMORY_BYTES]",
    ),
    setting(
        "VALUE_MEMORY_BYTES",
        None,
        "BYTES",
        "Memory for opening and sealing values over 64 KiB; who waits for it longer than 5 s is refused with 503 [default: 15 % of OSC_MEMORY_BYTES]",
    ),
    setting(
        "PEER_MEMORY_BYTES",
        None,
        "BYTES",
        "Memory for messages of other nodes [default: 15 % of OSC_MEMORY_BYTES]",
    ),
    setting(
        "STORE_MEMORY_BYTES",
        None,
        "BYTES",
        "Memory for SQLite and the caches of rows and keys [default: what the others leave of OSC_MEMORY_BYTES]",
    ),
    setting(
        "MIN_FREE_BYTES",
        Some("67108864"),
        "BYTES",
        "Free disk space below which creates and updates are refused (at most a tenth of the disk); deletes go on down to a quarter of it",
    ),
    setting(
        "CORS_ORIGINS",
        None,
        "ORIGIN,...",
        "Web origins whose scripts may call this node; * for any. Without it none may",
    ),
    setting(
        "HTTPS_ENABLED",
        Some("false"),
        "true|false",
        "Whether to speak HTTPS instead of HTTP on OSC_HOST_PORT",
    ),
    setting(
        shared::SSL_CERTFILE.name,
        None,
        "FILE",
        "Certificate chain in PEM; read again when it changes",
    ),
    setting(
        shared::SSL_KEYFILE.name,
        None,
        "FILE",
        "Private key of the certificate in PEM; read again when it changes",
    ),
    setting(
        "SSL_KEYFILE_PASSWORD",
        None,
        "PASSPHRASE",
        "Passphrase of an encrypted PKCS#8 private key",
    ),
    setting(
        "SSL_CA_CERTS",
        None,
        "FILE",
        "Certificate authorities of clients in PEM; with it, peer and admin routes demand a client certificate",
    ),
    setting(
        shared::METRICS_BIND.name,
        None,
        "ADDRESS:PORT",
        "Serve /metrics there, and only there; HTTPS where OSC_NODE_TLS_DIR is set, else plain HTTP",
    ),
    setting(
        shared::HEALTH_BIND.name,
        None,
        "ADDRESS:PORT",
        "Serve /health and /ready there as well, from a thread and with connections of their own; plain HTTP",
    ),
    setting(
        "PROMETHEUS_MULTIPROC_DIR",
        None,
        "FOLDER",
        "Accepted and ignored: the original's processes share their counters there, this node is one process",
    ),
    setting(
        shared::LOG_LEVEL.name,
        Some("INFO"),
        "LEVEL",
        "DEBUG, INFO, WARNING (or WARN), ERROR, CRITICAL (or FATAL)",
    ),
    setting(
        shared::LOG_LEVEL_FILE.name,
        None,
        "FILE",
        "File with the level, read again when it changes; OSC_LOG_LEVEL counts only where it holds none at the start",
    ),
    setting(
        shared::LOG_FORMAT.name,
        Some("json"),
        "json|console",
        "One JSON object per line, or lines for a person",
    ),
    setting(
        "LOG_NAMES",
        Some("false"),
        "true|false",
        "Whether log lines show the names of entries and environments; else a keyed hash stands in their place, the same for the same name until the node stops",
    ),
    setting(
        shared::LOG_FILE.name,
        None,
        "FILE",
        "Log into this file instead of standard output; rotated at 100 MB, five older ones are kept",
    ),
    setting(
        shared::DRAIN_SECONDS.name,
        Some("0"),
        "SECONDS",
        "How long requests are still accepted after SIGTERM, while /ready already says 503; 3600 at most",
    ),
    setting(
        shared::STOP_ON_STDIN_EOF.name,
        Some("false"),
        "true|false",
        "Stop when standard input closes: for a parent process that must not leave its nodes behind",
    ),
];

/// The original's default API key: public knowledge, so it protects nothing and is refused where a key is required.
pub(super) const DEFAULT_API_KEY: &str = WELL_KNOWN_API_KEY;
