//! PostgreSQL servers of a test's own, reached by sockets in its temporary folder.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use opensecureconf_node::{
    domain::Incarnation,
    store::postgres::{DatabaseUrl, PostgresSettings, PostgresStore, migrate},
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::{
    free_port::free_port,
    programs::{NOBODY, PROGRAMS, as_another_user, is_root, of_debian, programs_in, run},
};

/// The cluster and the salt of every store here.
pub(crate) const CLUSTER: &str = "tests";
pub(crate) const SALT: &str = "a1b2c3d4";
/// A request's time: longer than a busy machine needs, and short enough to wait for its end.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

const LOCALHOST: &str = "localhost";

/// The size of a small disk, in megabytes.
const SMALL: &str = "8m";

/// A certificate of a server with its key, and the authority that signed it, in PEM.
pub(crate) struct Certified<'p> {
    pub(crate) authority: &'p str,
    pub(crate) certificate: &'p str,
    pub(crate) key: &'p str,
}

/// A server that runs, or could again.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// Where it listens beside its socket; `None` for the socket alone.
    port: Option<u16>,
    /// The name or address under which nodes reach that port.
    host: &'static str,
    has_small_disk: bool,
    running: Option<Child>,
}

impl Server {
    /// An empty primary.
    pub(crate) async fn primary() -> Self {
        Self::primary_with("").await
    }

    /// The same with more of a configuration.
    pub(crate) async fn primary_with(configuration: &str) -> Self {
        let server = Self::in_new_folder(programs_in(&PROGRAMS));
        server.initialize();
        server.configure(configuration);
        server.started().await
    }

    /// The same with a small disk beside its own, which it alone sees, and which is gone with its process.
    pub(crate) async fn with_small_disk() -> Self {
        let mut server = Self::in_new_folder(programs_in(&PROGRAMS));
        server.has_small_disk = true;
        server.initialize();
        server.started().await
    }

    /// The same of Debian's, reached over TLS.
    pub(crate) async fn encrypted(certified: &Certified<'_>) -> Self {
        Self::encrypted_at(LOCALHOST, certified).await
    }

    /// The same at another address of this machine.
    pub(crate) async fn encrypted_at(host: &'static str, certified: &Certified<'_>) -> Self {
        let mut server = Self::in_new_folder(of_debian());
        server.host = host;
        server.port = Some(free_port(server.address()));
        server.initialize();
        server.certify(certified);
        server.configure("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
        server.started().await
    }

    /// Where its port is.
    fn address(&self) -> &'static str {
        if self.host == LOCALHOST {
            "127.0.0.1"
        } else {
            self.host
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap()
    }

    /// Gives the server another certificate, which it shows after it reloads its configuration.
    pub(crate) fn certify(&self, certified: &Certified<'_>) {
        let files = [
            (self.authority(), certified.authority),
            (self.data().join("server.crt"), certified.certificate),
            (self.data().join("server.key"), certified.key),
        ];
        for (file, text) in files {
            std::fs::write(&file, text).unwrap();
            run(Command::new("chmod").arg("0600").arg(&file));
            if is_root() {
                run(Command::new("chown").arg(NOBODY).arg(&file));
            }
        }
    }

    /// The file with the authority of its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.port.is_some()
    }

    /// Where its small disk is, for itself alone.
    pub(crate) fn small_disk(&self) -> PathBuf {
        self.folder.path().join("small")
    }

