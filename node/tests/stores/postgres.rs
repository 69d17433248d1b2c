//! The store in a PostgreSQL database, on a server of the case's own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opensecureconf_node::{
    domain::{Row, Timestamp},
    store::postgres::PostgresStore,
};

use crate::{server::Server, subject::Subject};

/// Processes that used a database: each writes under an incarnation of its own.
static PROCESSES: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Postgres {
    store: PostgresStore,
    server: Arc<Server>,
}

impl Postgres {
    pub(crate) async fn new() -> Self {
        let server = Arc::new(Server::primary().await);
        Self {
            store: server.store(next_process()).await,
            server,
        }
    }
}

fn next_process() -> u64 {
    PROCESSES.fetch_add(1, Ordering::Relaxed)
}

impl Subject for Postgres {
    type Store = PostgresStore;

    fn store(&self) -> &PostgresStore {
        &self.store
    }

    async fn another(&self) -> Self {
        Self::new().await
    }

    async fn restart(&mut self) {
        let settings = self.server.settings();
        self.store = self.server.node(next_process(), settings).await;
    }

    /// As every node does it, days later.
    async fn forget_deletes(&mut self) {
        let latest = "SELECT max(updated_at) FROM opensecureconf.entries WHERE token IS NULL";
        let latest = self.server.count(latest).await;
        let before = Timestamp::from_micros(latest + 1);
        self.store.forget(before).await.unwrap();
    }

    /// The database accepts one of two writes over one version: there is nothing to set aside.
    async fn set_aside(&mut self, _: Vec<Row>) {}
}
