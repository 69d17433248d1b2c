//! `osc-operator local` as a person runs it: real processes, the printed lines, signals.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for any event.
const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const THREE_NODES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../manifests/samples/three-nodes.yaml"
);
const FEDERATED: &str = include_str!("../../../manifests/samples/federated.yaml");

/// A running `osc-operator local`; it ends with the test.
pub(crate) struct Local {
    pub(crate) process: Child,
    lines: Receiver<String>,
    pub(crate) data: TempDir,
}

impl Local {
    fn start(node_binary: &Path) -> Self {
        Self::start_file(Path::new(THREE_NODES), node_binary)
    }

    fn start_file(file: &Path, node_binary: &Path) -> Self {
        let data = TempDir::new().unwrap();
        let mut command = command(file, data.path(), three_free_ports(), node_binary);
        Self::of(&mut command, data)
    }

    pub(crate) fn of(command: &mut Command, data: TempDir) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            process,
            lines,
            data,
        }
    }

    /// The lines up to one that contains this text.
    pub(crate) fn until(&self, text: &str) -> Vec<String> {
        let (begun, mut seen) = (Instant::now(), Vec::new());
        while !seen.last().is_some_and(|line: &String| line.contains(text)) {
            let left = LIMIT.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with '{text}' ({error}) after {seen:#?}"),
            }
        }
        seen
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait("the end of osc-operator", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

pub(crate) fn command(file: &Path, data: &Path, port: u16, node_binary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osc-operator"));
    command
        .args(["local", "-f"])
        .arg(file)
        .arg("--data-dir")
        .arg(data)
        .args(["--port", &port.to_string(), "--node-binary"])
        .arg(node_binary);
    command
}

/// The error output of a command that refuses to run.
pub(crate) fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Drop for Local {
    fn drop(&mut self) {
        // Its nodes follow: their standard input closes.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn wait(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let sent = shell(&format!("kill -{name} {process}"));
    assert!(sent.status.success(), "{sent:?}");
}

fn shell(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().unwrap()
}

/// The answer to the command in a printed line.
pub(crate) fn answer(line: &str) -> Value {
    let output = shell(line);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {output:?}"))
}

/// The first of three ports, below those that the system hands out, and never the same twice in a process.
pub(crate) fn three_free_ports() -> u16 {
    free_ports(1, 3)
}

/// The first port for `nodes` nodes, each of which needs `each` ports.
pub(crate) fn free_ports(each: u16, nodes: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 11_000 + u16::try_from(std::process::id() % 300).unwrap() * 60;
    loop {
        let count = each * nodes;
        let first = start + NEXT.fetch_add(count, Ordering::Relaxed);
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(free) {
            return first;
        }
    }
}

/// The node's binary beside the operator's; built here where only the operator's tests are run.
pub(crate) fn node_binary() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_osc-operator")).with_file_name("osc-node");
    if !beside.exists() {
        let profile = beside.parent().unwrap();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build
            .args([
                "build",
                "--locked",
                "-p",
                "opensecureconf-node",
                "--target-dir",
            ])
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "{build:?}");
    }
    beside
}

/// (process, its process group) of each child of a process.
pub(crate) fn children(parent: u32) -> Vec<(u32, u32)> {
    let stat = |process: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        Some((fields[1].parse::<u32>().ok()?, fields[2].parse().ok()?))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|process| {
            let (found, group) = stat(&process)?;
            (found == parent).then(|| Some((process.parse().ok()?, group)))?
        })
        .collect()
}

/// The lines to try that are printed once all three nodes are ready.
pub(crate) fn ready_and_tried_by(printed: &[String]) -> Vec<String> {
    assert!(
        printed
            .iter()
            .any(|line| line.contains("3/3") && line.contains("AllNodesReady")),
        "{printed:#?}"
    );
    printed
        .iter()
        .filter_map(|line| line.strip_prefix("  curl "))
        .map(|rest| format!("curl {rest}"))
        .collect()
}

#[test]
fn the_printed_lines_work_twice_a_killed_node_returns_and_a_signal_stops_all() {
    let mut local = Local::start(&node_binary());
    let printed = local.until("Ctrl-C stops all nodes.");
    let lines = ready_and_tried_by(&printed);
    let key = fs::read_to_string(local.data.path().join("config/api-key")).unwrap();
    assert!(
        !printed.iter().any(|line| line.contains(key.trim())),
        "the key is printed"
    );
    let [store, read, list] = lines.as_slice() else {
        panic!("three lines: {printed:#?}")
    };
    for _ in 0..2 {
        assert_eq!(answer(store)["value"], json!({ "text": "hello" }));
        assert_eq!(answer(read)["value"], json!({ "text": "hello" }));
        assert_eq!(answer(list)[0]["key"], "greeting");
    }

    let nodes = children(local.process.id());
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    // Otherwise Ctrl-C would end the nodes too, before the program stops them.
    assert!(nodes.iter().all(|(node, group)| node == group), "{nodes:?}");
    for (node, _) in &nodes {
        signal(*node, "KILL");
    }
    for _ in &nodes {
        local.until("serves again");
    }
    assert_eq!(answer(read)["value"], json!({ "text": "hello" }));

    let nodes = children(local.process.id());
    local.signal("TERM");
    assert!(local.end().success());
    local.until("stopped; everything is kept in");
    for (node, _) in nodes {
        assert!(
            !Path::new(&format!("/proc/{node}")).exists(),
            "node {node} still runs"
        );
    }
}

