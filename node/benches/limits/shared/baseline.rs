//! The node's statements, sent by a program that does nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::header, routing::get};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime as PoolRuntime};
use tokio::runtime::Runtime;
use tokio_postgres::{Config, NoTls, types::ToSql};

use super::database::{CONNECTIONS, Database};

/// The driver's pool, set up as in a node.
pub(super) fn pool(database: &Database) -> Pool {
    let mut config = Config::new();
    config
        .host_path(database.server.folder())
        .user("postgres")
        .dbname("postgres");
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(PoolRuntime::Tokio1)
        .build()
        .unwrap()
}

/// Serves entry `k1`: reads it and sends a node's answer; gives the address.
pub(super) fn serve(runtime: &Runtime, pool: Pool, select: String, answer: String) -> String {
    let read = async move || {
        let connection = pool.get().await.unwrap();
        let statement = connection.prepare_cached(&select).await.unwrap();
        let names = [&b""[..], &b"k1"[..]];
        let rows = connection
            .query(&statement, &[&names[0], &names[1]])
            .await
            .unwrap();
        assert!(!rows[0].get::<_, bool>(0) && rows[0].get::<_, Option<&str>>(4).is_some());
        ([(header::CONTENT_TYPE, "application/json")], answer.clone())
    };
    let router = Router::new().route("/configs/k1", get(read));
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    url
}

/// The part that all creates have in common.
pub(super) struct Creates {
    pub(super) pool: Pool,
    pub(super) insert: String,
    /// Of entry `k1`.
    pub(super) token: String,
    pub(super) extra: String,
    /// Which store it is.
    pub(super) uid: String,
    pub(super) salt_fingerprint: String,
}

impl Creates {
    /// Creates of so many tasks a second, each in a transaction of its own.
    pub(super) fn rows_per_second(self: &Arc<Self>, runtime: &Runtime, tasks: usize) -> f64 {
        const TIME: Duration = Duration::from_secs(5);
        /// Names come once in a run.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (start, before) = (Instant::now(), NUMBER.load(Ordering::Relaxed));
        runtime.block_on(async {
            let tasks = (0..tasks).map(|_| {
                let creates = Arc::clone(self);
                tokio::spawn(async move {
                    while start.elapsed() < TIME {
                        creates.one(NUMBER.fetch_add(1, Ordering::Relaxed)).await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        (NUMBER.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64()
    }

    async fn one(&self, number: u64) {
        let connection = self.pool.get().await.unwrap();
        let statement = connection.prepare_cached(&self.insert).await.unwrap();
        let key = format!("loop-{number}").into_bytes();
        let time = 1_768_471_845_000_000_i64;
        let clock = i64::MAX / 4;
        let parameters: [&(dyn ToSql + Sync); 15] = [
            &&b""[..],
            &key,
            &None::<&[u8]>,
            &self.token,
            &time,
            &time,
            &clock,
            &7_i64,
            &&[0_u8; 16][..],
            &self.extra,
            &&[0_u8; 32][..],
            &self.uid,
            &self.salt_fingerprint,
            &1_i32,
            &None::<&str>,
        ];
        let row = connection.query_one(&statement, &parameters).await.unwrap();
        assert_eq!(row.get::<_, i64>(2), 1, "the entry is made");
    }
}
