//! Commands for each administrative route, on a node with one port and on one with a port for nodes.

use std::{collections::BTreeSet, fs, process::Output};

use opensecureconf_node::api::routes;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    authority::{Authority, Leaf, write_node_tls},
    free_port::free_port,
    node::{API_KEY, USER_KEY, client, environment},
    process::{Process, osc_node},
};

/// The only node of its cluster.
struct Lonely {
    folder: TempDir,
    settings: Vec<(String, String)>,
    process: Process,
}

impl Lonely {
    fn start(secured: bool) -> Self {
        let free = || free_port("127.0.0.1").to_string();
        let (folder, port, peers) = (TempDir::new().unwrap(), free(), free());
        let mut settings = environment(folder.path());
        let mut set = |name: &str, value: &str| settings.push((name.into(), value.into()));
        set("OSC_HOST_PORT", &port);
        set("OSC_CLUSTER_ENABLED", "true");
        set("OSC_CLUSTER_NODE_ID", "one");
        set("OSC_CLUSTER_KEY", "the cluster key of the tests");
        set("OSC_PEER_PROOF", "require");
        set("OSC_LOG_LEVEL", "DEBUG");
        set("OSC_HEALTH_BIND", "127.0.0.1:0");
        if secured {
            // The certificate names the Service and the pod, and no address.
            let authority = Authority::new("nodes");
            let leaf = authority.issue(&Leaf::of_node(&["config.team.svc", "localhost"]));
            let tls = folder.path().join("tls");
            write_node_tls(&tls, &leaf, &authority.pem());
            set("OSC_NODE_TLS_DIR", tls.to_str().unwrap());
            set("OSC_PEER_PORT", &peers);
            set("OSC_CLUSTER_NODES", &format!("localhost:{peers}"));
        } else {
            set("OSC_CLUSTER_NODES", &format!("127.0.0.1:{port}"));
        }
        let process = Process::start_command(osc_node(folder.path()).envs(settings.clone()));
        Self {
            folder,
            settings,
            process,
        }
    }

    /// The result of a command: exit code, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run_with(self.settings.clone(), arguments)
    }

    fn run_with(
        &self,
        settings: Vec<(String, String)>,
        arguments: &[&str],
    ) -> (i32, String, String) {
        let mut command = osc_node(self.folder.path());
        command.envs(settings).args(arguments);
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (code, said, complaint) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}{complaint}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (code, said, complaint) = self.run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {said}{complaint}");
        complaint
    }

    async fn create(&self, client: &Client, key: &str) {
        let request = client
            .post(format!("{}/configs?environment=prod", self.process.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY)
            .json(&json!({"key": key, "value": 1}));
        assert_eq!(request.send().await.unwrap().status(), 201);
    }

    /// The routes that the commands called, with their methods.
    fn asked(&self) -> BTreeSet<(String, String)> {
        let log = self.process.log();
        let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let requests = events.filter(|event: &Value| event["event"] == "request");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        requests
            .map(|event| (text(&event["method"]), text(&event["endpoint"])))
            .collect()
    }
}

