//! Reads of one entry and durable creates, beside what people keep configuration in today, in the same run and under the same
//! load: etcd by its HTTP gateway and by its own client, and the Secrets of a Kubernetes API server on that etcd.
//!
//! `make bench-peers` says where their programs are: `OSC_PEER_PROGRAMS` is the folder with `etcd` and `kube-apiserver`,
//! `OSC_ETCD_CLIENT` the program of `node/benches/etcd`.

mod api_server;
mod etcd;

use std::path::PathBuf;

use api_server::ApiServer;
use etcd::Etcd;

use crate::{
    node::{Node, USER_KEY, folder_with, value},
    report::{Bar, Row, median},
    writes,
    wrk::{Load, load},
};

const READERS: u32 = 16;
const WRITERS: u32 = 64;
const ROUNDS: u32 = 5;

/// Whether the programs of the peers are there.
pub(crate) fn are_there() -> bool {
    ["OSC_PEER_PROGRAMS", "OSC_ETCD_CLIENT"]
        .iter()
        .all(|name| std::env::var_os(name).is_some())
}

pub(crate) fn rows() -> Vec<Row> {
    assert!(
        are_there(),
        "the programs of peers are missing: make bench-peers"
    );
    let etcd = Etcd::start();
    let server = ApiServer::start(&etcd);
    let (folder, _) = folder_with(1000);
    let node = Node::start(folder.path(), &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        etcd.put("k1", &value(1)).await;
        server.create("k1", &value(1)).await;
        // Until its key has opened an entry, each create waits for a derivation.
        let read = reqwest::Client::new().get(format!("{}/configs/k1", node.url));
        let answer = read.header("X-User-Key", USER_KEY).send().await.unwrap();
        answer.error_for_status().unwrap();
    });
    let read = format!("wrk.headers['X-User-Key'] = '{USER_KEY}'");
    let [mut reads, mut creates] = [const { Beside::new() }; 2];
    for round in 0..ROUNDS {
        eprintln!("turn {} of {ROUNDS} ...", round + 1);
        let prefix = format!("r{round}");
        reads
            .ours
            .push(load(READERS, &format!("{}/configs/k1", node.url), &read));
        reads
            .gateway
            .push(load(READERS, &etcd.url, &etcd::read("k1")));
        reads.client.push(etcd.by_client(READERS, &["-get", "k1"]));
        reads
            .secrets
            .push(load(READERS, &server.secret("k1"), &ApiServer::read()));
        creates
            .ours
            .push(load(WRITERS, &node.url, &writes::script(&prefix)));
        creates
            .gateway
            .push(load(WRITERS, &etcd.url, &etcd::write(&prefix, &value(1))));
        let put = ["-put", &prefix, "-value", &value(1)];
        creates.client.push(etcd.by_client(WRITERS, &put));
        let script = ApiServer::write(&prefix, &value(1));
        creates
            .secrets
            .push(load(WRITERS, &server.secrets(), &script));
    }
    let mut rows = reads.rows("GET one, key cached, 16 connections", "req/s", [8.0, 2.0]);
    rows.extend(creates.rows("durable create, 64 connections", "rows/s", [5.0, 2.0]));
    rows
}

/// What is compared, its unit, and its bar.
type Figure = (&'static str, &'static str, fn(&Load) -> f64, Bar);

/// What each of them did, turn by turn.
struct Beside {
    ours: Vec<Load>,
    gateway: Vec<Load>,
    client: Vec<Load>,
    secrets: Vec<Load>,
}

impl Beside {
    const fn new() -> Self {
        Self {
            ours: Vec::new(),
            gateway: Vec::new(),
            client: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// The bars are those of the gateway and of the client.
    fn rows(
        &self,
        what: &'static str,
        unit: &'static str,
        [gateway, client]: [f64; 2],
    ) -> Vec<Row> {
        let of =
            |loads: &[Load], figure: fn(&Load) -> f64| median(loads.iter().map(figure).collect());
        let peers = [
            (
                &self.gateway,
                "etcd by its gateway",
                Bar::RatioAtLeast(gateway),
            ),
            (
                &self.client,
                "etcd by its own client",
                Bar::RatioAtLeast(client),
            ),
            (
                &self.secrets,
                "Secrets of a Kubernetes API server",
                Bar::None,
            ),
        ];
        let mut rows = Vec::new();
        for (theirs, against, bar) in peers {
            let figures: [Figure; 3] = [
                (what, unit, |load| load.per_second, bar),
                ("p50 of these", "ms", |load| load.p50, Bar::None),
                ("p99 of these", "ms", |load| load.p99, Bar::None),
            ];
            rows.extend(figures.map(|(what, unit, figure, bar)| Row {
                what,
                unit,
                ours: of(&self.ours, figure),
                against,
                limit: of(theirs, figure),
                bar,
            }));
        }
        rows
    }
}

/// The folder with the programs of the peers.
fn programs() -> PathBuf {
    std::env::var_os("OSC_PEER_PROGRAMS").unwrap().into()
}
