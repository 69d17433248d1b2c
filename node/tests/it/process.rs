//! The real binary as a child process.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use serde_json::Value;

use crate::node::environment;

/// A running `osc-node`; killed when the test drops it.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    /// The log event with which the node began to listen.
    pub(crate) started: Value,
    events: mpsc::Receiver<Value>,
    lines: Arc<Mutex<String>>,
}

/// A child process that does not outlive its test.
pub(crate) struct KilledOnDrop(pub(crate) Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command, without this process's environment.
pub(crate) fn osc_node(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osc-node"));
    command
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts a node in this folder and waits for the line that names its address.
    pub(crate) fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        Self::start_command(
            osc_node(folder)
                .envs(environment(folder))
                .envs(more.iter().copied()),
        )
    }

    pub(crate) fn start_command(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (found, events) = mpsc::channel();
        let lines = Arc::<Mutex<String>>::default();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn({
            let lines = Arc::clone(&lines);
            move || {
                for line in output.lines().map_while(Result::ok) {
                    *lines.lock().unwrap() += &(line.clone() + "\n");
                    // The test that wanted it may be gone; the pipe must be read all the same.
                    let _ = found.send(serde_json::from_str(&line).unwrap());
                }
            }
        });
        let mut process = Self {
            child,
            url: String::new(),
            started: Value::Null,
            events,
            lines,
        };
        let started = process.event("node_started");
        let scheme = if started["https"] == true {
            "https"
        } else {
            "http"
        };
        process.url = format!("{scheme}://{}", started["address"].as_str().unwrap());
        process.started = started;
        process
    }

    /// Waits for the next log line of this event.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            match self.events.recv_timeout(Duration::from_secs(30)) {
                Ok(event) if event["event"] == name => return event,
                Ok(_) => {}
                Err(error) => panic!(
                    "no event {name} ({error}): {}{}",
                    self.log(),
                    error_text(&mut self.child)
                ),
            }
        }
    }

    /// Waits for the next log line.
    pub(crate) fn any_event(&mut self) -> Value {
        let event = self.events.recv_timeout(Duration::from_secs(30));
        event.unwrap_or_else(|error| panic!("no event ({error}): {}", self.log()))
    }

    /// Waits for a log line of this event with this error. The node may read a file in the middle of an exchange and log
    /// another error first.
    pub(crate) fn error_of(&mut self, name: &str, says: &str) -> Value {
        loop {
            let event = self.event(name);
            if event["error"].to_string().contains(says) {
                return event;
            }
        }
    }

    /// All log lines so far.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn error_text(child: &mut Child) -> String {
    let _ = child.kill();
    let mut text = String::new();
    let _ = child.stderr.take().unwrap().read_to_string(&mut text);
    text
}
