//! Waiting, against an API server in memory.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use http::{Method, StatusCode};
use opensecureconf_operator::wait::{Settings, until_ready};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_server::ApiServer;

const CLUSTER: &str =
    "/apis/opensecureconf.io/v1alpha1/namespaces/team/opensecureconfclusters/demo";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/team/leases/opensecureconf-operator";
const PERIOD: Duration = Duration::from_millis(5);

fn settings(name: Option<&str>, timeout: Duration) -> Settings {
    Settings {
        name: name.map(str::to_owned),
        operator: name.is_none(),
        lease_name: "opensecureconf-operator".to_owned(),
        namespace: Some("team".to_owned()),
        timeout,
    }
}

fn demo(ready: &str, observed: i64) -> Value {
    json!({
        "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster",
        "metadata": { "name": "demo", "namespace": "team", "generation": 1 },
        "spec": {},
        "status": { "observedGeneration": observed, "conditions": [{
            "type": "Ready", "status": ready, "reason": "Tested", "message": "1 of 1",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] },
    })
}

fn lease(renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "opensecureconf-operator", "namespace": "team" },
        "spec": { "holderIdentity": "pod-1", "renewTime": renewed },
    })
}

#[tokio::test]
async fn each_thing_that_is_missing_is_told_once_until_all_is_there() {
    let (server, client) = ApiServer::for_client();
    server.refuse(Method::GET, CLUSTER, StatusCode::FORBIDDEN);
    let told = Arc::new(Mutex::new(Vec::<String>::new()));
    let (script, heard) = (server.clone(), Arc::clone(&told));
    let tell = move |line: &str| {
        // Each printed line triggers the next step of the story.
        match line {
            line if line.ends_with("there is none") => script.put(CLUSTER, demo("False", -1)),
            line if line.ends_with("newest spec yet") => script.put(CLUSTER, demo("False", 1)),
            line if line.ends_with("(Tested)") => script.put(CLUSTER, demo("True", 1)),
            _ => {}
        }
        heard.lock().unwrap().push(line.to_owned());
    };
    let minute = Duration::from_mins(1);
    until_ready(client, settings(Some("demo"), minute), PERIOD, tell)
        .await
        .unwrap();
    assert_eq!(
        *told.lock().unwrap(),
        [
            "waiting for cluster demo: scripted",
            "waiting for cluster demo: there is none",
            "waiting for cluster demo: its operator has not looked at the newest spec yet",
            "waiting for cluster demo: 1 of 1 (Tested)",
            "cluster demo is ready: 1 of 1",
        ]
    );
}

#[tokio::test]
async fn in_vain_is_an_error_that_names_what_was_missing() {
    let (server, client) = ApiServer::for_client();
    server.put(CLUSTER, demo("False", 1));
    let none = Duration::ZERO;
    let error = until_ready(client, settings(Some("demo"), none), PERIOD, |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cluster demo is not ready after 0ns: 1 of 1 (Tested)"
    );
}

#[tokio::test]
async fn an_operator_that_renews_its_lease_is_ready() {
    let (server, client) = ApiServer::for_client();
    server.put(LEASE, lease("2026-01-01T00:00:00.000000Z"));
    let script = server.clone();
    let minute = Duration::from_mins(1);
    until_ready(client, settings(None, minute), PERIOD, |line| {
        if line.ends_with("has yet to renew its Lease") {
            script.put(LEASE, lease("2026-01-01T00:00:02.000000Z"));
        }
    })
    .await
    .unwrap();
}

/// An API server that answers each request with this object.
fn answering(object: &Value) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = object.to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            // A GET ends with an empty line.
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            assert!(lines.take_while(|line| !line.is_empty()).count() > 0);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            write!(
                stream,
                "{head}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    address
}

/// The exit code of `osc-operator wait` with these arguments, and all that it prints.
fn exit_code(kubeconfig: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kubeconfig");
    fs::write(&file, kubeconfig).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_osc-operator"))
        .arg("wait")
        .args(arguments)
        .env_clear()
        .env("HOME", folder.path())
        .env("KUBECONFIG", file)
        .output()
        .unwrap();
    let texts = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&texts).into_owned(),
    )
}

#[test]
fn the_program_ends_with_the_exit_code_that_scripts_go_by() {
    let once = ["demo", "--namespace", "team", "--timeout", "0s"];
    let kubeconfig = |ready| {
        let server = format!("http://{}", answering(&demo(ready, 1)));
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{ "name": "it", "cluster": { "server": server } }],
            "users": [{ "name": "it", "user": {} }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        })
        .to_string()
    };
    let cases: [(String, &[&str], i32, &str); 4] = [
        (
            kubeconfig("True"),
            &once,
            0,
            "cluster demo is ready: 1 of 1",
        ),
        (
            kubeconfig("False"),
            &once,
            3,
            "is not ready after 0ns: 1 of 1 (Tested)",
        ),
        (String::new(), &once, 1, "no Kubernetes cluster"),
        (kubeconfig("True"), &[], 2, "required arguments"),
    ];
    for (kubeconfig, arguments, code, words) in cases {
        let (found, told) = exit_code(&kubeconfig, arguments);
        assert_eq!(found, Some(code), "{told}");
        assert!(told.contains(words), "{told}");
    }
}
