//! The real binary as a child process.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

use crate::node::environment;

/// A running `osc-node`; killed when the test drops it.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
}

/// The command, with nothing of this process's environment.
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
        let (found, address) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                if event["event"] == "node_started" {
                    // The test that wanted it may be gone; the pipe must be read all the same.
                    let _ = found.send(format!("http://{}", event["address"].as_str().unwrap()));
                }
            }
        });
        match address.recv_timeout(Duration::from_secs(30)) {
            Ok(url) => Self { child, url },
            Err(error) => panic!(
                "the node did not start ({error}): {}",
                error_text(&mut child)
            ),
        }
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
