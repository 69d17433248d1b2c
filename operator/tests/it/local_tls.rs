//! `osc-operator local --tls` with the modes in which clients have one of the two ports.

use std::{fs, net::TcpStream};

use opensecureconf_operator::names::AUTHORITIES_ENTRY;
use serde_json::json;
use tempfile::TempDir;

use crate::local_cluster::{Local, answer, command, free_ports, node_binary};

/// A node with this `spec.tls`, its first port, and the lines that are printed.
fn run(tls: &str) -> (Local, u16, Vec<String>) {
    let data = TempDir::new().unwrap();
    let file = data.path().join("resource.yaml");
    let text = format!(
        "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: config}}\nspec: {{replicas: 1, tls: {tls}}}\n"
    );
    fs::write(&file, text).unwrap();
    let first = free_ports(10, 1);
    let mut command = command(&file, data.path(), first, &node_binary());
    let local = Local::of(command.arg("--tls"), data);
    let printed = local.until("Ctrl-C stops all nodes.");
    (local, first, printed)
}

/// Whether a process listens there.
fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn clients_use_the_port_that_is_open_and_nodes_their_certificates_either_way() {
    for (tls, scheme, open, closed) in [
        ("{mode: Disabled}", "http", 0, 4),
        ("{plainHttp: Forbidden}", "https", 4, 0),
    ] {
        let (mut local, first, printed) = run(tls);
        let url = format!("{scheme}://127.0.0.1:{}", first + open);
        let ready = printed.iter().find(|line| line.starts_with("ready: "));
        assert!(ready.unwrap().contains(&url), "{tls}: {printed:#?}");
        assert!(is_open(first + open), "{tls}");
        assert!(!is_open(first + closed), "{tls}");

        let lines = printed.iter().filter(|line| line.starts_with("  curl "));
        let [store, read, list] = lines.collect::<Vec<_>>()[..] else {
            panic!("three lines: {printed:#?}")
        };
        for line in [store, read, list] {
            assert!(line.contains(&url), "{tls}: {line}");
            assert_eq!(line.contains("--cacert"), scheme == "https", "{line}");
        }
        assert_eq!(answer(store)["value"], json!({ "text": "hello" }));
        assert_eq!(answer(read)["value"], json!({ "text": "hello" }));
        assert_eq!(answer(list)[0]["key"], "greeting");

        // The operator itself reached the node at the port for nodes, over the cluster's certificates.
        assert!(is_open(first + 1), "{tls}");
        let tls_folder = local.data.path().join("config/tls");
        assert!(tls_folder.join(AUTHORITIES_ENTRY).exists(), "{tls}");
        local.signal("TERM");
        assert!(local.end().success());
    }
}
