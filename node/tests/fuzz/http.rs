//! Bytes on a connection, bodies and queries: the node never panics, and a fault of the caller is never the node's.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    corpus::{Share, run},
    node::{API_KEY, CLUSTER_KEY, Node, USER_KEY},
};

/// Answers of the 5xx that name a reason outside of the request: busy, and a full disk.
const NAMED: &[u16] = &[503, 507];
const TIMEOUT: Duration = Duration::from_secs(40);

const HTTP_WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n",
    ": ",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "GET ",
    "POST ",
    "PUT ",
    "DELETE ",
    "HEAD ",
    "OPTIONS ",
    "CONNECT ",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Expect: 100-continue\r\n",
    "Host: a\r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\n",
    "0\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\n",
    "X-API-Key: ",
    "X-User-Key: ",
    "X-Cluster-Key: ",
    "X-Forwarded-For: ::1\r\n",
    "If-Match: *\r\n",
    "If-None-Match: \"\"\r\n",
    "Range: bytes=0-\r\n",
    "/configs",
    "/cluster/",
    "%00",
    "%2F",
    "é",
    "\0",
];
const QUERY_WORDS: &[&str] = &[
    "?",
    "&",
    "=",
    "%",
    "%00",
    "%2F",
    "%ff",
    "%F0%9F%98%80",
    "+",
    "/",
    "//",
    "..",
    "limit",
    "after",
    "environment",
    "category",
    "mode",
    "keys_only",
    "upsert",
    "details",
    "partial",
    "true",
    "false",
    "full",
    "-1",
    "0",
    "18446744073709551616",
    "1e5",
    "é",
    "#",
    "[]",
    "/configs/",
];
const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"key\"",
    "\"value\"",
    "\"category\"",
    "\"environment\"",
    "null",
    "NaN",
    "1e999",
    "\\ud800",
    "\u{feff}",
    "[[[[[[[[[[[[[[[[",
    "é",
    "\0",
    "true",
    "\"level\": \"DEBUG\"",
    "\"salt\"",
    "\"incarnation\"",
];

/// How long a node has to answer a request that may be incomplete.
const MOMENT: Duration = Duration::from_millis(15);

/// Sends all bytes and reads the answer: until the node closes, where it should, otherwise until it is silent for a moment.
fn send(to: SocketAddr, bytes: &[u8], whole: bool) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut connection = TcpStream::connect(to).map_err(text)?;
    let timeout = if whole { TIMEOUT } else { MOMENT };
    connection.set_read_timeout(Some(timeout)).map_err(text)?;
    // It may have answered and closed before all was sent.
    let _ = connection.write_all(bytes);
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Err(error) if whole && error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(format!("no end within {} s", TIMEOUT.as_secs()))
        }
        // A reset is an end.
        _ => Ok(answer),
    }
}

/// The status of the first answer is none of the node's faults.
fn check(node: &mut Node, bytes: &[u8], whole: bool) -> Result<(), String> {
    let answer = send(node.address, bytes, whole)?;
    node.is_sound()?;
    let text = String::from_utf8_lossy(&answer[..answer.len().min(400)]);
    if !text.starts_with("HTTP/1.") {
        return Ok(());
    }
    let status = text
        .get(9..12)
        .and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(status) if status < 500 || NAMED.contains(&status) => Ok(()),
        _ => Err(format!("answered {text:?}")),
    }
}

fn with_node(test: impl FnOnce(&mut Node)) {
    let folder = TempDir::new().unwrap();
    let mut node = Node::start(folder.path(), &[("OSC_MAX_BODY_BYTES", "100000")]);
    assert_eq!(node.address.ip(), Ipv4Addr::LOCALHOST);
    test(&mut node);
    let health = b"GET /health HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
    let answer = send(node.address, health, true).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

fn keys() -> String {
    format!(
        "X-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\nX-Cluster-Key: {CLUSTER_KEY}\r\nConnection: close\r\n"
    )
}

#[test]
fn any_bytes_on_a_connection() {
    with_node(|node| {
        run("http", Share(20), HTTP_WORDS, |bytes| {
            // The corpus names keys that this run has.
            let text = String::from_utf8_lossy(bytes);
            let known = text.contains("API_KEY") || text.contains("USER_KEY");
            if known {
                let text = text
                    .replace("API_KEY", API_KEY)
                    .replace("USER_KEY", USER_KEY);
                check(node, text.as_bytes(), false)
            } else {
                check(node, bytes, false)
            }
        });
    });
}

#[test]
fn any_path_and_query() {
    with_node(|node| {
        let mut number = 0_usize;
        run("queries", Share(70), QUERY_WORDS, |bytes| {
            number += 1;
            let method = ["GET", "PUT", "DELETE", "POST", "HEAD"][number % 5];
            let path = String::from_utf8_lossy(bytes).replace([' ', '\r', '\n'], "");
            let body = r#"{"value": 1}"#;
            let request = format!(
                "{method} /{path} HTTP/1.1\r\nHost: node\r\nContent-Length: {}\r\n{}\r\n{body}",
                body.len(),
                keys()
            );
            check(node, request.as_bytes(), false)
        });
    });
}

#[test]
fn any_body() {
    const ROUTES: &[&str] = &[
        "POST /configs",
        "PUT /configs/k?upsert=true",
        "PUT /admin/log-level",
        "POST /cluster/salt",
    ];
    with_node(|node| {
        let mut number = 0_usize;
        run("json", Share(70), JSON_WORDS, |bytes| {
            number += 1;
            let head = format!(
                "{} HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
                ROUTES[number % ROUTES.len()],
                bytes.len(),
                keys()
            );
            check(node, &[head.as_bytes(), bytes].concat(), true)
        });
    });
}
