//! One server in a temporary folder.

use std::{
    fs::File,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::{
    process::{Child, ChildStdin, Command},
    time::Instant,
};

use super::Programs;

/// Runs the server until its own standard input ends, which happens when the process that started it ends, in whatever way;
/// then nothing of the server remains.
const KEEPER: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ cat <&3; kill -INT "$server"; } >/dev/null 2>&1 &
watch=$!
wait "$server"; ended=$?
kill "$watch" 2>/dev/null
rm -rf "$folder"
exit "$ended"
"#;

/// How long a server may take until it accepts connections.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// Connections of one node, with a reserve, and of people beside the nodes.
const OF_EACH_NODE: i32 = 24;
const OF_OTHERS: i32 = 20;

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Server {
    folder: PathBuf,
    log: PathBuf,
    keeper: Child,
    lifeline: Option<ChildStdin>,
}

impl Server {
    /// Makes an empty database, starts a server on it for so many nodes, and waits until it accepts connections.
    pub(super) async fn start(programs: &Programs, log: &Path, nodes: i32) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("osc-postgres-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        if let Some(user) = programs.user() {
            chown(folder.path(), Some(user), Some(user))?;
        }
        let data = folder.path().join("data");
        let data = data.to_str().context("a temporary folder without a name")?;
        let initialize = [
            "-D",
            data,
            "-U",
            "postgres",
            // Only the owner of the folder gets at the socket in it.
            "-A",
            "trust",
            "--locale=C",
            "-E",
            "UTF8",
        ];
        programs.run("initdb", initialize).await?;
        let mut server = Self::spawn(programs, folder, log, nodes)?;
        server.wait_until_it_accepts(programs).await?;
        Ok(server)
    }

    fn spawn(programs: &Programs, folder: TempDir, log: &Path, nodes: i32) -> anyhow::Result<Self> {
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let most = nodes.saturating_mul(OF_EACH_NODE).saturating_add(OF_OTHERS);
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder.path())
            .args(programs.line("postgres"))
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-c", "listen_addresses=", "-c"])
            .arg(format!(
                "unix_socket_directories={}",
                folder.path().display()
            ))
            .args(["-c", &format!("max_connections={most}")])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // As with nodes: Ctrl-C is for this process, which ends it in its turn.
            .process_group(0)
            .spawn()
            .context("cannot start PostgreSQL")?;
        Ok(Self {
            lifeline: keeper.stdin.take(),
            keeper,
            log: log.to_owned(),
            // From now on the keeper removes it.
            folder: folder.keep(),
        })
    }

    async fn wait_until_it_accepts(&mut self, programs: &Programs) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        let folder = self.folder.clone();
        let ask = || {
            programs.run(
                "pg_isready",
                ["-q".as_ref(), "-h".as_ref(), folder.as_os_str()],
            )
        };
        loop {
            let Err(silent) = ask().await else {
                return Ok(());
            };
            if Instant::now() > until {
                return Err(silent);
            }
            tokio::select! {
                ended = self.ended() => bail!("{ended}"),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Its address, for nodes and for people.
    pub(in super::super) fn url(&self) -> String {
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}/postgres?sslmode=disable")
    }

    /// Returns once it has ended, with a message.
    pub(in super::super) async fn ended(&mut self) -> String {
        let how = match self.keeper.wait().await {
            Ok(status) => format!("with {status}"),
            Err(error) => format!("and cannot be waited for: {error}"),
        };
        format!("PostgreSQL ended {how} (log: {})", self.log.display())
    }

    /// Ends it in good order.
    pub(in super::super) async fn stop(mut self) {
        drop(self.lifeline.take());
        self.ended().await;
    }
}