#[test]
fn a_hangup_that_is_ignored_from_the_start_stays_ignored() {
    let data = TempDir::new().unwrap();
    let file = Path::new(THREE_NODES);
    let local = command(file, data.path(), three_free_ports(), &node_binary());
    let mut command = Command::new("sh");
    // As `nohup` does.
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(local.get_program())
        .args(local.get_args());
    let mut local = Local::of(&mut command, data);
    local.until("Ctrl-C stops all nodes.");
    let nodes = children(local.process.id());
    let all = nodes.iter().map(|(node, _)| *node);
    for process in all.chain([local.process.id()]) {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
        assert_eq!(ignored & 1, 1, "SIGHUP is the first signal: {status}");
    }
    local.signal("HUP");
    local.signal("TERM");
    assert!(local.end().success());
}

#[test]
fn with_tls_the_printed_lines_go_over_https_and_nodes_over_certificates() {
    let data = TempDir::new().unwrap();
    let first = free_ports(10, 3);
    let mut local = Local::of(
        command(Path::new(THREE_NODES), data.path(), first, &node_binary()).arg("--tls"),
        data,
    );
    let printed = local.until("Ctrl-C stops all nodes.");
    let lines = ready_and_tried_by(&printed);
    let [store, read, list] = lines.as_slice() else {
        panic!("three lines: {printed:#?}")
    };
    for line in &lines {
        assert!(
            line.contains("--cacert") && line.contains(&format!("https://127.0.0.1:{}", first + 4)),
            "{line}"
        );
    }
    assert_eq!(answer(store)["value"], json!({ "text": "hello" }));
    assert_eq!(answer(read)["value"], json!({ "text": "hello" }));
    assert_eq!(answer(list)[0]["key"], "greeting");

    // Without a certificate of the cluster no client reaches the port for nodes; metrics are read with its authority.
    let authorities = local.data.path().join("config/tls/ca.crt");
    let curl = |port: u16, path: &str| {
        let line = format!(
            "curl -s --cacert '{}' https://127.0.0.1:{port}{path}",
            authorities.display()
        );
        shell(&line)
    };
    let refused = curl(first + 1, "/cluster/status");
    assert!(!refused.status.success(), "{refused:?}");
    let metrics = curl(first + 2, "/metrics");
    let text = String::from_utf8_lossy(&metrics.stdout);
    assert!(text.contains("osc_config_entries_total"), "{metrics:?}");

    local.signal("TERM");
    assert!(local.end().success());
}

#[test]
fn what_only_kubernetes_has_is_named_or_refused() {
    let folder = TempDir::new().unwrap();
    let program = stand_in(&folder, "read -r never");
    let file = folder.path().join("resource.yaml");
    let write = |tls: &str| {
        let text = format!(
            "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: config}}\nspec: {{tls: {tls}, podSecurity: Platform}}\n"
        );
        fs::write(&file, text).unwrap();
    };
    write("{mode: Secret, secretRef: {name: mine}}");
    let mut command = command(&file, folder.path(), three_free_ports(), &program);
    command.arg("--tls");
    let said = refusal(command);
    assert!(said.contains("mode Secret needs Kubernetes"), "{said}");

    write("{altNames: [config.test]}");
    let local = Local::start_file(&file, &program);
    local.until("not used here: spec.podSecurity, spec.tls (start with --tls)");
}

/// A program in the place of a node.
fn stand_in(folder: &TempDir, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.path().join("node");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn a_signal_before_the_nodes_serve_is_enough() {
    let folder = TempDir::new().unwrap();
    // Never serves, and ends as a node does: when its standard input closes.
    let mut local = Local::start(&stand_in(&folder, ": >started; read -r never"));
    let started = |node: u32| {
        local
            .data
            .path()
            .join(format!("config/config-{node}/started"))
    };
    wait("the nodes' start", || {
        (0..3).all(|node| started(node).exists())
    });

    local.signal("TERM");

    assert!(local.end().success());
    local.until("stopped; everything is kept in");
}

#[test]
fn a_node_that_cannot_start_ends_it_all_with_its_words() {
    let folder = TempDir::new().unwrap();
    let program = stand_in(&folder, "echo 'the disk is on fire' >&2; exit 3");
    let said = refusal(command(
        Path::new(THREE_NODES),
        folder.path(),
        three_free_ports(),
        &program,
    ));
    assert!(
        said.contains("did not start") && said.contains("the disk is on fire"),
        "{said}"
    );
}

#[test]
fn a_federated_cluster_says_where_its_values_are_and_its_data_opens_in_no_other_mode() {
    let (folder, node) = (TempDir::new().unwrap(), node_binary());
    let file = folder.path().join("federated.yaml");
    fs::write(&file, FEDERATED).unwrap();
    let mut local = Local::start_file(&file, &node);
    let printed = local.until("Ctrl-C stops all nodes.").join("\n");
    assert!(printed.contains("federated   Federated   3/3"), "{printed}");
    assert!(
        printed.contains("each value is on the node that received it"),
        "{printed}"
    );
    // Its terminal closes.
    local.signal("HUP");
    assert!(local.end().success());

    fs::write(&file, FEDERATED.replace("mode: Federated", "mode: Replica")).unwrap();
    let said = refusal(command(&file, local.data.path(), three_free_ports(), &node));
    assert!(said.contains("belongs to a federated cluster"), "{said}");
    assert!(
        said.contains("--data-dir") && !said.contains("OSC_DATABASE_PATH"),
        "{said}"
    );
}

#[test]
fn a_cluster_that_runs_already_is_told_of_before_its_ports() {
    let folder = TempDir::new().unwrap();
    let program = stand_in(&folder, ": >started; read -r never");
    let local = Local::start(&program);
    wait("a node's start", || {
        local.data.path().join("config/config-0/started").exists()
    });
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();

    let said = refusal(command(
        Path::new(THREE_NODES),
        local.data.path(),
        port,
        &program,
    ));

    assert!(
        said.contains("in use by another osc-operator local"),
        "{said}"
    );
}