    /// Makes its files.
    fn initialize(&self) {
        run(self
            .program("initdb")
            .arg("-D")
            .arg(self.data())
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-N",
                "--locale=C",
                "-E",
                "UTF8",
            ])
            .stdout(Stdio::null()));
        self.configure("fsync = off\nwal_level = replica\nmax_connections = 60\n");
    }

    /// A standby that follows another server under this name.
    pub(crate) async fn standby_of(primary: &Self, name: &str) -> Self {
        let server = Self::in_new_folder(primary.programs.clone());
        let from = primary.folder.path().display();
        run(server
            .program("pg_basebackup")
            .args(["-U", "postgres", "-X", "stream", "-c", "fast", "-N", "-D"])
            .arg(server.data())
            .arg("-d")
            .arg(format!("host={from} user=postgres")));
        std::fs::write(server.data().join("standby.signal"), "").unwrap();
        server.configure(&format!(
            "primary_conninfo = 'host={from} user=postgres application_name={name}'\nsynchronous_standby_names = ''\n\
             wal_retrieve_retry_interval = '200ms'\n"
        ));
        server.started().await
    }

    /// A standby under this name that has everything: commits wait for it from here on.
    pub(crate) async fn synchronous_standby(&self, name: &str) -> Self {
        let standby = Self::standby_of(self, name).await;
        self.sql(&format!(
            "ALTER SYSTEM SET synchronous_standby_names = '{name}'; SELECT pg_reload_conf()"
        ))
        .await;
        let waits = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while self.count(waits).await != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The checkpointer passes the setting on, before the second checkpoint at the latest. Later commits wait until the
        // standby has them and all commits before them.
        self.sql("CHECKPOINT; CHECKPOINT; CREATE TABLE arrived (); DROP TABLE arrived")
            .await;
        standby
    }

    fn in_new_folder(programs: PathBuf) -> Self {
        let folder = TempDir::new().unwrap();
        for part in ["data", "small"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        if is_root() {
            run(Command::new("chown")
                .args(["-R", NOBODY])
                .arg(folder.path()));
        }
        run(Command::new("chmod")
            .args(["-R", "0700"])
            .arg(folder.path()));
        Self {
            folder,
            programs,
            port: None,
            host: LOCALHOST,
            has_small_disk: false,
            running: None,
        }
    }

    /// One of PostgreSQL's programs, as a user who may run a server.
    fn program(&self, name: &str) -> Command {
        as_another_user(&self.programs.join(name))
    }

    /// The program that serves.
    fn server_program(&self) -> Command {
        if !self.has_small_disk {
            return self.program("postgres");
        }
        // Mounting needs root in a user namespace of its own, and no server runs as that user.
        let mount = format!(
            "mount -t tmpfs -o size={SMALL},mode=0777 tmpfs \"$0\" && \
             exec unshare --user --map-user=65534 --map-group=65534 \"$@\""
        );
        let mut command = as_another_user(Path::new("unshare"));
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
            .arg(self.small_disk())
            .arg(self.programs.join("postgres"));
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn configure(&self, more: &str) {
        let file = self.data().join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&file).unwrap_or_default();
        text.push_str(more);
        std::fs::write(&file, text).unwrap();
        if is_root() {
            run(Command::new("chown").args(["-R", NOBODY]).arg(self.data()));
        }
    }

    async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    /// Starts the server, and waits until it accepts connections.
    pub(crate) async fn start(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = self
            .server_program()
            .arg("-D")
            .arg(self.data())
            .args(match self.port {
                None => ["-c".to_owned(), "listen_addresses=".to_owned()],
                Some(port) => [
                    format!("-clisten_addresses={}", self.address()),
                    format!("-cport={port}"),
                ],
            })
            .arg("-c")
            .arg(format!(
                "unix_socket_directories={}",
                self.folder.path().display()
            ))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
        for _ in 0..600 {
            if self.connect("postgres").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        panic!("the server does not start: {}", log.unwrap_or_default());
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            run(self
                .program("pg_ctl")
                .args(["stop", "-s", "-m", "immediate", "-D"])
                .arg(self.data()));
            child.wait().unwrap();
        }
    }

    /// Asks the server to end once its clients are gone, as SIGTERM does, and waits until it accepts no new ones.
    pub(crate) async fn tell_to_end(&self) {
        run(self
            .program("pg_ctl")
            .args(["stop", "-s", "-W", "-m", "smart", "-D"])
            .arg(self.data()));
        while self.connect("postgres").await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Returns once it has ended.
    pub(crate) async fn ended(&mut self) {
        let mut child = self.running.take().unwrap();
        tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap();
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        run(self
            .program("pg_ctl")
            .args(["promote", "-s", "-w", "-D"])
            .arg(self.data()));
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let config = format!(
            "host={} port={} user=postgres dbname={database}",
            self.folder.path().display(),
            self.port.unwrap_or(5432)
        );
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Runs SQL in the database `postgres`.
    pub(crate) async fn sql(&self, sql: &str) {
        let client = self.connect("postgres").await.unwrap();
        for statement in sql.split(';') {
            client.batch_execute(statement).await.unwrap();
        }
    }

    /// The one number that a query gives.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let client = self.connect("postgres").await.unwrap();
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends every connection of other sessions.
    pub(crate) async fn disconnect_everybody(&self) {
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'osc-node'").await;
    }

    /// The server's log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops all its processes until the returned guard is dropped: connections stay open, and the server answers none.
    pub(crate) async fn hang(&self) -> Hanging {
        let client = self.connect("postgres").await.unwrap();
        let sql = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        let sessions = client.query(sql, &[]).await.unwrap();
        let sessions = sessions.iter().map(|row| row.get::<_, i32>(0).to_string());
        let server = self.running.iter().map(|child| child.id().to_string());
        // New sessions come from the server's first process: it goes first.
        let hanging = Hanging(server.chain(sessions).collect());
        hanging.signal("-STOP");
        hanging
    }

    /// Its address, as a node's settings name it.
    pub(crate) fn url(&self) -> String {
        match self.port {
            None => url_at(self.folder()),
            Some(port) => format!("postgres://postgres@{}:{port}/postgres", self.host),
        }
    }

    /// How a node reaches it.
    pub(crate) fn settings(&self) -> PostgresSettings {
        Self::settings_at(self.folder())
    }

    /// The settings with which a node reaches the server whose socket is in a folder.
    pub(crate) fn settings_at(folder: &Path) -> PostgresSettings {
        PostgresSettings {
            url: url_at(folder).parse::<DatabaseUrl>().unwrap(),
            authorities: Vec::new(),
            timeout: TIMEOUT,
            connections: 4,
        }
    }

    /// The store in it, made where there was none, as a node of this number has it.
    pub(crate) async fn store(&self, node: u64) -> PostgresStore {
        migrate(&self.settings(), CLUSTER, SALT).await.unwrap();
        self.node(node, self.settings()).await
    }

    /// The store as another node has it.
    pub(crate) async fn node(&self, node: u64, settings: PostgresSettings) -> PostgresStore {
        PostgresStore::connect(settings, SALT, Incarnation::from_raw(node.cast_signed()))
            .await
            .unwrap()
    }
}

/// Processes that were stopped; they go on when this is dropped.
pub(crate) struct Hanging(Vec<String>);

impl Hanging {
    fn signal(&self, signal: &str) {
        // A process that has ended needs no signal.
        let _ = Command::new("kill")
            .arg(signal)
            .args(&self.0)
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever fails already must not fail again over a server that has not started.
        match &mut self.running {
            Some(child) if std::thread::panicking() => {
                let _ = child.kill().and_then(|()| child.wait());
            }
            _ => self.kill(),
        }
    }
}

/// The address of the server whose socket is in a folder.
pub(crate) fn url_at(folder: &Path) -> String {
    let host = folder.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{host}/postgres?sslmode=disable")
}
