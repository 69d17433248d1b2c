//! The attacked node: a process under the memory limit of a pod.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::memory_limit::MemoryLimit;

pub(crate) const API_KEY: &str = "the api key of the attacked node";
pub(crate) const CLUSTER_KEY: &str = "the cluster key of the attacked node, long enough for it";

/// The release build where `make` gives one; otherwise the build that Cargo made for this test.
pub(crate) fn program() -> PathBuf {
    env::var_os("OSC_NODE_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_osc-node")),
        PathBuf::from,
    )
}

/// A running node; killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    /// Where HTTPS is spoken, once there is a certificate.
    pub(crate) https: Option<SocketAddr>,
    pub(crate) folder: TempDir,
    settings: Vec<(String, String)>,
    pod_bytes: u64,
    // After the process, or the group could not be removed.
    limit: Option<MemoryLimit>,
}

/// Memory of a process in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resident {
    pub(crate) now: f64,
    /// The most since it was forgotten; `None` where the kernel does not keep it.
    pub(crate) peak: Option<f64>,
}

impl Resident {
    /// The most that is known of.
    pub(crate) fn most(self) -> f64 {
        self.peak.unwrap_or_default().max(self.now)
    }
}

impl Node {
    /// A node with these settings in a pod with so much memory.
    pub(crate) async fn start(pod_bytes: u64, more: &[(&str, &str)]) -> Self {
        let settings = [
            ("OSC_HOST_PORT", "0"),
            ("OSC_API_KEY_REQUIRED", "true"),
            ("OSC_API_KEY", API_KEY),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut settings: Vec<_> = settings.iter().map(owned).collect();
        // In a pod the node reads this limit by itself; a group of cgroup version 1 may not be visible to it here.
        settings.push((
            "OSC_MEMORY_BYTES".to_owned(),
            (pod_bytes * 6 / 10).to_string(),
        ));
        settings.extend(more.iter().map(owned));
        Self::start_in(TempDir::new().unwrap(), settings, pod_bytes).await
    }

    async fn start_in(folder: TempDir, settings: Vec<(String, String)>, pod_bytes: u64) -> Self {
        spawn_blocking(move || {
            let limit = MemoryLimit::make(pod_bytes);
            let mut command = command(folder.path(), &settings, limit.as_ref(), &[]);
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let started = loop {
                let line = lines
                    .next()
                    .unwrap_or_else(|| panic!("the node did not start: {:?}", child.wait()));
                let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
                if event["event"] == "node_started" {
                    break event;
                }
            };
            let address: SocketAddr = started["address"].as_str().unwrap().parse().unwrap();
            let https = started["https_address"].as_str();
            // The pipe must be read, or the node would drop its lines.
            std::thread::spawn(move || lines.for_each(drop));
            Self {
                child,
                url: format!("http://{address}"),
                address,
                https: https.map(|address| address.parse().unwrap()),
                folder,
                settings,
                pod_bytes,
                limit,
            }
        })
        .await
        .unwrap()
    }

    /// Stops it in good order, lets its folder be changed, and starts it again.
    pub(crate) async fn restart_after(self, change: impl FnOnce(&Path)) -> Self {
        let (settings, pod_bytes) = (self.settings.clone(), self.pod_bytes);
        let folder = self.stop().await;
        change(folder.path());
        Self::start_in(folder, settings, pod_bytes).await
    }

    /// Sends SIGTERM; gives the folder back once the process has ended.
    pub(crate) async fn stop(mut self) -> TempDir {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
        spawn_blocking(move || {
            self.child.wait().unwrap();
            std::mem::replace(&mut self.folder, TempDir::new().unwrap())
        })
        .await
        .unwrap()
    }

    /// A command of `osc-node` with the settings of this node, run to its end beside it.
    pub(crate) fn run(&self, arguments: &[&str]) -> bool {
        command(self.folder.path(), &self.settings, None, arguments)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// Whether the kernel limits its memory.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its memory; `None` once it has ended.
    pub(crate) fn resident(&self) -> Option<Resident> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let mebibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
            Some(kibibytes / 1024.0)
        };
        Some(Resident {
            now: mebibytes("VmRSS:")?,
            peak: mebibytes("VmHWM:"),
        })
    }

    /// Resets the peak to the memory that the node holds now.
    pub(crate) fn forget_peak(&self) {
        // Where the kernel does not allow the reset, the memory of the preparation counts as well.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }
}

fn command(
    folder: &Path,
    settings: &[(String, String)],
    limit: Option<&MemoryLimit>,
    arguments: &[&str],
) -> Command {
    let mut command = match limit {
        Some(limit) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
            shell.arg(limit.processes()).arg(program());
            shell
        }
        None => Command::new(program()),
    };
    command
        .env_clear()
        .envs(settings.iter().cloned())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
