//! Nodes with ports of their own and certificates of one authority: who is let in, and how certificates are exchanged.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use serde_json::json;

use crate::{
    api::Api,
    authority::{Authority, Leaf, OF_CLIENTS, OF_NODES, Pair, fingerprint, write_node_tls},
    cluster::Cluster,
    relay::Relays,
    wait::until,
};

const DAY_MILLIS: i64 = 86_400_000;

/// A cluster whose nodes listen at addresses of their own, each with a certificate for it.
struct Secured {
    cluster: Cluster,
    authority: Authority,
    hosts: Vec<String>,
}

impl Secured {
    /// Nodes that do not run yet. All of them have certificates; the first so many are listed.
    async fn prepared(count: usize, listed: usize) -> Self {
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

    async fn founded(count: usize) -> Self {
        let mut secured = Self::prepared(count, count).await;
        secured.cluster.start_all().await;
        secured.found();
        secured.cluster.all_ready().await;
        secured
    }

    /// The same, with relays between the nodes.
    async fn founded_behind_relays(count: usize) -> (Self, Relays) {
        let mut secured = Self::prepared(count, count).await;
        let hosts = secured.hosts.iter();
        let pairs: Vec<_> = hosts
            .map(|host| (format!("{host}:9101"), format!("{host}:9001")))
            .collect();
        let relays = Relays::between(&pairs).await;
        let list: Vec<_> = pairs.into_iter().map(|(dialled, _)| dialled).collect();
        for node in &mut secured.cluster.nodes {
            node.set("OSC_CLUSTER_NODES", &list.join(","));
        }
        secured.cluster.start_all().await;
        secured.found();
        secured.cluster.all_ready().await;
        (secured, relays)
    }

    /// As people do it: from the machine of a node, with its certificate.
    fn found(&self) {
        let (code, complaint) = self.cluster.nodes[0].run_to_its_end(&["bootstrap"]);
        assert_eq!(code, Some(0), "{complaint}");
    }

    fn folder(&self, node: usize) -> PathBuf {
        self.cluster.folder.path().join(format!("tls-{node}"))
    }

    fn issue(&self, node: usize) -> Pair {
        issue(&self.authority, &self.hosts[node])
    }

    fn mount(&self, node: usize, pair: &Pair, authorities: &str) {
        write_node_tls(&self.folder(node), pair, authorities);
    }

    /// Waits until a node shows and accepts what it mounts.
    async fn in_force(&self, node: usize, pair: &Pair, authorities: &[&Authority]) {
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

    /// Waits until a node tells that it does not reach another one, and why.
    async fn unreachable(&self, node: usize, other: usize, why: &str) {
        let address = json!(format!("{}:9001", self.hosts[other]));
        let what = format!("n{other} is not reached: {why}");
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
}

fn issue(authority: &Authority, host: &str) -> Pair {
    authority.issue(&Leaf::of_node(&[host]))
}

/// Clients that write and read at every node until they are told to stop; gives how much they did.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    /// Each gives what it wrote last.
    clients: Vec<tokio::task::JoinHandle<(String, usize)>>,
}

/// What clients did.
struct Done {
    answered: usize,
    /// What each wrote last, by its entry.
    last: Vec<(String, usize)>,
}

impl Load {
    fn on(apis: Vec<Api>) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = apis.into_iter().enumerate().map(|(node, api)| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let key = format!("load-{node}");
                api.create(&key, 0).await.with(201);
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    api.put(&key, turn).await.with(200);
                    assert_eq!(api.value(&key).await, turn);
                    done.fetch_add(2, Ordering::Relaxed);
                }
                (key, turn)
            })
        });
        Self {
            clients: clients.collect(),
            stop,
            done,
        }
    }

    /// Waits until so many more requests were answered.
    async fn goes_on(&self) {
        let from = self.done.load(Ordering::Relaxed);
        until("clients are answered", async || {
            (self.done.load(Ordering::Relaxed) > from + 20).then_some(())
        })
        .await;
    }

    async fn end(self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let mut last = Vec::new();
        for client in self.clients {
            last.push(client.await.unwrap());
        }
        let answered = self.done.load(Ordering::Relaxed);
        Done { answered, last }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_then_their_authority_are_exchanged_under_load_without_a_failed_request() {
    let secured = Secured::founded(3).await;
    let cluster = &secured.cluster;
    let faults = |node: usize| cluster.nodes[node].events("peer_unreachable").len();
    // Nodes that start one after the other do not reach each other at first.
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
    let mut secured = Secured::founded(3).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_exchanged_while_the_network_is_cut_at_each_step_and_healed() {
    let (secured, relays) = Secured::founded_behind_relays(3).await;
    let cluster = &secured.cluster;
    let load = Load::on(cluster.apis());
    let new = Authority::new("nodes");
    let (old, both) = (&secured.authority, secured.authority.pem() + &new.pem());
    let old_leaves = [0, 1, 2].map(|node| secured.issue(node));
    let new_leaves = [0, 1, 2].map(|node| issue(&new, &secured.hosts[node]));
    for (leaves, authorities, accepted) in [
        (&old_leaves, &both, &[old, &new][..]),
        (&new_leaves, &both, &[old, &new]),
        (&new_leaves, &new.pem(), &[&new]),
    ] {
        // One node has the files when the network goes, the others get them while nobody hears anybody.
        secured.mount(0, &leaves[0], authorities);
        secured.in_force(0, &leaves[0], accepted).await;
        relays.cut();
        for node in 0..3 {
            cluster.sees_healthy(node, 0).await;
        }
        for node in [1, 2] {
            secured.mount(node, &leaves[node], authorities);
            secured.in_force(node, &leaves[node], accepted).await;
        }
        load.goes_on().await;
        relays.heal();
        for node in 0..3 {
            cluster.sees_healthy(node, 2).await;
        }
        load.goes_on().await;
    }
    let Done { answered, last } = load.end().await;
    let entries = cluster.converged().await;
    for (key, value) in last {
        let kept = entries.iter().find(|entry| entry["key"] == key);
        assert_eq!(kept.unwrap()["value"], value, "{key}");
    }
    for node in 0..3 {
        let refused = cluster.nodes[node].events("peer_certificate_refused");
        assert!(refused.is_empty(), "n{node}: {refused:?}");
    }
    eprintln!("{answered} requests were answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_certificate_of_a_node_is_refused_by_those_that_dial_it_and_those_that_it_dials()
{
    let mut secured = Secured::founded(2).await;
    let host = secured.hosts[1].clone();
    let names = [host.as_str()];
    let foreign = Authority::new("nodes");
    let leaf = |usages, days| Leaf {
        names: &names,
        usages,
        days,
    };
    let cases = [
        (
            "Expired",
            secured.authority.issue(&leaf(OF_NODES, (-30, -1))),
        ),
        (
            "NotValidYet",
            secured.authority.issue(&leaf(OF_NODES, (1, 30))),
        ),
        ("BadSignature", issue(&foreign, &host)),
        (
            "NotValidForName",
            secured
                .authority
                .issue(&Leaf::of_node(&["elsewhere.example"])),
        ),
        (
            "InvalidPurpose",
            secured.authority.issue(&leaf(OF_CLIENTS, (-1, 30))),
        ),
    ];
    for (why, pair) in cases {
        // A node that runs would keep the one that it has.
        secured.cluster.nodes[1].stop().await;
        secured.mount(1, &pair, &secured.authority.pem());
        secured.cluster.nodes[1].start().await;
        secured.in_force(1, &pair, &[&secured.authority]).await;
        secured.unreachable(0, 1, "certificate").await;
        secured.unreachable(1, 0, "alert").await;
        assert!(secured.cluster.api(0).is_ready().await, "{why}");
        let good = secured.issue(1);
        secured.mount(1, &good, &secured.authority.pem());
        for node in [0, 1] {
            secured.cluster.sees_healthy(node, 1).await;
        }
    }
    let refusal = secured
        .cluster
        .logged(0, "peer_certificate_refused", 1)
        .await;
    assert!(refusal["error"].is_string(), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_cluster_key_and_without_a_certificate_of_the_cluster_is_no_peer() {
    let mut secured = Secured::prepared(4, 2).await;
    let foreign = Authority::new("nodes");
    // One has a certificate of another authority and trusts this one; one has none and speaks plain HTTP.
    let pair = issue(&foreign, &secured.hosts[2]);
    let both = foreign.pem() + &secured.authority.pem();
    secured.mount(2, &pair, &both);
    for setting in ["OSC_PEER_PORT", "OSC_NODE_TLS_DIR"] {
        secured.cluster.nodes[3].set(setting, "");
    }
    secured.cluster.start_all().await;
    secured.found();
    let cluster = &secured.cluster;
    for node in [0, 1] {
        cluster.ready(node).await;
    }
    let created = cluster.api(0).create("k", 1).await.with(201);
    for stranger in [2, 3] {
        for member in [0, 1] {
            let address = json!(format!("{}:9001", secured.hosts[member]));
            until("the stranger is refused", async || {
                let refused = cluster.nodes[stranger].events("peer_unreachable");
                let mut refused = refused.iter();
                refused.any(|event| event["peer"] == address).then_some(())
            })
            .await;
        }
        assert!(!cluster.api(stranger).is_ready().await);
        assert!(!cluster.nodes[stranger].holds_ciphertext());
    }
    let read = cluster.api(1).get_since("k", &created.version()).await;
    assert_eq!(read.with(200).body["value"], 1);
    for member in [0, 1] {
        let status = cluster.api(member).status().await;
        assert_eq!(status["total_nodes"], 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_last_a_hundred_days_and_after_four_hundred_nodes_serve_what_they_have() {
    let mut secured = Secured::founded(2).await;
    secured.cluster.api(0).create("k", 1).await.with(201);
    secured.cluster.converged().await;
    for node in [0, 1] {
        secured.cluster.nodes[node].stop().await;
        secured.cluster.skew_clock(node, 100 * DAY_MILLIS);
    }
    secured.cluster.start_all().await;
    secured.cluster.converged().await;
    for node in [0, 1] {
        secured.cluster.nodes[node].stop().await;
        secured.cluster.skew_clock(node, 400 * DAY_MILLIS);
    }
    secured.cluster.start_all().await;
    let cluster = &secured.cluster;
    secured.unreachable(0, 1, "certificate").await;
    secured.unreachable(1, 0, "certificate").await;
    cluster.all_ready().await;
    for (node, api) in cluster.apis().into_iter().enumerate() {
        assert_eq!(api.value("k").await, 1);
        api.create(&format!("alone-{node}"), 1).await.with(201);
        cluster.logged(node, "certificate_has_ended", 1).await;
        let told = cluster.nodes[node].events("certificate_has_ended");
        assert_eq!(told.len(), 1, "n{node}");
    }
    // A certificate that is renewed then is taken while both run.
    for node in [0, 1] {
        let names = [secured.hosts[node].as_str()];
        let pair = secured.authority.issue(&Leaf {
            names: &names,
            usages: OF_NODES,
            days: (399, 764),
        });
        secured.mount(node, &pair, &secured.authority.pem());
    }
    assert_eq!(cluster.converged().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_leaves_and_another_is_removed_by_commands_on_their_own_machines() {
    let mut secured = Secured::founded(3).await;
    let run = |secured: &Secured, node: usize, arguments: &[&str]| {
        secured.cluster.nodes[node].run_to_its_end(arguments)
    };
    assert_eq!(run(&secured, 0, &["members"]).0, Some(0));
    let (code, said) = run(&secured, 0, &["members", "remove", "n2"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("let it leave first"), "{said}");

    assert_eq!(run(&secured, 2, &["leave"]).0, Some(0));
    secured.cluster.state(2, "left").await;
    secured.cluster.nodes[2].stop().await;
    let (code, said) = run(&secured, 0, &["members", "remove", "n2"]);
    assert_eq!(code, Some(0), "{said}");

    secured.cluster.nodes[1].kill();
    let (code, said) = run(&secured, 0, &["members", "remove", "n1", "--force"]);
    assert_eq!(code, Some(0), "{said}");
    secured
        .cluster
        .status_until(0, "it is alone", |status| status["total_nodes"] == 0)
        .await;
    let (code, said) = run(&secured, 0, &["members", "remove", "n1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no other member 'n1'"), "{said}");
}
