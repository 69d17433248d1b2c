//! Certificates and then their authority are exchanged while nodes run and faults happen.

use serde_json::json;

use crate::{
    authority::{Authority, Pair, fingerprint, write_node_tls},
    cluster::Cluster,
    load::{Done, Load},
    secured::{Secured, issue},
};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_then_their_authority_are_exchanged_under_load_without_a_failed_request() {
    let secured = Secured::bootstrapped(3).await;
    let cluster = &secured.cluster;
    let faults = |node: usize| cluster.nodes[node].events("peer_unreachable").len();
    // Nodes that start one after the other cannot reach each other at first.
    let before = [0, 1, 2].map(faults);
    let load = Load::on(cluster.apis());
    for node in 0..3 {
        let pair = secured.issue(node);
        secured.mount(node, &pair, &secured.authority.pem());
        secured.in_force(node, &pair, &[&secured.authority]).await;
    }
    load.goes_on().await;

    let new = Authority::new("nodes");
    let both = secured.authority.pem() + &new.pem();
    let mut pairs = Vec::new();
    for node in 0..3 {
        let pair = secured.issue(node);
        secured.mount(node, &pair, &both);
        pairs.push(pair);
    }
    for (node, pair) in pairs.iter().enumerate() {
        let accepted = [&secured.authority, &new];
        secured.in_force(node, pair, &accepted).await;
    }
    for (node, pair) in pairs.iter_mut().enumerate() {
        *pair = issue(&new, &secured.hosts[node]);
        secured.mount(node, pair, &both);
        let accepted = [&secured.authority, &new];
        secured.in_force(node, pair, &accepted).await;
        load.goes_on().await;
    }
    for (node, pair) in pairs.iter().enumerate() {
        secured.mount(node, pair, &new.pem());
        secured.in_force(node, pair, &[&new]).await;
    }
    load.goes_on().await;
    let Done { answered, .. } = load.end().await;
    for (node, before) in before.into_iter().enumerate() {
        cluster.sees_healthy(node, 2).await;
        assert_eq!(faults(node), before, "n{node} always reached others");
    }
    assert_eq!(cluster.converged().await.len(), 3);
    eprintln!("{answered} requests were answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_exchanged_while_nodes_are_killed_at_each_step_and_come_back() {
    let mut secured = Secured::bootstrapped(3).await;
    let load = Load::on(vec![secured.cluster.api(0)]);
    let new = Authority::new("nodes");
    let both = secured.authority.pem() + &new.pem();
    let old_leaves = [0, 1, 2].map(|node| secured.issue(node));
    let new_leaves = [0, 1, 2].map(|node| issue(&new, &secured.hosts[node]));
    for (killed, leaves, authorities, accepted) in [
        (1, &old_leaves, &both, vec![&secured.authority, &new]),
        (2, &new_leaves, &both, vec![&secured.authority, &new]),
        (1, &new_leaves, &new.pem(), vec![&new]),
    ] {
        secured.cluster.nodes[killed].kill();
        for (node, pair) in leaves.iter().enumerate() {
            write_node_tls(
                &secured.cluster.folder.path().join(format!("tls-{node}")),
                pair,
                authorities,
            );
        }
        let accepted: Vec<_> = accepted
            .into_iter()
            .map(|it| fingerprint(&it.pem()))
            .collect();
        let taken = async |cluster: &Cluster, node: usize| {
            let leaf = json!(fingerprint(&leaves[node].certificate));
            cluster
                .status_until(node, "the certificates are in force", |status| {
                    let tls = &status["details"]["tls"]["node"];
                    tls["leaf"] == leaf && tls["authorities"] == json!(accepted)
                })
                .await;
        };
        for node in (0..3).filter(|node| *node != killed) {
            taken(&secured.cluster, node).await;
        }
        load.goes_on().await;
        // Whoever starts reads the newest files.
        secured.cluster.nodes[killed].start().await;
        taken(&secured.cluster, killed).await;
        secured.cluster.sees_healthy(0, 2).await;
        secured.cluster.sees_healthy(killed, 2).await;
    }
    let Done { answered, .. } = load.end().await;
    assert_eq!(secured.cluster.converged().await.len(), 1);
    eprintln!("{answered} requests were answered");
}

/// The files that nodes mount at each step of an exchange, and the authorities that they accept then.
struct Exchange {
    old_leaves: [Pair; 3],
    new_leaves: [Pair; 3],
    new: Authority,
}

struct Step<'e> {
    leaves: &'e [Pair; 3],
    authorities: String,
    accepted: Vec<&'e Authority>,
}

