//! Real nodes that share a database, and a node with a database of its own to compare them with.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, Once, mpsc},
    time::Duration,
};

use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    programs::run,
    server::{CLUSTER, Server},
};

pub(crate) const API_KEY: &str = "the api key of the tests";
pub(crate) const USER_KEY: &str = "the user key of the tests";
/// How long an expected event may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A database that is a store, and the settings with which nodes use it.
pub(crate) struct World {
    pub(crate) server: Server,
    folder: TempDir,
}

/// A running `osc-node`; killed when the test drops it.
pub(crate) struct Node {
    child: Child,
    log: Arc<Mutex<String>>,
    pub(crate) url: String,
    caller: Caller,
}

/// A way to a node, which stays when the node goes.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    url: String,
    client: Client,
}

/// The answer of a node.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Server::primary().await)
    }

    /// Makes the store in the database of a server.
    pub(crate) fn on(server: Server) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("salt"), [7; 64]).unwrap();
        let world = Self { server, folder };
        let (code, text) = world.run(&["database", "migrate"], &[]);
        assert_eq!(code, Some(0), "{text}");
        world
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The binary, with the settings of every node here and these over them.
    pub(crate) fn command(&self, more: &[(&str, &str)]) -> Command {
        let mut command = bare_command(self.folder());
        command
            .env("OSC_DATABASE_URL", self.server.url())
            .env("OSC_DATABASE_CONNECTIONS", "4")
            .env("OSC_SALT_SECRET_FILE", "salt")
            .env("OSC_CLUSTER_ID", CLUSTER);
        if self.server.is_encrypted() {
            command.env("OSC_DATABASE_CA_FILE", self.server.authority());
        }
        command.envs(more.iter().copied());
        command
    }

    /// The same command with this text in the place of the machine's file of host names, which it alone sees.
    pub(crate) fn command_with_names(&self, names: &str, more: &[(&str, &str)]) -> Command {
        const MOUNT: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let file = self.folder().join("names");
        fs::write(&file, names).unwrap();
        let command = self.command(more);
        let mut within = Command::new("unshare");
        within
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT])
            .arg(file)
            .arg(command.get_program())
            .current_dir(self.folder())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null());
        let set = command.get_envs();
        within.envs(set.filter_map(|(name, value)| Some((name, value?))));
        within
    }

    /// Runs a command to its end; gives its exit code and its whole output.
    pub(crate) fn run(&self, arguments: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String) {
        let output = self.command(more).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    pub(crate) fn node(&self) -> Node {
        self.node_with(&[])
    }

    /// A node that starts meanwhile.
    pub(crate) fn starting_node(&self) -> JoinHandle<Node> {
        let mut command = self.command(&[]);
        tokio::task::spawn_blocking(move || Node::start(&mut command))
    }

    pub(crate) fn node_with(&self, more: &[(&str, &str)]) -> Node {
        Node::start(&mut self.command(more))
    }
}

fn bare_command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osc-node"));
    command
        .env_clear()
        .current_dir(folder)
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "true")
        .env("OSC_API_KEY", API_KEY)
        .stdin(Stdio::null());
    command
}

impl Node {
    /// A node with a database of its own in this folder.
    pub(crate) fn alone(folder: &Path) -> Self {
        Self::alone_with(folder, &[])
    }

    /// The same with more settings.
    pub(crate) fn alone_with(folder: &Path, more: &[(&str, &str)]) -> Self {
        Self::start(bare_command(folder).envs(more.iter().copied()))
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::aws_lc_rs::default_provider()
                .install_default()
                .unwrap();
        });
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (found, started) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        let log = Arc::<Mutex<String>>::default();
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                lines.lock().unwrap().extend([line.as_str(), "\n"]);
                let event: Value = serde_json::from_str(&line).unwrap();
                if event
                    .get("event")
                    .is_some_and(|name| name == "node_started")
                {
                    // The test may be gone; the pipe must be read all the same.
                    let _ = found.send(event);
                }
            }
        });
        let started = started.recv_timeout(SOON).expect("it does not start");
        let address = started.get("address").and_then(Value::as_str).unwrap();
        let url = format!("http://{address}");
        let caller = Caller {
            url: url.clone(),
            client: Client::new(),
        };
        Self {
            child,
            log,
            url,
            caller,
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM); its exit code.
    pub(crate) async fn stopped(&mut self) -> Option<i32> {
        let process = self.child.id().to_string();
        run(Command::new("kill").args(["-TERM", &process]));
        self.ended().await
    }

    /// Its exit code, once it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let ending = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, ending).await.unwrap()
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// A request with both keys.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let answer = self.caller.call(method, path, headers, body).await;
        answer.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None).await
    }

    /// Creates an entry.
    pub(crate) async fn create(&self, key: &str, value: i64, headers: &[(&str, &str)]) -> Answer {
        let body = serde_json::json!({"key": key, "value": value});
        self.call(Method::POST, "/configs", headers, Some(body))
            .await
    }

    /// Returns once `/ready` names this reason: what a probe found a moment ago still counts for a moment.
    pub(crate) async fn until_ready_says(&self, reason: &str) {
        let telling = async {
            while !self.get("/ready").await.text.contains(reason) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, telling).await.unwrap();
    }

    /// Repeats the request until the answer has this status.
    pub(crate) async fn until(&self, path: &str, status: u16) -> Answer {
        self.caller.until(path, &[status]).await
    }
}

impl Caller {
    /// A request with both keys.
    ///
    /// # Errors
    /// Where no answer comes, or a part of one.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        let mut all = HeaderMap::new();
        let keys = [("X-API-Key", API_KEY), ("X-User-Key", USER_KEY)];
        for (name, value) in keys.iter().chain(headers) {
            let name: reqwest::header::HeaderName = name.parse().unwrap();
            all.insert(name, value.parse().unwrap());
        }
        request = request.headers(all);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        Ok(Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            text: answer.text().await?,
        })
    }

    /// Repeats the request until the answer has one of these statuses.
    pub(crate) async fn until(&self, path: &str, statuses: &[u16]) -> Answer {
        let asking = async {
            loop {
                let answer = self.call(Method::GET, path, &[], None).await;
                if let Ok(answer) = answer
                    && statuses.contains(&answer.status.as_u16())
                {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, asking).await.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}
