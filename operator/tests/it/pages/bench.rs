//! A local cluster, and a folder in which the lines of a page run as a person types them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::local_cluster::{Local, free_ports, node_binary};

/// Records what it is asked, one line a call. It gives the certificates of the local cluster, and runs commands of a pod here.
const KUBECTL: &str = r#"#!/bin/bash
line=
for word in "$@"; do line+="$word"$'\x1f'; done
printf '%s\n' "$line" >>"$CALLS"
case "$1 $2" in
  "get configmap") cat "$ROOT/.local/config/tls/ca.crt" ;;
  "exec "*) while [ "$1" != -- ]; do shift; done; shift; exec "$@" ;;
esac
"#;
/// Reaches the local node whatever the name and the port of an address; its certificate is verified for that name.
const CURL: &str =
    "#!/bin/bash\nexec \"$REAL_CURL\" -sS --connect-to \"::127.0.0.1:$HTTPS_PORT\" \"$@\"\n";
/// A node of the page would run for ever at ports that others may have: its settings are judged instead.
const NODE: &str = r#"#!/bin/bash
case "$1" in --*) unset "${!OSC_@}"; exec "$NODE_BINARY" config "$@" ;; esac
exec "$NODE_BINARY" "$@"
"#;

/// A local cluster with one node, below the folder `.local`.
pub(super) struct Bench {
    _local: Local,
    folder: TempDir,
    /// The node's first port.
    port: u16,
    is_tls: bool,
}

impl Bench {
    pub(super) fn start(resource: &str, is_tls: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("bin")).unwrap();
        for (name, text) in [("kubectl", KUBECTL), ("curl", CURL), ("osc-node", NODE)] {
            let program = at("bin").join(name);
            fs::write(&program, text).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(at("resource.yaml"), resource).unwrap();
        let port = free_ports(10, 1);
        let mut command = Command::new(env!("CARGO_BIN_EXE_osc-operator"));
        command
            .args(["local", "-f", "resource.yaml", "--port"])
            .arg(port.to_string())
            .arg("--node-binary")
            .arg(node_binary())
            .args(is_tls.then_some("--tls"))
            .current_dir(folder.path());
        let local = Local::of(&mut command, TempDir::new().unwrap());
        local.until("Ctrl-C stops all nodes.");
        let bench = Self {
            _local: local,
            folder,
            port,
            is_tls,
        };
        bench.lay_out();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files that the examples name.
    fn lay_out(&self) {
        fs::write(self.path("cluster-key"), "the cluster key of the tests").unwrap();
        if self.is_tls {
            let certificates = self.path(".local/config/tls");
            fs::create_dir(self.path("node-tls")).unwrap();
            for name in ["tls.crt", "tls.key", "ca.crt"] {
                let from = certificates.join(name);
                fs::copy(&from, self.path(name)).unwrap();
                fs::copy(&from, self.path("node-tls").join(name)).unwrap();
            }
        }
    }

    /// Runs an example, and gives each call of `kubectl`.
    pub(super) fn run(&self, example: &str) -> Vec<Vec<String>> {
        let calls = self.path("calls");
        fs::write(&calls, "").unwrap();
        self.output(example);
        let calls = fs::read_to_string(&calls).unwrap();
        let words = |line: &str| line.split_terminator('\x1f').map(str::to_owned).collect();
        calls.lines().map(words).collect()
    }

    /// What an example prints.
    pub(super) fn printed(&self, example: &str) -> String {
        let output = self.output(example);
        String::from_utf8(output.stdout).unwrap()
    }

    fn output(&self, example: &str) -> Output {
        // The port of the page for nodes, where the page says it as a number.
        let example = example.replace(
            "--peer-port 9001 --node",
            &format!("--peer-port {} --node", self.port + 1),
        );
        let path = std::env::var("PATH").unwrap();
        let file = |name: &str| Path::new(".local/config").join(name);
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &format!("{example}\nwait")])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("ROOT", self.folder.path())
            .env("CALLS", self.path("calls"))
            .env("REAL_CURL", real("curl"))
            .env("NODE_BINARY", node_binary())
            .env("HTTPS_PORT", (self.port + 4).to_string());
        if self.is_tls {
            // "With its settings."
            command
                .env("OSC_CLUSTER_ENABLED", "true")
                .env("OSC_CLUSTER_NODES_FILE", file("nodes"))
                .env("OSC_CLUSTER_KEY_FILE", file("cluster-key"))
                .env("OSC_PEER_PORT", (self.port + 1).to_string())
                .env("OSC_NODE_TLS_DIR", file("tls"));
        } else {
            command.env("OSC_HOST_PORT", self.port.to_string());
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{example}: {output:?}");
        output
    }
}

/// The program of this name that is found without the folder of the stand-ins.
fn real(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.is_file()).unwrap()
}
