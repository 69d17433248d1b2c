//! Between the nodes and the server stands pgbouncer in transaction mode: each transaction may come over another connection.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use opensecureconf_node::store::{
    EntryStore,
    postgres::{PostgresSettings, PostgresStore},
};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    failover::pair,
    programs::{NOBODY, as_another_user, for_every_user, is_root, run, runs},
    server::Server,
    world::{SOON, World},
    writes::{create, created, named, token},
};

/// `PgBouncer` 1.21 or newer: earlier releases lose prepared statements between two transactions.
const BROUGHT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/pgbouncer");
const PORT: u16 = 6432;

/// A pooler that runs before a server.
struct Pooler {
    folder: TempDir,
    running: Child,
}

/// The pooler that the tests brought; reports where it is missing.
fn program() -> Option<PathBuf> {
    let brought = PathBuf::from(BROUGHT);
    if !brought.exists() {
        let told =
            format!("not run: {BROUGHT} is missing, and node/tests/pgbouncer.sh brings it\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return None;
    }
    let usable = for_every_user(brought, "pgbouncer", &["lib", "pgbouncer"], |folder| {
        runs(&folder.join("pgbouncer"))
    });
    Some(usable.join("pgbouncer"))
}

/// Writes the pooler's settings, which lead to a server.
fn settings_in(folder: &TempDir, server: &Server) -> PathBuf {
    let place = folder.path().display();
    let settings = format!(
        "[databases]\n\
         postgres = host={} port=5432 dbname=postgres user=postgres\n\
         [pgbouncer]\n\
         listen_port = {PORT}\n\
         unix_socket_dir = {place}\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = 3\n\
         max_client_conn = 100\n\
         max_prepared_statements = 200\n\
         server_login_retry = 1\n\
         logfile = {place}/log\n",
        server.folder().display()
    );
    let file = folder.path().join("pgbouncer.ini");
    fs::write(&file, settings).unwrap();
    file
}

impl Pooler {
    fn before(server: &Server, program: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let file = settings_in(&folder, server);
        if is_root() {
            let given = Command::new("chown")
                .args(["-R", NOBODY])
                .arg(folder.path())
                .status();
            assert!(given.unwrap().success());
        }
        let running = as_another_user(program)
            .arg("--quiet")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, running }
    }

    /// Leads to another server from now on; the pooler keeps its connections from nodes.
    fn lead_to(&self, server: &Server) {
        settings_in(&self.folder, server);
        let process = self.running.id().to_string();
        run(Command::new("kill").args(["-HUP", &process]));
    }

    /// Its address, as a node's settings name it.
    fn url(&self) -> String {
        let host = self.folder.path().display().to_string();
        let host = host.replace('/', "%2F");
        format!("postgres://postgres@{host}:{PORT}/postgres?sslmode=disable")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{PORT}"))
    }

    async fn listens(&self) {
        let listening = async {
            while !self.socket().exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, listening).await.unwrap();
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_a_pooler_are_one_store_and_come_back_with_the_server() {
    let Some(program) = program() else {
        return;
    };
    let mut world = World::new().await;
    let pooler = Pooler::before(&world.server, &program);
    pooler.listens().await;
    let url = pooler.url();
    let behind = [("OSC_DATABASE_URL", url.as_str())];
    let (code, text) = world.run(&["database", "migrate"], &behind);
    assert_eq!(code, Some(0), "{text}");
    let (one, other) = (world.node_with(&behind), world.node_with(&behind));
    // More at a time than the pooler has connections, each with statements that are prepared.
    let keys: Vec<_> = (0..40).map(|number| format!("k{number}")).collect();
    let made = join_all(keys.iter().map(|key| one.create(key, 1, &[]))).await;
    assert!(made.iter().all(|answer| answer.status == 201));
    let read = join_all(keys.iter().map(|key| {
        let path = format!("/configs/{key}");
        let other = &other;
        async move { other.get(&path).await }
    }));
    assert!(read.await.iter().all(|answer| answer.status == 200));

    // Compare-and-set is strict, and a list shows one moment.
    let seen = made[0].header("etag").unwrap();
    let put = |value: i64| Some(json!({ "value": value }));
    for (node, value, status) in [(&other, 2, 200), (&one, 3, 412)] {
        let headers = [("If-Match", seen)];
        let changed = node
            .call(Method::PUT, "/configs/k0", &headers, put(value))
            .await;
        assert_eq!(changed.status, status, "{}", changed.text);
    }
    let gone = one.call(Method::DELETE, "/configs/k1", &[], None).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let list = other.get("/configs").await;
    assert_eq!(list.json().as_array().map(Vec::len), Some(keys.len() - 1));

    world.server.kill();
    // The pooler keeps running, and reports in the server's place that the server is away.
    for node in [&one, &other] {
        let read = node.get("/configs/k0").await;
        assert_eq!(read.status, 503, "{}", read.text);
        let made = node.create("meanwhile", 1, &[]).await;
        assert_eq!(made.status, 503, "{}", made.text);
    }
    world.server.start().await;
    for node in [&one, &other] {
        node.until("/configs/k0", 200).await;
        node.until("/ready", 200).await;
    }
    assert_eq!(one.create("after", 1, &[]).await.status, 201);
}

/// Reads and writes until both are refused because of a standby.
async fn until_a_standby_is_refused(store: &PostgresStore) {
    loop {
        let read = store.find(&named("k")).await.err();
        let read =
            read.and_then(|error| std::error::Error::source(&error).map(ToString::to_string));
        let written = create(store, "l", "one").await.err();
        let written = written.map(|error| error.to_string());
        let is_refused = |words: Option<String>| words.is_some_and(|it| it.contains("standby"));
        if is_refused(read) && is_refused(written) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_behind_the_same_pooler_is_neither_read_nor_written() {
    let Some(program) = program() else {
        return;
    };
    let (primary, standby) = pair().await;
    primary.store(1).await;
    let pooler = Pooler::before(&primary, &program);
    pooler.listens().await;
    let settings = PostgresSettings {
        url: pooler.url().parse().unwrap(),
        ..primary.settings()
    };
    let store = primary.node(2, settings).await;
    created(&store, "k", "one").await;
    assert_eq!(token(&store, "k").await.as_deref(), Some("one"));
    // The node keeps its connections to the pooler: only the server's own answers show that it is another server.
    pooler.lead_to(&standby);
    let refused = until_a_standby_is_refused(&store);
    tokio::time::timeout(SOON, refused).await.unwrap();

    pooler.lead_to(&primary);
    let back = async {
        while create(&store, "m", "one").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, back).await.unwrap();
}
