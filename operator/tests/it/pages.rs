//! Every example of `docs/tls.md` and `docs/local.md`, as it stands there: what needs no Kubernetes is run against a local
//! cluster, `kubectl` is played, and what is asked of it is held against the resource and the objects of the operator.

mod bench;
mod kubectl;

use std::path::Path;

use clap::{Args, Command};
use k8s_openapi::api::core::v1::PodSpec;
use opensecureconf_node::cli::command as osc_node;
use opensecureconf_operator::{local, node::NodeTls, pki::cluster_names};
use serde_json::{Value, json};

use crate::{
    mentions::{self, Mention},
    valid,
};
use bench::Bench;
use kubectl::{Kubectl, is_in};

/// The cluster of both pages.
const RESOURCE: &str = "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {name: config}\n\
                        spec: {replicas: 1, tls: {altNames: [config.example.org]}}\n";

/// One example.
#[derive(Debug)]
struct Example {
    language: String,
    text: String,
}

fn text(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::read_to_string(path.join(page)).unwrap()
}

/// The examples of a page, in their order.
fn examples(page: &str) -> Vec<Example> {
    let text = text(page);
    let parts = text.split("\n```");
    let inside = parts.skip(1).step_by(2);
    inside
        .map(|part| {
            let (language, text) = part.split_once('\n').unwrap();
            Example {
                language: language.to_owned(),
                text: text.to_owned(),
            }
        })
        .collect()
}

/// Whether another test runs this one: `node/tests/it/pages.rs` what has its mark, `node/tests/it/clients.rs` the published client.
fn is_run_elsewhere(example: &Example) -> bool {
    example.language == "python" || example.text.contains("openssl req -x509")
}

#[test]
fn the_examples_about_tls_do_what_the_page_says() {
    let bench = Bench::start(RESOURCE, true);
    let mut kubectl = Kubectl::of(RESOURCE);
    let mut runs = 0;
    for example in examples("tls.md") {
        match example.language.as_str() {
            _ if is_run_elsewhere(&example) => continue,
            "bash" => {
                // An example is for a cluster as it was: one of them says what another one would undo.
                kubectl.begin_anew(RESOURCE);
                for call in bench.run(&example.text) {
                    kubectl.take(&call);
                }
            }
            "json" => assert_is_a_nodes_status(&example.text),
            "yaml" => assert_is_a_workload(&example.text),
            other => panic!("no test for an example in {other}: {}", example.text),
        }
        runs += 1;
    }
    assert!(runs >= 7, "{runs}");
    let asked = kubectl.asked();
    for verb in ["patch", "create", "get", "describe", "port-forward", "exec"] {
        assert!(asked.contains(verb), "{asked:?}");
    }
}

#[test]
fn the_examples_about_a_local_cluster_do_what_the_page_says() {
    let [example] = &examples("local.md")[..] else {
        panic!("the page has other examples than its test");
    };
    let (with, without) = example.text.split_once("# without --tls:\n").unwrap();
    for (text, is_tls) in [(with, true), (without, false)] {
        let bench = Bench::start(RESOURCE, is_tls);
        assert_eq!(bench.run(text), Vec::<Vec<String>>::new());
        let members = bench.printed(text);
        assert!(members.contains("config-0"), "{members}");
    }
}

#[test]
fn every_command_that_both_pages_name_is_parsed_as_it_stands() {
    let parsed = |program: &str, words: &[String]| {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match (program, words.as_slice()) {
            ("osc-operator", ["local", rest @ ..]) => {
                let command = local::Settings::augment_args(Command::new("local"));
                let words = ["local"].iter().chain(rest);
                command.try_get_matches_from(words).map(drop)
            }
            ("osc-node", words) => {
                let words = ["osc-node"].iter().chain(words);
                osc_node().try_get_matches_from(words).map(drop)
            }
            other => panic!("no parser for {other:?}"),
        }
    };
    let (mut count, mut faults) = (0, Vec::new());
    for page in ["tls.md", "local.md"] {
        let text = text(page);
        for program in ["osc-node", "osc-operator"] {
            for Mention { place, words } in mentions::in_text(program, page, &text) {
                count += 1;
                if let Err(error) = parsed(program, &words) {
                    faults.push(format!("{place}: {words:?}: {error}"));
                }
            }
        }
    }
    assert!(count >= 7, "{count}");
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Names and form of what a node reports of its certificates.
fn assert_is_a_nodes_status(example: &str) {
    let written: Value = serde_json::from_str(&format!("{{{example}}}")).unwrap();
    let read: NodeTls = serde_json::from_value(written["tls"].clone()).unwrap();
    assert_eq!(json!(read), written["tls"], "{example}");
}

/// A pod that mounts the cluster's certificates, and calls it by a name that they are for.
fn assert_is_a_workload(example: &str) {
    let written: Value = serde_saphyr::from_str(example).unwrap();
    let pod: PodSpec = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(is_in(&written, &json!(pod)), Ok(()), "{example}");
    let cluster = valid(RESOURCE);
    let container = &pod.containers[0];
    let variable = |name: &str| {
        let mut variables = container.env.iter().flatten();
        let found = variables.find(|variable| variable.name == name).unwrap();
        found.value.clone().unwrap()
    };
    let (host, port) = variable("OSC_URL")
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once(':'))
        .map(|(host, port)| (host.to_owned(), port.to_owned()))
        .unwrap();
    let names = cluster_names(&cluster.name, "default", "cluster.local", &[]);
    assert!(names.contains(&host), "{host}");
    assert_eq!(port, "9443");
    let mounts = container.volume_mounts.as_ref().unwrap();
    let volumes = pod.volumes.as_ref().unwrap();
    let folder = format!("{}/", mounts[0].mount_path);
    let file = variable("REQUESTS_CA_BUNDLE");
    assert_eq!(file.strip_prefix(&folder), Some("ca.crt"));
    assert_eq!(mounts[0].name, volumes[0].name);
    let map = volumes[0].config_map.as_ref().unwrap();
    assert_eq!(map.name, cluster.name.ca());
}
