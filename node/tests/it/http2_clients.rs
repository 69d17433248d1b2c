//! Clients that people have, over HTTPS and HTTP/2: each reads the status of a request that is answered before its body is
//! there, however large the body is.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    authority::{Authority, Leaf, write_node_tls},
    node::{API_KEY, USER_KEY},
    process::Process,
    python,
};

const TURNS: u32 = 20;

/// The body is over the limit of a request in the last one.
const BODIES: [usize; 4] = [50, 20_000, 1 << 20, 3_000_000];

/// A request that is answered early, and how.
struct Kind {
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    status: u16,
}

const API: (&str, &str) = ("x-api-key", API_KEY);
const USER: (&str, &str) = ("x-user-key", USER_KEY);

const KINDS: [Kind; 5] = [
    Kind {
        method: "POST",
        path: "/configs",
        headers: &[("x-api-key", "a wrong key"), USER],
        status: 403,
    },
    Kind {
        method: "POST",
        path: "/nothing",
        headers: &[API],
        status: 404,
    },
    Kind {
        method: "PUT",
        path: "/health",
        headers: &[],
        status: 405,
    },
    Kind {
        method: "POST",
        path: "/configs",
        headers: &[API],
        status: 422,
    },
    Kind {
        method: "DELETE",
        path: "/configs/none",
        headers: &[API, USER],
        status: 404,
    },
];

fn asks() -> impl Iterator<Item = (&'static Kind, usize)> {
    KINDS
        .iter()
        .flat_map(|kind| BODIES.map(|bytes| (kind, bytes)))
}

/// A node that speaks HTTPS and refuses as many wrong keys as it is shown, and the file with its authority.
fn node(folder: &TempDir) -> (Process, PathBuf) {
    let authority = Authority::new("clients");
    let pair = authority.issue(&Leaf::of_node(&["127.0.0.1"]));
    write_node_tls(folder.path(), &pair, &authority.pem());
    let node = Process::start(
        folder.path(),
        &[
            ("OSC_HTTPS_ENABLED", "true"),
            ("OSC_SSL_CERTFILE", "tls.crt"),
            ("OSC_SSL_KEYFILE", "tls.key"),
            ("OSC_AUTH_FAILURES_PER_MINUTE", "0"),
        ],
    );
    (node, folder.path().join("ca.crt"))
}

/// The output of a client's program for these requests.
fn answered(command: &mut Command, input: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let output = command
        .stdin(std::fs::File::open(file.path()).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Each kind and size with the number of its requests that were answered with the right status.
fn assert_all_answered(client: &str, counts: &str) {
    let counts: Vec<&str> = counts.lines().collect();
    assert_eq!(counts.len(), KINDS.len() * BODIES.len(), "{client}");
    for ((kind, bytes), count) in asks().zip(counts) {
        assert_eq!(
            count,
            TURNS.to_string(),
            "{client}: {} {} with {bytes} bytes, answered with {}",
            kind.method,
            kind.path,
            kind.status
        );
    }
}

#[test]
fn curl_gets_the_status_of_each_refused_body() {
    let folder = TempDir::new().unwrap();
    let (node, authorities) = node(&folder);
    let mut counts = Vec::new();
    for (kind, bytes) in asks() {
        let body = folder.path().join("body");
        std::fs::write(&body, "x".repeat(bytes)).unwrap();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--http2", "--request", kind.method, "--cacert"])
            .arg(&authorities)
            .args(["--write-out", "%{http_code} %{http_version}\n"])
            .arg("--data-binary")
            .arg(format!("@{}", body.display()));
        for (name, value) in kind.headers {
            curl.args(["--header", &format!("{name}: {value}")]);
        }
        for _ in 0..TURNS {
            curl.args(["--output", "/dev/null"])
                .arg(format!("{}{}", node.url, kind.path));
        }
        let answers = String::from_utf8(curl.output().unwrap().stdout).unwrap();
        let right = format!("{} 2", kind.status);
        let count = answers.lines().filter(|answer| *answer == right).count();
        counts.push(count.to_string());
    }
    assert_all_answered("curl", &counts.join("\n"));
}

#[test]
fn httpx_gets_the_status_of_each_refused_body() {
    let folder = TempDir::new().unwrap();
    let (node, authorities) = node(&folder);
    let asks: Vec<_> = asks()
        .map(|(kind, bytes)| {
            let headers: serde_json::Map<_, _> = kind
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .collect();
            json!({
                "method": kind.method, "path": kind.path, "headers": headers, "status": kind.status,
                "bytes": bytes, "turns": TURNS,
            })
        })
        .collect();
    let mut command = Command::new(python::interpreter());
    command
        .args(["-c", include_str!("http2_clients/refused_bodies.py")])
        .args([node.url.as_ref(), authorities.as_os_str()]);
    assert_all_answered("httpx", &answered(&mut command, &json!(asks).to_string()));
}

#[test]
fn the_client_of_java_gets_the_status_of_each_refused_body() {
    let folder = TempDir::new().unwrap();
    let (node, authorities) = node(&folder);
    let lines: Vec<_> = asks()
        .map(|(kind, bytes)| {
            let mut line = vec![
                kind.method.to_owned(),
                kind.path.to_owned(),
                bytes.to_string(),
                TURNS.to_string(),
                kind.status.to_string(),
            ];
            for (name, value) in kind.headers {
                line.extend([(*name).to_owned(), (*value).to_owned()]);
            }
            line.join("\t")
        })
        .collect();
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/http2_clients/RefusedBodies.java");
    let mut command = Command::new("java");
    command
        .arg(program)
        .args([node.url.as_ref(), authorities.as_os_str()]);
    assert_all_answered("Java's client", &answered(&mut command, &lines.join("\n")));
}