async fn every_route_has_a_command(secured: bool) {
    let client = client();
    let mut node = Lonely::start(secured);
    let said = node.done(&["bootstrap"]);
    assert!(
        said.contains("node 'one' has bootstrapped the cluster"),
        "{said}"
    );
    node.process.event("node_ready");

    let said = node.done(&["members"]);
    let row: Vec<_> = said.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (row[0], row[2], row[3]),
        ("one", "member", "itself"),
        "{said}"
    );
    let said = node.refused(&["members", "remove", "two"]);
    assert!(said.contains("no other member 'two'"), "{said}");

    let exported = node.folder.path().join("exported.salt");
    let exported = exported.to_str().unwrap();
    node.done(&["salt", "export", "--output", exported]);
    let salt = fs::read(node.folder.path().join("encryption.salt")).unwrap();
    assert_eq!(fs::read(exported).unwrap(), salt);
    node.refused(&["salt", "export", "--output", exported]);
    node.done(&["salt", "compare", exported]);
    let other = node.folder.path().join("other.salt");
    fs::write(&other, [7; 64]).unwrap();
    let said = node.refused(&["salt", "compare", other.to_str().unwrap()]);
    assert!(said.contains("differs"), "{said}");

    assert_eq!(node.done(&["admin", "log-level"]), "DEBUG\n");
    let (code, _, said) = node.run(&["admin", "log-level", "loud"]);
    assert_eq!(code, 2, "{said}");
    node.done(&["admin", "log-level", "debug"]);

    let key = "db/primary 1";
    node.create(&client, "db").await;
    node.done(&["admin", "force-delete", "db", "--environment", "prod"]);
    let said = node.refused(&["admin", "force-delete", key]);
    assert!(said.contains("not found"), "{said}");

    // A URL reads `.` and `..` as steps in a tree, and `-`, which stands in their place in the path, is a key too.
    for key in [".", "..", "-"] {
        node.create(&client, key).await;
    }
    for key in [".", "..", "-"] {
        let said = node.done(&["admin", "force-delete", key, "--environment", "prod"]);
        assert!(said.contains("is deleted unread"), "{said}");
    }
    // A dry run reports beforehand what the order would answer.
    for order in [&["unfence", "--dry-run"][..], &["unfence"]] {
        let said = node.refused(order);
        assert!(said.contains("neither fenced nor suspended"), "{said}");
    }
    node.refused(&["leave"]);
    // The node logs a request after its answer, and this is the last request.
    while node.process.event("request")["endpoint"] != "/cluster/leave" {}

    // `remove` needs another member; a story of several nodes covers it. `nodes` and `import` call the others.
    let elsewhere = "/cluster/members/{name}/remove";
    let asked = node.asked();
    for (method, path) in routes() {
        let administers = path.starts_with("/admin/")
            || matches!(
                path.as_str(),
                "/cluster/salt" | "/cluster/bootstrap" | "/cluster/leave" | "/cluster/unfence"
            );
        if administers && path != elsewhere {
            let route = (method.to_string(), path);
            assert!(asked.contains(&route), "no command asks {route:?}");
        }
    }
}

#[tokio::test]
async fn every_administrative_route_has_a_command_on_a_node_with_one_port() {
    every_route_has_a_command(false).await;
}

#[tokio::test]
async fn every_administrative_route_has_a_command_over_mutual_tls() {
    every_route_has_a_command(true).await;
}

