//! A cluster of processes: started, bootstrapped, watched, and gone when the test ends.

use std::{sync::Once, time::Duration};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    api::{API_KEY, Answer, Api, CLUSTER_KEY},
    network::{Network, Way},
    node::Node,
    wait::until,
};

/// Clusters that run at one time: more would only slow each other down.
static TURNS: Semaphore = Semaphore::const_new(2);

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) folder: TempDir,
    client: Client,
    _turn: SemaphorePermit<'static>,
}

impl Cluster {
    /// Nodes that do not run yet, called n0, n1 and so on.
    pub(crate) async fn prepared(count: usize) -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let (folder, network) = (TempDir::new().unwrap(), Network::of(count).await);
        let addresses: Vec<_> = network.addresses.iter().map(ToString::to_string).collect();
        let nodes = (0..count)
            .map(|number| {
                let settings = [
                    ("OSC_HOST_PORT", "0".to_owned()),
                    ("OSC_API_KEY_REQUIRED", "true".to_owned()),
                    ("OSC_API_KEY", API_KEY.to_owned()),
                    ("OSC_CLUSTER_ENABLED", "true".to_owned()),
                    ("OSC_CLUSTER_KEY", CLUSTER_KEY.to_owned()),
                    ("OSC_CLUSTER_NODE_ID", format!("n{number}")),
                    ("OSC_CLUSTER_ID", "tests".to_owned()),
                    ("OSC_CLUSTER_NODES", addresses.join(",")),
                    // The stories search the log for names.
                    ("OSC_LOG_NAMES", "true".to_owned()),
                    // A node must not outlive a test that was killed.
                    ("OSC_STOP_ON_STDIN_EOF", "true".to_owned()),
                ]
                .map(|(name, value)| (name.to_owned(), value));
                let folder = folder.path().join(format!("n{number}"));
                Node::new(number, folder, settings.to_vec(), network.places())
            })
            .collect();
        Self {
            nodes,
            network,
            folder,
            client: client(),
            _turn: turn,
        }
    }

    /// Running nodes that belong to no cluster yet.
    pub(crate) async fn blank(count: usize) -> Self {
        let mut cluster = Self::prepared(count).await;
        cluster.start_all().await;
        cluster
    }

    /// A cluster that n0 bootstrapped and that all other nodes have joined.
    pub(crate) async fn bootstrapped(count: usize) -> Self {
        let cluster = Self::blank(count).await;
        cluster.bootstrap(0).await.with(200);
        cluster.all_ready().await;
        cluster
    }

    /// The same, with values that stay with the nodes that received them.
    pub(crate) async fn federated(count: usize) -> Self {
        let mut cluster = Self::prepared(count).await;
        for node in &mut cluster.nodes {
            node.set("OSC_CLUSTER_MODE", "federated");
        }
        cluster.start_all().await;
        cluster.bootstrap(0).await.with(200);
        cluster.all_ready().await;
        cluster
    }

    /// Running nodes; those of `part` do not reach the others.
    pub(crate) async fn split(count: usize, part: &[usize]) -> Self {
        let mut cluster = Self::prepared(count).await;
        cluster.cut_off(part);
        cluster.start_all().await;
        cluster
    }

    pub(crate) async fn start_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.runs()) {
            node.start().await;
        }
    }

    pub(crate) fn api(&self, node: usize) -> Api {
        Api::new(self.client.clone(), self.network.places(), node)
    }

    /// All nodes that run.
    pub(crate) fn apis(&self) -> Vec<Api> {
        let running = self.nodes.iter().filter(|node| node.runs());
        running.map(|node| self.api(node.number)).collect()
    }

    /// Instructs a node to bootstrap the cluster.
    pub(crate) async fn bootstrap(&self, node: usize) -> Answer {
        let api = self.api(node);
        let order = json!({"incarnation": api.incarnation().await});
        api.owner(Method::POST, "/cluster/bootstrap", Some(order))
            .await
    }

    pub(crate) async fn ready(&self, node: usize) {
        let api = self.api(node);
        until(&format!("n{node} is ready"), async || {
            api.is_ready().await.then_some(())
        })
        .await;
    }

    pub(crate) async fn all_ready(&self) {
        for node in self.nodes.iter().filter(|node| node.runs()) {
            self.ready(node.number).await;
        }
    }

    /// Waits until the details of a node's status are as wanted.
    pub(crate) async fn status_until(
        &self,
        node: usize,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let api = self.api(node);
        until(&format!("n{node}: {what}"), async || {
            Some(api.status().await).filter(&mut wanted)
        })
        .await
    }

    /// Waits until a node is in this state.
    pub(crate) async fn state(&self, node: usize, state: &str) {
        let what = format!("it is {state}");
        self.status_until(node, &what, |status| status["details"]["state"] == state)
            .await;
    }

    /// Waits until a node's log has this many events of a name; gives the last of them.
    pub(crate) async fn logged(&self, node: usize, event: &str, times: usize) -> Value {
        until(&format!("n{node} logs {event}"), async || {
            let events = self.nodes[node].events(event);
            events.get(times - 1).cloned()
        })
        .await
    }

    /// Waits until every running node has a version of an entry, or a later one.
    pub(crate) async fn everywhere(&self, key: &str, version: &str) {
        for api in self.apis() {
            until(&format!("{key} is on every node"), async || {
                let read = api.get_since(key, version).await;
                assert!([200, 503].contains(&read.status), "{}", read.body);
                (read.status == 200).then(|| assert!(*read.version() >= *version))
            })
            .await;
        }
    }

    /// Waits until a node sees this many healthy other nodes.
    pub(crate) async fn sees_healthy(&self, node: usize, others: usize) -> Value {
        let what = format!("{others} others are healthy");
        self.status_until(node, &what, |status| status["healthy_nodes"] == others)
            .await
    }

    /// Waits until every running node is ready and holds all rows of every other node; gives the list that all of them answer.
    pub(crate) async fn converged(&self) -> Vec<Value> {
        self.all_ready().await;
        let apis = self.apis();
        until("all nodes hold the same", async || {
            let mut lists = Vec::new();
            for api in &apis {
                let status = api.status().await;
                let others = status["details"]["members"].as_array().unwrap();
                let mut others = others.iter().filter(|other| other["reachable"] == true);
                if !others.all(|other| other["lag"] == 0 && other["behind"] == 0) {
                    return None;
                }
                let answer = api.get("/configs").await;
                if answer.status != 200 {
                    return None;
                }
                lists.push(answer.body.as_array().unwrap().clone());
            }
            let first = lists.pop().unwrap();
            lists.iter().all(|list| *list == first).then_some(first)
        })
        .await
    }

    /// Cuts nodes off from all others.
    pub(crate) fn cut_off(&self, nodes: &[usize]) {
        self.network.around(nodes, Way::Cut);
    }

    /// Sets how far a node's clock is ahead, in milliseconds; in force at its next start.
    pub(crate) fn skew_clock(&mut self, node: usize, milliseconds: i64) {
        self.load_faults(node);
        self.nodes[node].set("OSC_TEST_CLOCK_MS", &milliseconds.to_string());
    }

    /// Lets a node's writes fail for want of space, or succeed again. Before its first start, `false` prepares it.
    pub(crate) fn fill_disk(&mut self, node: usize, full: bool) {
        let marker = self.folder.path().join(format!("n{node}.full"));
        if full {
            std::fs::write(marker, "").unwrap();
        } else {
            let _ = std::fs::remove_file(&marker);
            self.load_faults(node);
            self.nodes[node].set("OSC_TEST_DISK_FULL", marker.to_str().unwrap());
        }
    }

    /// Lets a node start with the library that brings faults.
    fn load_faults(&mut self, node: usize) {
        let library = self.folder.path().join("faulty_system.so");
        if !library.exists() {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/faulty_system.c");
            let mut compile = std::process::Command::new("cc");
            compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
            assert!(compile.args([source, "-ldl"]).status().unwrap().success());
        }
        self.nodes[node].set("LD_PRELOAD", library.to_str().unwrap());
    }

    /// The salt, which all running nodes must share.
    pub(crate) async fn one_salt(&self) -> Vec<u8> {
        let mut salts = Vec::new();
        for api in self.apis() {
            salts.push(api.salt().await.unwrap());
        }
        salts.dedup();
        assert_eq!(salts.len(), 1, "there are two salts");
        salts.remove(0)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("{}", node.log_text());
            }
        }
    }
}

fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .unwrap();
    });
    Client::builder()
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .unwrap()
}
