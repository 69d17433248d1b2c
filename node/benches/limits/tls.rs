//! The processor cost of TLS: a read over HTTPS on kept connections, beside the same over HTTP; and a replicated create between
//! nodes that speak mutual TLS, beside nodes that speak plain HTTP.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    authority::{Authority, Leaf, write_node_tls},
    cluster::{Cluster, processor_seconds},
    node::{Node, USER_KEY, folder_with},
    report::{Bar, Row, median},
    wrk::requests,
};

const CONNECTIONS: u32 = 16;
const ROUNDS: usize = 3;

pub(crate) fn rows() -> Vec<Row> {
    let certificates = TempDir::new().unwrap();
    let authority = Authority::new("nodes");
    let pair = authority.issue(&Leaf::of_node(&["127.0.0.1", "bench.example"]));
    write_node_tls(certificates.path(), &pair, &authority.pem());
    vec![reads(certificates.path()), creates(certificates.path())]
}

fn reads(certificates: &Path) -> Row {
    let (folder, _) = folder_with(1000);
    // Free a moment ago; a node logs of its port for HTTPS only once that is open.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let https = free.local_addr().unwrap();
    drop(free);
    let file = |name: &str| certificates.join(name).display().to_string();
    let node = Node::start(
        folder.path(),
        &[
            ("OSC_HTTPS_PORT", &https.port().to_string()),
            ("OSC_SSL_CERTFILE", &file("tls.crt")),
            ("OSC_SSL_KEYFILE", &file("tls.key")),
        ],
    );
    while TcpStream::connect(https).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let script = format!("wrk.headers['X-User-Key'] = '{USER_KEY}'");
    let cost = |url: &str| {
        let before = processor_seconds(&[node.pid()]);
        let count = requests(CONNECTIONS, &format!("{url}/configs/k1"), &script);
        (processor_seconds(&[node.pid()]) - before) / count * 1e6
    };
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(cost(&node.url));
        ours.push(cost(&format!("https://{https}")));
    }
    Row {
        what: "processor of a GET over HTTPS, keep-alive",
        unit: "us",
        ours: median(ours),
        against: "the same over HTTP",
        limit: median(limit),
        bar: Bar::RatioAtMost(1.2),
    }
}

fn creates(certificates: &Path) -> Row {
    let secured = Cluster::start_with("replica", Some(certificates.to_owned()));
    let plain = Cluster::start_as("replica");
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let prefix = format!("tls-{round}");
        limit.push(plain.cost_of_a_create(&prefix, "healthy"));
        ours.push(secured.cost_of_a_create(&prefix, "healthy"));
    }
    Row {
        what: "processor of a replicated create, peers on TLS",
        unit: "us",
        ours: median(ours),
        against: "the same with peers on plain HTTP",
        limit: median(limit),
        bar: Bar::None,
    }
}
