//! The command line, exit codes, and a stop in good order.

use std::{ffi::OsStr, fs, net::TcpListener, os::unix::ffi::OsStrExt, process::Command};

use tempfile::TempDir;

use crate::{
    node::{API_KEY, Answer, client, environment},
    process::{KilledOnDrop, Process, osc_node},
};

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn help_explains_every_setting() {
    let folder = TempDir::new().unwrap();
    let (code, text) = output(osc_node(folder.path()).arg("--help"));
    assert_eq!(code, Some(0));
    for setting in opensecureconf_node::config::SETTINGS {
        assert!(text.contains(&setting.variable()), "{}", setting.name);
    }
}

/// Whether a line of prose ends although the first word of the next line had room in it.
fn is_broken_early(line: &str, next: &str, columns: usize) -> bool {
    let is_prose = |line: &str| !line.starts_with(' ') && line.contains(' ');
    let word = next.split_whitespace().next().unwrap_or_default();
    is_prose(line)
        && is_prose(next)
        && !line.ends_with(['.', ':'])
        && line.chars().count() + 1 + word.chars().count() <= columns
}

#[test]
fn help_breaks_its_lines_where_they_are_full() {
    let folder = TempDir::new().unwrap();
    for columns in [60, 80, 100] {
        for arguments in [&["--help"][..], &["import", "--help"]] {
            let mut command = osc_node(folder.path());
            command.env("COLUMNS", columns.to_string()).args(arguments);
            let (code, text) = output(&mut command);
            assert_eq!(code, Some(0));
            let lines: Vec<_> = text.lines().collect();
            for pair in lines.windows(2) {
                assert!(!is_broken_early(pair[0], pair[1], columns), "{pair:#?}");
            }
        }
    }
}

#[test]
fn help_speaks_of_what_a_command_takes() {
    let folder = TempDir::new().unwrap();
    let (_, text) = output(osc_node(folder.path()).arg("--help"));
    for variable in ["OSC_API_KEY", "OSC_CLUSTER_KEY", "OSC_CLUSTER_NODES"] {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("instead of {variable}")), "{text}");
    }
    let (_, text) = output(osc_node(folder.path()).args(["backup", "--help"]));
    assert!(text.contains("--output <FILE>") && text.contains("--database-path"));
    assert!(!text.contains("--host-port"), "{text}");
}

#[test]
fn a_setting_counts_before_and_behind_the_command_that_hides_it() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        ["--host-port", "x", "backup", "--output", "b.db"],
        ["backup", "--output", "b.db", "--host-port", "x"],
    ] {
        let (code, text) = output(osc_node(folder.path()).args(arguments));
        assert_eq!(code, Some(2));
        assert!(text.contains("OSC_HOST_PORT must be a port"), "{text}");
    }
}

#[test]
fn a_port_by_the_name_that_others_give_it_is_refused_with_the_flag_that_is_meant() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["--port", "9100"][..], &["health", "--port=9100"]] {
        let (code, text) = output(osc_node(folder.path()).args(arguments));
        assert_eq!(code, Some(2));
        assert!(
            text.contains("'--port <PORT>'") && text.contains("'--host-port'"),
            "{text}"
        );
    }
}

#[test]
fn bootstrap_says_where_it_has_the_address_of_the_node_from() {
    let folder = TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (code, text) = output(osc_node(folder.path()).args([
        "bootstrap",
        "--cluster-enabled=true",
        "--cluster-key=a cluster key of the tests",
        "--cluster-nodes=127.0.0.1:9000",
        &format!("--host-port={}", address.port()),
    ]));
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&format!(
            "the node at {address} (OSC_HOST, OSC_HOST_PORT) must be up to be instructed"
        )),
        "{text}"
    );
}

#[test]
fn unusable_settings_end_with_exit_code_2_and_every_fault() {
    let folder = TempDir::new().unwrap();
    let (code, text) =
        output(osc_node(folder.path()).args(["--host-port", "x", "--log-level", "loud"]));
    assert_eq!(code, Some(2));
    assert_eq!(
        text,
        "osc-node: the configuration is not usable:\n  - OSC_HOST_PORT must be a port from 0 to 65535, not 'x'\n  \
         - OSC_LOG_LEVEL must be DEBUG or INFO or WARNING or WARN or ERROR or CRITICAL or FATAL, not 'loud'\n"
    );
    assert_eq!(
        output(osc_node(folder.path()).arg("--no-such-flag")).0,
        Some(2)
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is created"
    );
}

