//! One node as a child process.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use opensecureconf_contract::setting;
use tokio::{
    process::{Child, Command},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use super::listening::Listening;
use crate::node::{NodeClient, http_client, settings::NODE_ID_VARIABLE};

/// A node's log in its folder.
const LOG: &str = "node.log";
const FIRST_RESTART: Duration = Duration::from_secs(1);
const LONGEST_RESTART: Duration = Duration::from_secs(30);
/// A node that ran this long has recovered; its next restart is quick again.
const RECOVERED: Duration = Duration::from_mins(1);
/// How long a node may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(40);
const READY_POLL: Duration = Duration::from_millis(100);

/// A node that is kept running.
#[derive(Debug)]
pub(super) struct NodeProcess {
    name: String,
    binary: PathBuf,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    address: String,
    listening: Listening,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Starting,
    Serving,
    /// It ended before it ever served: starting it again will not help.
    Failed(String),
}

impl NodeProcess {
    /// A node that is not started yet.
    pub(super) fn new(
        name: String,
        binary: PathBuf,
        settings: Vec<(&'static str, String)>,
        listening: Listening,
        folder: PathBuf,
    ) -> Self {
        let mut environment = settings;
        environment.push((NODE_ID_VARIABLE, name.clone()));
        // The node limits the size of the log and renames the file: no other process may write into it.
        environment.push((
            setting::LOG_FILE.variable,
            folder.join(LOG).display().to_string(),
        ));
        // The pipe closes with this process, however it ends, and the node with the pipe.
        environment.push((setting::STOP_ON_STDIN_EOF.variable, "true".to_owned()));
        Self {
            name,
            binary,
            environment,
            folder,
            address: listening.peers(),
            listening,
            state: watch::Sender::new(State::Starting),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub(super) fn listening(&self) -> Listening {
        self.listening
    }

    /// The address for orders to it, and for its status.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// The file for the process's output outside its log.
    fn complaints(&self) -> PathBuf {
        self.folder.join("node.err")
    }

    /// Returns once the node serves, or gives why it never will.
    pub(super) async fn started(&self) -> anyhow::Result<()> {
        let mut state = self.state.subscribe();
        let settled = state
            .wait_for(|state| *state != State::Starting)
            .await?
            .clone();
        match settled {
            State::Failed(reason) => bail!("node {} did not start: {reason}", self.name),
            State::Starting | State::Serving => Ok(()),
        }
    }

    /// Keeps the node running until it has to stop.
    pub(super) async fn supervise(&self, stop: &CancellationToken) {
        let mut pause = FIRST_RESTART;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let ended = match self.spawn() {
                Ok(child) => self.run(child, stop).await,
                Err(error) => format!("{error:#}"),
            };
            if stop.is_cancelled() {
                return;
            }
            if *self.state.borrow() == State::Starting {
                self.state
                    .send_replace(State::Failed(format!("{ended}\n{}", self.last_words())));
                return;
            }
            if begun.elapsed() > RECOVERED {
                pause = FIRST_RESTART;
            }
            self.say(&format!(
                "{ended}; starting it again in {} s (log: {})",
                pause.as_secs(),
                self.log().display()
            ));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_RESTART);
        }
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        fs::create_dir_all(&self.folder)?;
        let complaints = File::create(self.complaints())?;
        Command::new(&self.binary)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(complaints.try_clone()?)
            .stderr(complaints)
            // Ctrl-C on a terminal goes to the whole process group. A node must get the signal from this command only:
            // otherwise it would count as a node that crashed.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))
    }

    /// Runs one child to its end, and returns how it ended.
    async fn run(&self, mut child: Child, stop: &CancellationToken) -> String {
        // Held here, because waiting for a child closes its remaining pipes.
        let lifeline = child.stdin.take();
        let served = async {
            self.wait_until_ready().await;
            self.state.send_replace(State::Serving);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = served => return String::new(),
            () = stop.cancelled() => {
                drop(lifeline);
                match tokio::time::timeout(STOP, child.wait()).await {
                    Ok(ended) => ended,
                    Err(_) => child.kill().await.and(child.wait().await),
                }
            }
        };
        match ended {
            Ok(status) => format!("ended with {status}"),
            Err(error) => format!("cannot be waited for: {error}"),
        }
    }

    async fn wait_until_ready(&self) {
        let Ok(http) = http_client() else {
            return;
        };
        let client = NodeClient::plain(http, None, None);
        while !client.is_ready(&self.listening.health()).await {
            tokio::time::sleep(READY_POLL).await;
        }
        if *self.state.borrow() == State::Serving {
            self.say("serves again");
        }
    }

    fn last_words(&self) -> String {
        let said = [self.complaints(), self.log()]
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .find(|said| !said.trim().is_empty())
            .unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        lines
            .get(lines.len().saturating_sub(3)..)
            .unwrap_or_default()
            .join("\n")
            // A user of this command sets the one and not the other.
            .replace("another OSC_DATABASE_PATH", "another --data-dir")
    }

    fn say(&self, what: &str) {
        // Without standard output nothing can be reported.
        let _ = writeln!(std::io::stdout(), "node {}: {what}", self.name);
    }
}
