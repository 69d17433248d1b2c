//! Runs the examples of pages that need neither Kubernetes nor a fixed port as they stand: those below this mark.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    authority::fingerprint,
    node::{client, environment},
    process::{Process, osc_node},
};

const MARK: &str = "<!-- node/tests/it/pages.rs runs this -->";
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// The marked examples of a page.
fn examples(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let marked = text.split(MARK).skip(1);
    marked
        .map(|rest| {
            let example = rest.trim_start().strip_prefix("```bash\n");
            let example = example.unwrap_or_else(|| panic!("{}: no example", page.display()));
            example.split("\n```").next().unwrap().to_owned()
        })
        .collect()
}

/// Runs an example in a folder of its own.
fn run(example: &str, page: &Path) -> TempDir {
    let folder = TempDir::new().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_osc-node")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", example])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", binary.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {example}: {output:?}",
        page.display()
    );
    folder
}

#[test]
fn every_marked_example_runs() {
    let mut ran = 0;
    for page in fs::read_dir(PAGES).unwrap() {
        let page = page.unwrap().path();
        if page.extension().is_some_and(|kind| kind == "md") {
            for example in examples(&page) {
                run(&example, &page);
                ran += 1;
            }
        }
    }
    assert!(ran >= 1, "{ran}");
}

#[tokio::test]
async fn a_node_takes_the_certificates_that_the_page_about_tls_makes() {
    client();
    let page = Path::new(PAGES).join("tls.md");
    let examples = examples(&page);
    let folder = run(examples.first().unwrap(), &page);
    let files = folder.path().to_str().unwrap();
    let mut command = osc_node(folder.path());
    command
        .envs(environment(folder.path()))
        .env("OSC_NODE_TLS_DIR", files)
        .env("OSC_PEER_PORT", "0")
        .env("OSC_HTTPS_PORT", "0")
        .env("OSC_SSL_CERTFILE", "tls.crt")
        .env("OSC_SSL_KEYFILE", "tls.key")
        .env("OSC_CLUSTER_KEY", "the cluster key of the tests");
    let mut node = Process::start_command(&mut command);
    node.event("https_port_opened");
    let address = node.started["https_address"].as_str().unwrap();
    // The client of the page.
    let name = "config-0.example.org";
    let output = Command::new("curl")
        .args(["-sS", "--cacert", "ca.crt", "--connect-to"])
        .arg(format!("{name}:443:{address}"))
        .arg(format!("https://{name}/health"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("healthy"), "{output:?}");
    // The output of the page's `openssl` command matches the status.
    let certificate = fs::read_to_string(folder.path().join("tls.crt")).unwrap();
    let printed = Command::new("bash")
        .args(["-c", "openssl x509 -in tls.crt -outform der | sha256sum"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(
        printed.split_whitespace().next(),
        Some(fingerprint(&certificate).as_str())
    );
}
