//! A node as a process of its own, on a free port.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

pub(crate) const API_KEY: &str = "the api key of the fuzzed node";
pub(crate) const CLUSTER_KEY: &str = "the cluster key of the fuzzed nodes, long enough";
pub(crate) const USER_KEY: &str = "the user key of the fuzz tests";

pub(crate) struct Node {
    child: Child,
    pub(crate) address: SocketAddr,
    panicked: Arc<AtomicBool>,
}

impl Node {
    pub(crate) fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        let mut child = command(folder, more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let panicked = Arc::<AtomicBool>::default();
        // The standard library writes panics there.
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn({
            let panicked = Arc::clone(&panicked);
            move || {
                for line in errors.map_while(Result::ok) {
                    if line.contains("panicked at") {
                        panicked.store(true, Ordering::Relaxed);
                    }
                }
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("the node did not start: {:?}", child.wait()));
            let line = line.unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == "node_started" {
                break event["address"].as_str().unwrap().parse().unwrap();
            }
        };
        // The pipe must be read, or the node would drop its lines.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            panicked,
        }
    }

    /// Whether the node still runs and none of its threads has panicked.
    pub(crate) fn is_sound(&mut self) -> Result<(), String> {
        if let Some(status) = self.child.try_wait().unwrap() {
            return Err(format!("the node ended: {status}"));
        }
        if self.panicked.load(Ordering::Relaxed) {
            return Err("the node panicked".to_owned());
        }
        Ok(())
    }
}

/// The release build where `make` gives one; otherwise the build that Cargo made for this test.
fn command(folder: &Path, more: &[(&str, &str)]) -> Command {
    let program = env::var("OSC_NODE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_osc-node").to_owned());
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs([
            ("OSC_HOST_PORT", "0"),
            ("OSC_API_KEY_REQUIRED", "true"),
            ("OSC_API_KEY", API_KEY),
            ("OSC_CLUSTER_KEY", CLUSTER_KEY),
        ])
        .envs(more.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