#[test]
fn a_database_in_use_and_a_damaged_one_are_named_with_exit_code_1() {
    let folder = TempDir::new().unwrap();
    let first = Process::start(folder.path(), &[]);
    let (code, text) = output(osc_node(folder.path()).envs(environment(folder.path())));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("configurations.db is in use by another osc-node"),
        "{text}"
    );
    first.kill();

    let damaged = TempDir::new().unwrap();
    fs::write(
        damaged.path().join("configurations.db"),
        "this is no database, whatever its name says",
    )
    .unwrap();
    let (code, text) = output(osc_node(damaged.path()).envs(environment(damaged.path())));
    assert_eq!(code, Some(1));
    let path = damaged.path().join("configurations.db");
    assert!(
        text.contains(&format!(
            "the database {} is damaged (file is not a database); restore it from a backup",
            path.display()
        )),
        "{text}"
    );
}

#[test]
fn a_dotenv_file_is_read() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join(".env"),
        "# comment\nOSC_HOST_PORT=0\nOSC_CLUSTER_NODE_ID=\"from-file\"\n",
    )
    .unwrap();
    let node = Process::start_command(&mut osc_node(folder.path()));
    assert!(folder.path().join("encryption.salt").exists());
    node.kill();
}

/// The settings that a node reports beside such a file.
fn config_beside(dotenv: &[u8]) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let (code, text) = output(osc_node(folder.path()).arg("config"));
    let folder = fs::canonicalize(folder.path()).unwrap();
    (code, text.replace(folder.to_str().unwrap(), "FOLDER"))
}

#[test]
fn a_dotenv_file_of_others_gives_what_it_says_of_ours() {
    let (code, text) = config_beside(
        b"\xef\xbb\xbfOSC_CLUSTER_NODE_ID=S3cr$et\nGREETING=hello world\nJSON={\"a\": 1}\nMSG=it's\nHOME\nNAME=M\xfcller\nOSC_HOST_PORT=9001 # ours",
    );
    assert_eq!(code, Some(0), "{text}");
    for line in ["OSC_CLUSTER_NODE_ID=S3cr$et", "OSC_HOST_PORT=9001"] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
}

#[test]
fn a_dotenv_file_that_cannot_be_used_is_named_with_the_line_and_without_its_text() {
    let (code, text) = config_beside(
        b"A=1\nOSC_API_KEY=\"hidden\n\nOSC_HOST_PORT\nOSC_CLUSTER_KEY=a${HIDDEN_AS_WELL}",
    );
    assert_eq!(code, Some(2));
    assert!(!text.contains("\"hidden"), "{text}");
    for fault in [
        "FOLDER/.env line 2 is not OSC_API_KEY=value",
        "FOLDER/.env line 4 has no value: write OSC_HOST_PORT=value",
        "FOLDER/.env line 5 sets OSC_CLUSTER_KEY to the value of ${HIDDEN_AS_WELL}",
    ] {
        assert!(text.contains(fault), "{text}");
    }

    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join(".env")).unwrap();
    let (code, text) = output(osc_node(folder.path()).arg("config"));
    assert_eq!(code, Some(2));
    assert!(text.contains("/.env is a folder"), "{text}");

    let (code, text) = config_beside(&vec![b'#'; (1 << 20) + 1]);
    assert_eq!(code, Some(2));
    assert!(text.contains("FOLDER/.env is larger than"), "{text}");
}

#[test]
fn a_key_that_a_dotenv_file_changes_is_told_in_the_log() {
    let folder = TempDir::new().unwrap();
    let keys = "OSC_API_KEY_REQUIRED=true\nOSC_API_KEY=a key of the tests #1\nOSC_HOST_PORT=0\n";
    fs::write(folder.path().join(".env"), keys).unwrap();
    let node = Process::start_command(&mut osc_node(folder.path()));
    let log = node.log();
    node.kill();
    let told = log
        .lines()
        .find(|line| line.contains("setting_rewritten"))
        .unwrap();
    assert!(
        told.contains("/.env line 2: OSC_API_KEY is not what stands there")
            && !told.contains("a key of the tests"),
        "{told}"
    );
}