#[test]
fn commands_that_only_speak_to_the_node_need_no_settings_of_its_cluster() {
    let node = Lonely::start(false);
    let settings = node.settings.iter();
    let needed = settings.filter(|(name, _)| {
        !matches!(
            name.as_str(),
            "OSC_CLUSTER_ENABLED" | "OSC_CLUSTER_NODES" | "OSC_CLUSTER_NODE_ID"
        )
    });
    let needed: Vec<_> = needed.cloned().collect();
    let run = |arguments: &[&str]| node.run_with(needed.clone(), arguments);
    let (code, _, said) = run(&["bootstrap"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("OSC_CLUSTER_NODES") && said.contains("--force"),
        "{said}"
    );
    let (code, said, complaint) = run(&["bootstrap", "--force"]);
    assert_eq!(code, 0, "{complaint}");
    assert!(said.contains("node 'one' has bootstrapped"), "{said}");
    let (code, said, complaint) = run(&["members"]);
    assert_eq!(code, 0, "{complaint}");
    assert!(said.contains("itself"), "{said}");
    for (order, why) in [("leave", "last member"), ("unfence", "neither fenced")] {
        let (code, _, said) = run(&[order]);
        assert_eq!(code, 1);
        assert!(said.contains(why), "{order}: {said}");
    }
}

#[test]
fn what_a_failed_handshake_means_and_which_setting_mends_it_is_told() {
    let node = Lonely::start(true);
    let with = |name: &str, value: &str, arguments: &[&str]| {
        let mut settings = node.settings.clone();
        settings.push((name.to_owned(), value.to_owned()));
        node.run_with(settings, arguments)
    };
    let clients = node.process.url.rsplit_once(':').unwrap().1;
    let listed = format!("localhost:{clients}");
    let (code, _, said) = with("OSC_CLUSTER_NODES", &listed, &["bootstrap"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("speaks no TLS: OSC_CLUSTER_NODES lists OSC_PEER_PORT"),
        "{said}"
    );

    let authority = Authority::new("others");
    let leaf = authority.issue(&Leaf::of_node(&["localhost"]));
    let tls = node.folder.path().join("others");
    write_node_tls(&tls, &leaf, &authority.pem());
    let (code, _, said) = with("OSC_NODE_TLS_DIR", tls.to_str().unwrap(), &["members"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("another authority: ca.crt in OSC_NODE_TLS_DIR"),
        "{said}"
    );
}

#[test]
fn the_salt_is_not_written_into_a_folder_that_is_not_there() {
    let node = Lonely::start(true);
    node.done(&["bootstrap"]);
    let folder = node.folder.path().join("nodir");
    let said = node.refused(&[
        "salt",
        "export",
        "--output",
        folder.join("x").to_str().unwrap(),
    ]);
    assert!(said.contains("No such file or directory"), "{said}");
    assert!(!folder.exists());
}

#[test]
fn a_file_or_folder_that_is_not_there_is_exit_code_2() {
    let node = Lonely::start(true);
    let (code, _, said) = node.run(&["salt", "compare", "nowhere"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the salt file nowhere is missing"), "{said}");
    let (code, _, said) = node.run(&["members", "--node-tls-dir", "nowhere"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("OSC_NODE_TLS_DIR: ") && said.contains("nowhere"),
        "{said}"
    );
}

#[tokio::test]
async fn readiness_at_the_port_for_probes_is_of_one_moment() {
    let node = Lonely::start(false);
    let probed = node.process.started["health_address"].as_str().unwrap();
    let url = format!("http://{probed}/ready");
    node.done(&["bootstrap"]);
    let mut is_ready = false;
    while !is_ready {
        let answer = client().get(&url).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        is_ready = body["ready"] == true;
        assert_eq!(is_ready, body["writes"] == "accepted", "{body}");
    }
}

#[tokio::test]
async fn a_member_is_named_by_the_query_where_a_path_cannot_hold_its_name() {
    let node = Lonely::start(false);
    node.done(&["bootstrap"]);
    let url = format!(
        "{}/cluster/members/-/remove?name=..&incarnation=0000000000000000",
        node.process.url
    );
    let request = client().post(url);
    let request = request.header("X-Cluster-Key", "the cluster key of the tests");
    let answer = request.send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.contains("no member '..'"), "{text}");
}

#[test]
fn a_command_without_the_cluster_key_or_a_running_node_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let output = osc_node(folder.path()).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    let source = rusqlite::Connection::open(folder.path().join("source.db")).unwrap();
    source.execute_batch("PRAGMA user_version = 1").unwrap();
    for command in [
        &["admin", "log-level"][..],
        &["import", "--from", "source.db"],
    ] {
        let (code, text) = run(command);
        assert_eq!(code, Some(2), "{command:?}: {text}");
        assert!(
            text.contains("OSC_CLUSTER_KEY or OSC_CLUSTER_KEY_FILE")
                && text.contains("restart it with one"),
            "{text}"
        );
    }
    let (code, text) = run(&["admin"]);
    assert_eq!(code, Some(2));
    assert!(
        text.contains("force-delete") && text.contains("log-level"),
        "{text}"
    );
}

#[test]
fn the_help_of_each_command_that_gives_orders_shows_how_it_runs_in_a_pod_and_its_exit_codes() {
    let folder = TempDir::new().unwrap();
    for command in [
        "leave",
        "members",
        "members remove",
        "bootstrap",
        "unfence",
        "salt export",
        "salt compare",
        "admin force-delete",
        "admin log-level",
    ] {
        let arguments = command.split(' ').chain(["--help"]);
        let output = osc_node(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{command}");
        let help = String::from_utf8(output.stdout).unwrap();
        let example = format!("kubectl exec POD -c node -- osc-node {command}");
        assert!(help.contains(&example), "{help}");
        assert!(help.contains("Exit codes: 0 done, 1 "), "{help}");
    }
}
