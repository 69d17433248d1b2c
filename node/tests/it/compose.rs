//! `compose.yaml`, its Prometheus and the images' health checks: every name in them is real, and the nodes run as the files
//! say.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use opensecureconf_node::config::{SETTINGS, Setting};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    free_port::free_port,
    process::{Process, osc_node},
};

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap()
}

fn compose() -> Value {
    serde_saphyr::from_str(&text("compose.yaml")).unwrap()
}

/// The variables of a service.
fn environment(compose: &Value, service: &str) -> BTreeMap<String, String> {
    let variables = &compose["services"][service]["environment"];
    let variables = variables.as_object().unwrap();
    variables
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// The command that the image runs as its health check.
fn health_check(dockerfile: &str) -> Vec<String> {
    let text = text(dockerfile).replace("\\\n", " ");
    let checks: Vec<Vec<String>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once("CMD "))
        .map(|(_, command)| serde_json::from_str(command).unwrap())
        .collect();
    assert_eq!(checks.len(), 2, "{dockerfile}: one in each final stage");
    assert_eq!(checks[0], checks[1]);
    checks[0].clone()
}

#[test]
fn every_setting_file_and_port_of_the_compose_file_is_a_real_one() {
    let compose = compose();
    let known: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
    let secrets = compose["secrets"].as_object().unwrap();
    for service in NODES.into_iter().chain(["bootstrap"]) {
        let node = &compose["services"][service];
        let environment = environment(&compose, service);
        for (name, value) in &environment {
            assert!(known.contains(name), "{service}: {name}");
            if name.ends_with("_FILE") {
                let secret = value.strip_prefix("/run/secrets/").unwrap();
                assert!(secrets.contains_key(secret), "{service}: {value}");
                let mounted = node["secrets"].as_array().unwrap();
                assert!(mounted.contains(&secret.into()), "{service}: {value}");
            }
        }
        assert_eq!(node["build"]["dockerfile"], "Dockerfile.node");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(node["image"], format!("opensecureconf-node:{version}"));
        let listed: Vec<_> = environment["OSC_CLUSTER_NODES"].split(',').collect();
        assert_eq!(listed, NODES.map(|node| format!("{node}:9000")));
    }
    let dockerfile = text("Dockerfile.node");
    for (number, service) in (1..).zip(NODES) {
        let node = &compose["services"][service];
        assert_eq!(
            environment(&compose, service)["OSC_CLUSTER_NODE_ID"],
            service
        );
        assert_eq!(node["ports"][0], format!("127.0.0.1:900{number}:9000"));
        let (volume, folder) = node["volumes"][0]
            .as_str()
            .unwrap()
            .split_once(':')
            .unwrap();
        assert!(compose["volumes"].get(volume).is_some(), "{volume}");
        assert!(
            dockerfile.contains(&format!("WORKDIR {folder}\n")),
            "{folder}"
        );
    }
    assert!(dockerfile.contains("EXPOSE 9000\n"));
    for (name, secret) in secrets {
        assert_eq!(secret["file"], format!("./compose/secrets/{name}"));
    }
    let ignored = [text(".gitignore"), text(".dockerignore")];
    assert!(ignored.iter().all(|text| text.contains("compose/secrets")));
}

