//! Clusters whose nodes have ports of their own and certificates of one authority.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU8, Ordering},
};

use serde_json::json;

use crate::{
    authority::{Authority, Leaf, Pair, fingerprint, write_node_tls},
    cluster::Cluster,
    relay::{Relays, address},
};

/// A cluster whose nodes listen at addresses of their own, each with a certificate for it.
pub(crate) struct Secured {
    pub(crate) cluster: Cluster,
    pub(crate) authority: Authority,
    pub(crate) hosts: Vec<String>,
}

impl Secured {
    /// Nodes that do not run yet. All of them have certificates; the address list names the first `listed` of them.
    pub(crate) async fn prepared(count: usize, listed: usize) -> Self {
        static CLUSTERS: AtomicU8 = AtomicU8::new(0);
        let turn = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = std::process::id().to_be_bytes();
        let mut cluster = Cluster::prepared(count).await;
        // Each test has addresses of its own, so that the port may be the same everywhere.
        let hosts: Vec<_> = (0..count)
            .map(|node| format!("127.{}.{high}.{low}", 16 + usize::from(turn) * 8 + node))
            .collect();
        let list: Vec<_> = hosts[..listed]
            .iter()
            .map(|host| format!("{host}:9001"))
            .collect();
        for (node, host) in cluster.nodes.iter_mut().zip(&hosts) {
            node.set("OSC_HOST", host);
            node.set("OSC_PEER_PORT", "9001");
            node.set("OSC_PEER_PROOF", "require");
            node.set("OSC_CLUSTER_NODES", &list.join(","));
        }
        let mut secured = Self {
            cluster,
            authority: Authority::new("nodes"),
            hosts,
        };
        for node in 0..count {
            let pair = secured.issue(node);
            let authorities = secured.authority.pem();
            secured.mount(node, &pair, &authorities);
            let folder = secured.folder(node);
            let folder = folder.to_str().unwrap();
            secured.cluster.nodes[node].set("OSC_NODE_TLS_DIR", folder);
        }
        secured
    }

    pub(crate) async fn bootstrapped(count: usize) -> Self {
        let mut secured = Self::prepared(count, count).await;
        secured.cluster.start_all().await;
        secured.bootstrap();
        secured.cluster.all_ready().await;
        secured
    }

    /// The same, with relays between the nodes.
    pub(crate) async fn bootstrapped_behind_relays(count: usize) -> (Self, Relays) {
        let mut secured = Self::prepared(count, count).await;
        let relays = Relays::between(&secured.hosts, 9001).await;
        for (caller, node) in secured.cluster.nodes.iter_mut().enumerate() {
            // Without the node itself: a node that finds itself in its list announces that address, and the others would call
            // it past its relays.
            let list = relays.addresses(&secured.hosts, caller);
            node.set("OSC_CLUSTER_NODES", &list.join(","));
            // Where a node can call no other, the others ask it, this often.
            node.set("OSC_CLUSTER_SYNC_INTERVAL", "1");
        }
        secured.cluster.start_all().await;
        secured.bootstrap();
        secured.cluster.all_ready().await;
        (secured, relays)
    }

    /// As people do it: from the machine of a node, with its certificate.
    pub(crate) fn bootstrap(&self) {
        let (code, complaint) = self.cluster.nodes[0].run_to_its_end(&["bootstrap"]);
        assert_eq!(code, Some(0), "{complaint}");
    }

    pub(crate) fn folder(&self, node: usize) -> PathBuf {
        self.cluster.folder.path().join(format!("tls-{node}"))
    }

    pub(crate) fn issue(&self, node: usize) -> Pair {
        issue(&self.authority, &self.hosts[node])
    }

    pub(crate) fn mount(&self, node: usize, pair: &Pair, authorities: &str) {
        write_node_tls(&self.folder(node), pair, authorities);
    }

    /// Waits until a node uses and accepts the files that it mounts.
    pub(crate) async fn in_force(&self, node: usize, pair: &Pair, authorities: &[&Authority]) {
        let leaf = json!(fingerprint(&pair.certificate));
        let accepted: Vec<_> = authorities
            .iter()
            .map(|authority| fingerprint(&authority.pem()))
            .collect();
        let accepted = json!(accepted);
        self.cluster
            .status_until(node, "the certificates are in force", |status| {
                let tls = &status["details"]["tls"]["node"];
                tls["leaf"] == leaf && tls["authorities"] == accepted
            })
            .await;
    }

    /// Waits until a node reports that it does not reach another node, and why.
    pub(crate) async fn unreachable(&self, node: usize, other: usize, why: &str) {
        let address = format!("{}:9001", self.hosts[other]);
        self.unreachable_at(node, &address, why).await;
    }

    /// The same behind a relay.
    pub(crate) async fn unreachable_behind_relay(&self, node: usize, other: usize) {
        let address = address(&self.hosts[other], node);
        self.unreachable_at(node, &address, "").await;
    }

    async fn unreachable_at(&self, node: usize, address: &str, why: &str) {
        let what = format!("{address} is not reached: {why}");
        self.cluster
            .status_until(node, &what, |status| {
                let unreachable = status["details"]["unreachable_nodes"].as_array();
                unreachable.into_iter().flatten().any(|peer| {
                    let error = peer["error"].as_str().unwrap_or_default();
                    peer["address"] == address && error.contains(why)
                })
            })
            .await;
    }

    /// Waits until a node reaches all other nodes.
    pub(crate) async fn reaches_all(&self, node: usize) {
        self.cluster
            .status_until(node, "all others are reached", |status| {
                status["details"]["unreachable_nodes"] == json!([])
            })
            .await;
    }
}

pub(crate) fn issue(authority: &Authority, host: &str) -> Pair {
    authority.issue(&Leaf::of_node(&[host]))
}