#[test]
fn settings_that_are_no_text_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let bad = || OsStr::from_bytes(b"\xff/a.db");
    let (code, text) = output(osc_node(folder.path()).arg("config").env("OTHER", bad()));
    assert_eq!(code, Some(0), "{text}");
    for setting in opensecureconf_node::config::SETTINGS {
        let variable = setting.variable();
        let (code, text) = output(osc_node(folder.path()).arg("config").env(&variable, bad()));
        assert_eq!(code, Some(2), "{text}");
        let fault = format!("  - {variable} is no UTF-8 text\n");
        assert!(text.contains(&fault), "{fault}: {text}");
        let (code, text) = output(osc_node(folder.path()).arg(setting.flag()).arg(bad()));
        assert_eq!(code, Some(2), "{text}");
        let fault = format!("  - {variable} ({}) is no UTF-8 text\n", setting.flag());
        assert!(text.contains(&fault), "{fault}: {text}");
    }
    let mut mistyped = osc_node(folder.path());
    mistyped.env(OsStr::from_bytes(b"OSC_\xff"), "1");
    let (code, text) = output(mistyped.arg("config"));
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn names_that_are_no_settings_are_shown_with_the_settings() {
    let folder = TempDir::new().unwrap();
    let mut command = osc_node(folder.path());
    command.env("OSC_DATABASE", "a.db").arg("config");
    let (code, text) = output(&mut command);
    assert_eq!(code, Some(0));
    let line = "# OSC_DATABASE is no setting of this node and has no effect\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn sigterm_ends_the_node_with_exit_code_0_and_an_empty_log() {
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[]);
    assert!(
        Command::new("kill")
            .args(["-TERM", &node.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(node.wait().code(), Some(0));
    assert_eq!(
        fs::metadata(folder.path().join("configurations.db-wal")).map_or(0, |file| file.len()),
        0
    );
}

/// As when a pod is deleted while its database is away: the kubelet would kill a node that does not hear.
#[test]
fn a_node_that_waits_for_its_database_ends_in_good_order_when_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("salt"), [7; 64]).unwrap();
    for signal in ["-TERM", "-INT", "-HUP"] {
        let address = silent.local_addr().unwrap();
        let node = osc_node(folder.path())
            .env("OSC_HOST_PORT", "0")
            .env("OSC_API_KEY", API_KEY)
            .env("OSC_CLUSTER_ID", "shop/settings")
            .env("OSC_SALT_SECRET_FILE", "salt")
            .env(
                "OSC_DATABASE_URL",
                format!("postgres://node@{address}/entries?sslmode=disable"),
            )
            .spawn()
            .unwrap();
        let mut node = KilledOnDrop(node);
        let waiting = silent.accept().unwrap();
        let id = node.0.id().to_string();
        let told = Command::new("kill").args([signal, &id]).status();
        assert!(told.unwrap().success());
        assert_eq!(node.0.wait().unwrap().code(), Some(0), "{signal}");
        drop(waiting);
    }
}

#[tokio::test]
async fn a_node_that_drains_says_that_it_is_not_ready_and_still_answers() {
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[("OSC_DRAIN_SECONDS", "3")]);
    let url = node.url.clone();
    let get = |path: &str| client().get(format!("{url}{path}")).send();
    let before = get("/health").await.unwrap();
    assert_eq!(before.headers()["connection"], "keep-alive");
    let killed = Command::new("kill")
        .args(["-TERM", &node.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(node.event("node_stopping")["drain_seconds"], 3);
    let ready = Answer::of(get("/ready").await.unwrap()).await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json(),
        serde_json::json!({"ready": false, "reasons": ["draining"], "detail": "not ready: draining", "writes": "accepted"})
    );
    let health = get("/health").await.unwrap();
    assert_eq!(health.status(), 200);
    // A client that kept its connection until it is closed would lose the request that it sends at that moment.
    assert_eq!(health.headers()["connection"], "close");
    node.event("node_stopped");
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_node_that_was_told_so_ends_with_its_parents_pipe() {
    let folder = TempDir::new().unwrap();
    let mut command = osc_node(folder.path());
    command
        .envs(environment(folder.path()))
        .env("OSC_STOP_ON_STDIN_EOF", "true")
        .stdin(std::process::Stdio::piped());
    let mut node = Process::start_command(&mut command);
    node.close_stdin();
    assert_eq!(node.wait().code(), Some(0));
}