impl Exchange {
    fn of(secured: &Secured) -> Self {
        let new = Authority::new("nodes");
        Self {
            old_leaves: [0, 1, 2].map(|node| secured.issue(node)),
            new_leaves: [0, 1, 2].map(|node| issue(&new, &secured.hosts[node])),
            new,
        }
    }

    fn steps<'e>(&'e self, old: &'e Authority) -> [Step<'e>; 3] {
        let step = |leaves, accepted: Vec<&'e Authority>| Step {
            leaves,
            authorities: accepted.iter().map(|authority| authority.pem()).collect(),
            accepted,
        };
        [
            step(&self.old_leaves, vec![old, &self.new]),
            step(&self.new_leaves, vec![old, &self.new]),
            step(&self.new_leaves, vec![&self.new]),
        ]
    }
}

impl Step<'_> {
    /// Gives nodes their files, and waits until the files are in force.
    async fn reaches(&self, secured: &Secured, nodes: &[usize]) {
        for &node in nodes {
            secured.mount(node, &self.leaves[node], &self.authorities);
            let leaf = &self.leaves[node];
            secured.in_force(node, leaf, &self.accepted).await;
        }
    }
}

/// Ends the load. Every acknowledged write is on all nodes, and no node refused the certificate of another.
async fn nothing_is_lost(secured: &Secured, load: Load) {
    let Done { answered, last } = load.end().await;
    let entries = secured.cluster.converged().await;
    for (key, value) in last {
        let kept = entries.iter().find(|entry| entry["key"] == key);
        assert_eq!(kept.unwrap()["value"], value, "{key}");
    }
    for node in 0..3 {
        let refused = secured.cluster.nodes[node].events("peer_certificate_refused");
        assert!(refused.is_empty(), "n{node}: {refused:?}");
    }
    eprintln!("{answered} requests were answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_exchanged_while_the_network_is_cut_at_each_step_and_healed() {
    let (secured, relays) = Secured::bootstrapped_behind_relays(3).await;
    let cluster = &secured.cluster;
    let load = Load::on(cluster.apis());
    let exchange = Exchange::of(&secured);
    for step in exchange.steps(&secured.authority) {
        // One node has the files when the network goes down; the others get them while no node reaches another.
        step.reaches(&secured, &[0]).await;
        relays.cut();
        for node in 0..3 {
            cluster.sees_healthy(node, 0).await;
        }
        step.reaches(&secured, &[1, 2]).await;
        load.goes_on().await;
        relays.heal();
        for node in 0..3 {
            cluster.sees_healthy(node, 2).await;
        }
        load.goes_on().await;
    }
    nothing_is_lost(&secured, load).await;
}

/// Directions that are closed together while the opposite ones stay open: from a node, to it, or one between every two nodes.
fn one_way_cuts(node: usize) -> [Vec<(usize, usize)>; 3] {
    let others = [(node + 1) % 3, (node + 2) % 3];
    [
        others.map(|other| (node, other)).to_vec(),
        others.map(|other| (other, node)).to_vec(),
        vec![(0, 1), (1, 2), (2, 0)],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_exchanged_while_nodes_cannot_call_those_that_call_them() {
    let (secured, relays) = Secured::bootstrapped_behind_relays(3).await;
    let cluster = &secured.cluster;
    let load = Load::on(cluster.apis());
    let exchange = Exchange::of(&secured);
    for (number, step) in exchange.steps(&secured.authority).iter().enumerate() {
        // Each node gets its files under another cut at each step, and in the end each node has seen every cut.
        for node in 0..3 {
            let closed = &one_way_cuts(node)[(number + node) % 3];
            relays.cut_ways(closed);
            for &(caller, called) in closed {
                secured.unreachable_behind_relay(caller, called).await;
            }
            step.reaches(&secured, &[node]).await;
            // A write at any node reaches all nodes by the directions that are left.
            for writer in 0..3 {
                let key = format!("step-{number}-node-{node}-writer-{writer}");
                let written = cluster.api(writer).create(&key, number).await.with(201);
                cluster.everywhere(&key, &written.version()).await;
            }
            load.goes_on().await;
            relays.heal();
            for node in 0..3 {
                secured.reaches_all(node).await;
                cluster.sees_healthy(node, 2).await;
            }
        }
    }
    nothing_is_lost(&secured, load).await;
    assert_eq!(cluster.converged().await.len(), 3 + 3 * 3 * 3);
}
