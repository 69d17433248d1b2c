//! `osc-node health`: the health check of an image without a shell.

use std::process::Output;

use tempfile::TempDir;

use crate::{
    node::environment,
    process::{Process, osc_node},
};

fn health(folder: &TempDir, more: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = osc_node(folder.path());
    command.envs(environment(folder.path()));
    command.envs(more.iter().copied());
    let Output { status, stderr, .. } = command.arg("health").args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn port_of(node: &Process) -> String {
    node.url.rsplit_once(':').unwrap().1.to_owned()
}

#[test]
fn a_running_node_is_healthy_and_ready_and_one_that_is_gone_is_not() {
    let folder = TempDir::new().unwrap();
    let node = Process::start(folder.path(), &[]);
    let port = port_of(&node);
    for arguments in [&[][..], &["--ready"]] {
        // A node that listens everywhere answers here.
        for host in ["127.0.0.1", "0.0.0.0"] {
            let more = [("OSC_HOST_PORT", port.as_str()), ("OSC_HOST", host)];
            assert_eq!(health(&folder, &more, arguments), (Some(0), String::new()));
        }
    }
    node.kill();
    let (code, text) = health(&folder, &[("OSC_HOST_PORT", port.as_str())], &[]);
    assert_eq!(code, Some(1));
    let told = format!("osc-node: no answer from http://127.0.0.1:{port}/health");
    assert!(text.starts_with(&told), "{text}");
}

#[test]
fn over_https_the_nodes_own_certificate_is_taken_whatever_it_names() {
    let folder = TempDir::new().unwrap();
    let certified = rcgen::generate_simple_self_signed(["config.example.org".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let https = [
        ("OSC_HTTPS_ENABLED", "true"),
        ("OSC_SSL_CERTFILE", certificate.to_str().unwrap()),
        ("OSC_SSL_KEYFILE", key.to_str().unwrap()),
    ];
    let node = Process::start(folder.path(), &https);
    let port = port_of(&node);
    let more = [&https[..], &[("OSC_HOST_PORT", port.as_str())]].concat();
    assert_eq!(health(&folder, &more, &[]), (Some(0), String::new()));
    assert_eq!(
        health(&folder, &more, &["--ready"]),
        (Some(0), String::new())
    );
    let plain = [("OSC_HOST_PORT", port.as_str())];
    assert_eq!(health(&folder, &plain, &[]).0, Some(1));
    node.kill();
}

#[test]
fn whatever_keeps_it_from_asking_is_exit_code_1() {
    let folder = TempDir::new().unwrap();
    let (code, text) = health(&folder, &[("OSC_HOST_PORT", "x")], &[]);
    assert_eq!(code, Some(1), "Docker reserves every other code");
    assert!(text.contains("OSC_HOST_PORT must be a port"), "{text}");
    let (code, text) = health(&folder, &[("OSC_HOST_PORT", "0")], &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("name it with OSC_HOST_PORT"), "{text}");
}