#[test]
fn prometheus_scrapes_the_nodes_where_they_show_their_metrics() {
    let compose = compose();
    let prometheus: Value = serde_saphyr::from_str(&text("compose/prometheus.yml")).unwrap();
    let targets = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"];
    let bind = &environment(&compose, "node-1")["OSC_METRICS_BIND"];
    let (_, port) = bind.rsplit_once(':').unwrap();
    let expected = NODES.map(|node| format!("{node}:{port}"));
    assert_eq!(*targets, serde_json::json!(expected));
    let mounted = compose["services"]["prometheus"]["volumes"][0].as_str();
    assert!(mounted.unwrap().starts_with("./compose/prometheus.yml:"));
    let checked = Command::new(repository().join("target/tools/promtool"))
        .args(["check", "config"])
        .arg(repository().join("compose/prometheus.yml"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_images_ask_their_own_programs_whether_they_are_healthy() {
    for (dockerfile, program) in [
        ("Dockerfile.node", "osc-node"),
        ("Dockerfile.operator", "osc-operator"),
    ] {
        let program = format!("/usr/local/bin/{program}");
        assert_eq!(health_check(dockerfile), [program.as_str(), "health"]);
        let entry = format!("ENTRYPOINT [\"{program}\"]");
        assert_eq!(text(dockerfile).matches(&entry).count(), 2, "{dockerfile}");
    }
}

/// The build stages of a Dockerfile: the instructions of each, without comments, `FROM` and `COPY`.
fn stages(dockerfile: &str) -> Vec<Vec<String>> {
    let text = text(dockerfile);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages = Vec::new();
    for line in joined.lines().filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words[0], stages.last_mut()) {
            ("FROM", _) => stages.push(Vec::new()),
            // What comes before the first stage is for all of them.
            ("COPY", Some(_)) | (_, None) => {}
            (_, Some(stage)) => stage.push(words.join(" ")),
        }
    }
    stages
}

#[test]
fn an_image_that_is_packed_is_the_one_that_is_built_from_source() {
    for (dockerfile, workdir) in [("Dockerfile.node", 1), ("Dockerfile.operator", 0)] {
        let stages = stages(dockerfile);
        let [packed, _built, image] = stages.as_slice() else {
            panic!("{dockerfile} has {} stages", stages.len());
        };
        assert_eq!(packed, image, "{dockerfile}");
        let has = |name: &str| packed.iter().filter(|line| line.starts_with(name)).count();
        for name in ["LABEL ", "USER ", "EXPOSE ", "HEALTHCHECK ", "ENTRYPOINT "] {
            assert_eq!(has(name), 1, "{dockerfile}: {name}");
        }
        assert_eq!(has("WORKDIR "), workdir, "{dockerfile}");
    }
}

#[test]
fn both_images_begin_with_the_same_ones_each_named_by_its_digest() {
    let named = |dockerfile: &str| {
        ["BASE", "RUST"].map(|argument| {
            let text = text(dockerfile);
            let lines = text.lines();
            let prefix = format!("ARG {argument}=");
            let images: Vec<_> = lines
                .filter_map(|line| line.strip_prefix(&prefix))
                .collect();
            let [image] = images.as_slice() else {
                panic!("{dockerfile}: {argument} is {images:?}");
            };
            let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
            let is_digest =
                |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(digest.is_some_and(is_digest), "{dockerfile}: {image}");
            (*image).to_owned()
        })
    };
    assert_eq!(named("Dockerfile.node"), named("Dockerfile.operator"));
}

/// Three ports of this machine in the place of the containers' own addresses.
fn three_ports() -> [u16; 3] {
    [(); 3].map(|()| free_port("127.0.0.1"))
}

#[test]
fn the_nodes_of_the_compose_file_become_one_cluster_and_say_that_they_are_healthy() {
    let compose = compose();
    let folder = TempDir::new().unwrap();
    let made = Command::new("bash")
        .arg("keys.sh")
        .current_dir(fs::canonicalize(copied_keys_script(folder.path())).unwrap())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let ports = three_ports();
    let port_of = |node: &str| ports[NODES.iter().position(|name| *name == node).unwrap()];
    let here = |service: &str, node: &str| {
        let mut variables = environment(&compose, service);
        let listed = NODES.map(|node| format!("127.0.0.1:{}", port_of(node)));
        variables.insert("OSC_CLUSTER_NODES".into(), listed.join(","));
        variables.insert("OSC_HOST".into(), "127.0.0.1".into());
        variables.insert("OSC_HOST_PORT".into(), port_of(node).to_string());
        variables.insert("OSC_METRICS_BIND".into(), "127.0.0.1:0".into());
        for value in variables.values_mut() {
            let secrets = folder.path().join("secrets");
            *value = value.replace("/run/secrets", secrets.to_str().unwrap());
        }
        let disk = folder.path().join(node);
        fs::create_dir_all(&disk).unwrap();
        let mut command = osc_node(&disk);
        command.envs(variables);
        command
    };
    let mut nodes = NODES.map(|node| Process::start_command(&mut here(node, node)));
    let bootstrap = &compose["services"]["bootstrap"];
    let command = bootstrap["command"][0].as_str().unwrap();
    let told = environment(&compose, "bootstrap")["OSC_HOST"].clone();
    let run = |arguments: &[&str], service: &str, node: &str| {
        let output = here(service, node).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text + &complaint)
    };
    let check = health_check("Dockerfile.node");
    let check: Vec<_> = check.iter().skip(1).map(String::as_str).collect();
    for node in NODES {
        assert_eq!(run(&check, node, node), (Some(0), String::new()), "{node}");
        let (code, text) = run(&["health", "--ready"], node, node);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("/ready answers 503"), "{text}");
    }
    let (code, text) = run(&[command], "bootstrap", &told);
    assert_eq!(code, Some(0), "{text}");
    for (process, node) in nodes.iter_mut().zip(NODES) {
        process.event("node_ready");
        let (code, text) = run(&["health", "--ready"], node, node);
        assert_eq!(code, Some(0), "{text}");
    }
    // As with every later `docker compose up`.
    let (code, text) = run(&[command], "bootstrap", &told);
    assert_eq!(code, Some(0), "{text}");
    nodes.into_iter().for_each(Process::kill);
    let (code, text) = run(&check, "node-1", "node-1");
    assert_eq!(code, Some(1));
    assert!(text.contains("no answer from http://127.0.0.1:"), "{text}");
}

/// The script makes its folder beside itself.
fn copied_keys_script(folder: &Path) -> &Path {
    fs::copy(repository().join("compose/keys.sh"), folder.join("keys.sh")).unwrap();
    folder
}
