//! A PostgreSQL server with the disk settings of production, and nodes on it.

use opensecureconf_node::{
    crypto::{DataKey, Iterations, Salt, UserKey, derive},
    store::postgres::migrate,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    node::Node,
    server::{CLUSTER, Server},
};

/// Connections of a node for reading, and as many for writing: the node's default.
pub(super) const CONNECTIONS: usize = 8;

const CONFIGURATION: &str =
    "fsync = on\nmax_connections = 200\nshared_buffers = '512MB'\nmax_wal_size = '4GB'\n";

/// A database that is a store.
pub(super) struct Database {
    pub(super) server: Server,
    pub(super) salt: Salt,
    folder: TempDir,
}

impl Database {
    pub(super) fn new(runtime: &Runtime) -> Self {
        let bytes: [u8; 64] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let salt = Salt::from_bytes(&bytes).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("salt"), bytes).unwrap();
        let server = runtime.block_on(async {
            let server = Server::primary_with(CONFIGURATION).await;
            let fingerprint = salt.fingerprint().to_string();
            let migrated = migrate(&server.settings(), CLUSTER, &fingerprint).await;
            migrated.unwrap();
            server
        });
        Self {
            server,
            salt,
            folder,
        }
    }

    pub(super) fn node(&self) -> Node {
        let more = [
            ("OSC_DATABASE_URL", &*self.server.url()),
            ("OSC_DATABASE_CONNECTIONS", &CONNECTIONS.to_string()),
            ("OSC_SALT_SECRET_FILE", "salt"),
            ("OSC_CLUSTER_ID", CLUSTER),
            ("OSC_LIST_ROWS_PER_MINUTE", "0"),
        ];
        Node::start(self.folder.path(), &more)
    }

    /// The data key of a user key.
    pub(super) fn key(&self, user_key: &str) -> DataKey {
        let user_key = UserKey::from_header(user_key.as_bytes());
        derive(&user_key, &self.salt, Iterations::STANDARD)
    }
}
