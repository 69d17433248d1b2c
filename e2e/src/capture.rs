//! Packet captures on the cluster's machines, as an attacker on the network would make them.

use anyhow::ensure;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, ObjectList},
};
use serde_json::{Value, json};

use crate::{
    Stage, Workload,
    workload::{IMAGE, RunningScript},
};

/// Where a datagram ends a capture.
const END: u16 = 19_001;
const OPERATOR_NAMESPACE: &str = "opensecureconf-system";

/// Reads every packet of every interface, and searches each direction of each connection for words, also where two packets
/// share one. A datagram ends it, and it prints its findings.
const SCRIPT: &str = "
import json, os, socket
wires = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
words = {name: os.environ[name].encode() for name in ('API_KEY', 'CLUSTER_KEY', 'USER_KEY', 'VALUE')}
assert all(len(word) >= 8 for word in words.values())
ports, operators, end = (9000, 9001, 9002, 9443), set(os.environ['OPERATORS'].split()), int(os.environ['END'])
tails, packets, of_operator, found = {}, dict.fromkeys(ports, 0), 0, {port: {} for port in ports}
while True:
    packet, (interface, _, direction, *_) = wires.recvfrom(65535)
    if len(packet) < 28 or packet[0] >> 4 != 4:
        continue
    head = (packet[0] & 15) * 4
    length = int.from_bytes(packet[2:4], 'big') or len(packet)
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    both = [int.from_bytes(packet[head + at:head + at + 2], 'big') for at in (0, 2)]
    if packet[9] == 17 and both[1] == end:
        break
    if packet[9] != 6:
        continue
    payload = packet[head + (packet[head + 12] >> 4) * 4:length]
    for port in set(both) & set(ports):
        packets[port] += bool(payload)
        of_operator += bool(payload) and port == 9001 and not operators.isdisjoint((source, target))
        wire = (interface, direction, source, target, *both)
        seen = tails.get(wire, b'') + payload
        for name, word in words.items():
            if word in seen:
                found[port][name] = found[port].get(name, 0) + 1
        tails[wire] = seen[-512:]
print(json.dumps({'packets': packets, 'operator': of_operator, 'found': found}))
";

/// Sends each word over plain HTTP, the keys in the headers that they have. Port 9000 takes no orders and compares no cluster key.
const IN_CLEAR: &str = "
import http.client, os
node = http.client.HTTPConnection(os.environ['HOST'], 9000, timeout=10)
node.request('PUT', '/configs/in-clear', body=os.environ['VALUE'], headers={
    'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY'], 'X-Cluster-Key': os.environ['CLUSTER_KEY']})
print(node.getresponse().status)
";

/// The words that are looked for, as variables of a container.
fn words(cluster: &str, value: &str) -> Vec<Value> {
    let secret = |name: &str, key: &str| {
        let secret = format!("{cluster}-{key}");
        json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
    };
    vec![
        json!({ "name": "USER_KEY", "value": Workload::USER_KEY }),
        json!({ "name": "VALUE", "value": value }),
        secret("API_KEY", "api-key"),
        secret("CLUSTER_KEY", "cluster-key"),
    ]
}

/// A capture on each machine of the cluster.
#[derive(Debug)]
pub struct Capture<'a> {
    stage: &'a Stage,
    running: Vec<RunningScript<'a>>,
    machines: Vec<String>,
}

/// The findings of all machines.
#[derive(Debug, Default)]
pub struct Captured {
    per_machine: Vec<Value>,
}

impl<'a> Capture<'a> {
    /// Starts to search for the keys of a cluster and for a value. The cluster's Secrets must exist.
    pub async fn start(stage: &'a Stage, cluster: &str, value: &str) -> anyhow::Result<Self> {
        let operators: Api<Pod> = Api::namespaced(stage.client.clone(), OPERATOR_NAMESPACE);
        // Any of them may lead.
        let operators: Vec<_> = operators
            .list(&ListParams::default().labels("app.kubernetes.io/name=opensecureconf-operator"))
            .await?
            .iter()
            .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
            .collect();
        ensure!(!operators.is_empty(), "no operator runs");
        let nodes: Api<Node> = Api::all(stage.client.clone());
        let nodes: ObjectList<Node> = nodes.list(&ListParams::default()).await?;
        let mut variables = words(cluster, value);
        variables.push(json!({ "name": "OPERATORS", "value": operators.join(" ") }));
        variables.push(json!({ "name": "END", "value": END.to_string() }));
        let pod = |node: &Node| {
            json!({
                "metadata": { "generateName": "capture-" },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "hostNetwork": true,
                    "nodeName": node.name_any(),
                    "containers": [{
                        "name": "python",
                        "image": IMAGE,
                        "command": ["/usr/bin/python3", "-c", SCRIPT],
                        "securityContext": { "runAsUser": 0, "capabilities": { "add": ["NET_RAW"] } },
                        "env": variables,
                    }],
                },
            })
        };
        let started = nodes
            .iter()
            .map(|node| RunningScript::start(stage, pod(node)));
        let addresses = nodes.iter().filter_map(|node| {
            let mut addresses = node
                .status
                .iter()
                .flat_map(|status| status.addresses.iter().flatten());
            addresses
                .find(|address| address.type_ == "InternalIP")
                .map(|address| address.address.clone())
        });
        Ok(Self {
            stage,
            running: try_join_all(started).await?,
            machines: addresses.collect(),
        })
    }

    /// Sends all the words in clear to port 9000 of a cluster that serves: a capture that misses them there would miss them
    /// elsewhere too.
    pub async fn control(&self, cluster: &str, value: &str) -> anyhow::Result<()> {
        let host = format!("{cluster}.{}.svc", self.stage.namespace);
        let mut variables = words(cluster, value);
        variables.push(json!({ "name": "HOST", "value": host }));
        let pod = json!({
            "metadata": { "generateName": "in-clear-" },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "python",
                    "image": IMAGE,
                    "command": ["/usr/bin/python3", "-c", IN_CLEAR],
                    "env": variables,
                }],
            },
        });
        RunningScript::start(self.stage, pod).await?.end().await?;
        Ok(())
    }

    /// Ends the capture; `cluster` is any cluster whose Secrets a workload can mount.
    pub async fn end(self, cluster: &str) -> anyhow::Result<Captured> {
        let Self {
            stage,
            running,
            machines,
        } = self;
        let script = format!(
            "
import socket
for machine in {machines:?} * 3:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'end', (machine, {END}))
"
        );
        Workload { stage, cluster }.run(&script).await?;
        let mut per_machine = Vec::new();
        for script in running {
            per_machine.push(serde_json::from_str(script.end().await?.trim())?);
        }
        ensure!(
            per_machine.len() == machines.len(),
            "a machine was not looked at"
        );
        Ok(Captured { per_machine })
    }
}

impl Captured {
    /// How many packets with a payload went from or to a port.
    pub fn packets(&self, port: u16) -> u64 {
        self.sum(&format!("/packets/{port}"))
    }

    /// How many of the packets of port 9001 went to or from the operator.
    pub fn of_operator(&self) -> u64 {
        self.sum("/operator")
    }

    /// How often a word was seen at a port: `API_KEY`, `CLUSTER_KEY`, `USER_KEY` or `VALUE`.
    pub fn seen(&self, port: u16, word: &str) -> u64 {
        self.sum(&format!("/found/{port}/{word}"))
    }

    fn sum(&self, pointer: &str) -> u64 {
        let found = self.per_machine.iter();
        found
            .filter_map(|machine| machine.pointer(pointer)?.as_u64())
            .sum()
    }
}
