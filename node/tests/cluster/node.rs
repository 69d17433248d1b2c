//! One node: a process, its folder and its log.

use std::{
    collections::VecDeque,
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use serde_json::Value;

use crate::{network::Places, wait::until};

/// Log lines that are kept.
const LINES: usize = 4000;

pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) folder: PathBuf,
    settings: Vec<(String, String)>,
    places: Places,
    child: Option<Child>,
    /// Reads the lines that the process writes, to their end.
    reader: Option<JoinHandle<()>>,
    log: Arc<Mutex<VecDeque<Value>>>,
}

/// The program; `CLUSTER_PROGRAM` names another build, such as a released one.
fn program() -> String {
    env::var("CLUSTER_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_osc-node").to_owned())
}

impl Node {
    pub(crate) fn new(
        number: usize,
        folder: PathBuf,
        settings: Vec<(String, String)>,
        places: Places,
    ) -> Self {
        fs::create_dir(&folder).unwrap();
        Self {
            number,
            folder,
            settings,
            places,
            child: None,
            reader: None,
            log: Arc::default(),
        }
    }

    /// Changes a setting; in force at the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(set, _)| set != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The command, without this process's environment.
    fn command(&self) -> Command {
        self.run(&program())
    }

    fn run(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.settings.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        command
    }

    /// Starts the process and waits until it listens.
    pub(crate) async fn start(&mut self) {
        self.start_command(self.command()).await;
    }

    /// Starts it on a disk of this many MiB that only the process sees and that ends with it: `disk` in its folder.
    pub(crate) async fn start_on_small_disk(&mut self, mebibytes: usize) {
        self.set("OSC_DATABASE_PATH", "disk/configurations.db");
        let mut command = self.run("/usr/bin/unshare");
        command
            .args(["--mount", "--map-root-user", "--user", "/bin/sh", "-c"])
            .arg(format!(
                "mkdir -p disk && mount -t tmpfs -o size={mebibytes}m tmpfs disk && exec \"$0\""
            ))
            .arg(program())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.start_command(command).await;
    }

    async fn start_command(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "it runs already");
        let starts = self.events("node_started").len();
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let log = Arc::clone(&self.log);
        let reader = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                let name = event["event"].as_str().unwrap_or_default();
                if !name.starts_with("config_") {
                    let mut log = log.lock().unwrap();
                    log.push_back(event);
                    if log.len() > LINES {
                        log.pop_front();
                    }
                }
            }
        });
        (self.child, self.reader) = (Some(child), Some(reader));
        let started = until("the process listens", async || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "{}", self.log_text());
            self.events("node_started").get(starts).cloned()
        })
        .await;
        let place = started["address"].as_str().unwrap().parse().unwrap();
        self.places.set(self.number, Some(place));
    }

    /// Runs a process that ends by itself; gives its exit code and its standard error.
    pub(crate) fn run_to_its_end(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command();
        command.args(arguments).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), complaint)
    }

    /// Runs a command that gives this running node an order; gives the same.
    pub(crate) fn order(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let place = self.places.of(self.number).unwrap();
        let mut command = self.command();
        command.env("OSC_HOST_PORT", place.port().to_string());
        let output = command.args(arguments).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), complaint)
    }

    /// `osc-node bootstrap` with the settings of this node, which runs, and with the places of all.
    pub(crate) fn bootstrap(&self, nodes: usize) -> Child {
        let places = (0..nodes).filter_map(|node| self.places.of(node));
        let places: Vec<_> = places.map(|place| place.to_string()).collect();
        let port = self.places.of(self.number).unwrap().port();
        let mut command = self.command();
        command
            .arg("bootstrap")
            .env("OSC_HOST_PORT", port.to_string())
            .env("OSC_CLUSTER_NODES", places.join(","));
        command.spawn().unwrap()
    }

    /// Whether any file of its disk holds ciphertext.
    pub(crate) fn holds_ciphertext(&self) -> bool {
        fs::read_dir(&self.folder).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(5).any(|part| part == b"gAAAA")
        })
    }

    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.places.set(self.number, None);
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.read_to_the_end();
        }
    }

    /// Stops it in good order, as Kubernetes does.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let mut child = self.child.take().unwrap();
        let status = until("the process ends", async || child.try_wait().unwrap()).await;
        self.places.set(self.number, None);
        self.read_to_the_end();
        status
    }

    /// Reads the last lines of a process that has ended.
    fn read_to_the_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    /// Stops the process where it is, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.signal(if frozen { "STOP" } else { "CONT" });
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// The disk is lost.
    pub(crate) fn wipe(&self) {
        assert!(self.child.is_none(), "it runs");
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir(&self.folder).unwrap();
    }

    /// Keeps a copy of the disk, or brings it back.
    pub(crate) fn copy_disk_aside(&self) {
        self.copy_disk(&self.folder, &self.aside());
    }

    pub(crate) fn roll_disk_back(&self) {
        self.copy_disk(&self.aside(), &self.folder);
    }

    fn aside(&self) -> PathBuf {
        self.folder.with_extension("aside")
    }

    fn copy_disk(&self, from: &PathBuf, to: &PathBuf) {
        assert!(self.child.is_none(), "it runs");
        let _ = fs::remove_dir_all(to);
        fs::create_dir(to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    /// All events of this name so far, of all its processes.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let log = self.log.lock().unwrap();
        let found = log.iter().filter(|event| event["event"] == name);
        found.cloned().collect()
    }

    pub(crate) fn log_text(&self) -> String {
        let log = self.log.lock().unwrap();
        let lines = log.iter().rev().take(40).rev();
        lines.fold(String::new(), |text, event| {
            text + &format!("n{}: {event}\n", self.number)
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
