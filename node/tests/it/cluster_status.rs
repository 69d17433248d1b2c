//! The status of a node and its cluster, to the byte: clients know the first members, operators read the details.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    free_port::free_port,
    node::{API_KEY, TestNode, client},
    process::Process,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";
const DETAILS: &str = "/cluster/status?details=true";

/// Reads a status; gives its text.
async fn status(url: &str, path: &str) -> String {
    let request = client().get(format!("{url}{path}"));
    let answer = request.header("X-API-Key", API_KEY).send().await.unwrap();
    answer.text().await.unwrap()
}

/// Reads the status again until the details are as expected; gives the text.
async fn until(node: &Process, what: &str, is_so: impl Fn(&Value) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = status(&node.url, DETAILS).await;
        let now: Value = serde_json::from_str(&text).unwrap();
        if is_so(&now["details"]) {
            return text;
        }
        assert!(Instant::now() < deadline, "{what}: never, but {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The text with a placeholder for every part that differs between two runs; no blanks, and no character that JSON libraries
/// write differently.
fn masked(text: &str) -> String {
    let mut status: Value = serde_json::from_str(text).unwrap();
    assert_eq!(status.to_string(), text, "another spelling");
    let details = &mut status["details"];
    mask(details);
    for member in details["members"].as_array_mut().unwrap() {
        mask(member);
    }
    for peer in details["unreachable_nodes"].as_array_mut().unwrap() {
        for (_, text) in peer.as_object_mut().unwrap() {
            *text = json!(text.as_str().map(|_| "TEXT"));
        }
    }
    for proof in details["api_keys"].as_array_mut().into_iter().flatten() {
        *proof = json!("PROOF");
    }
    status.to_string()
}

fn mask(node: &mut Value) {
    for (name, what) in [
        ("version", "VERSION"),
        ("incarnation", "INCARNATION"),
        ("cluster_uid", "UID"),
        ("salt_fingerprint", "SALT"),
        ("clock_offset_seconds", "SECONDS"),
    ] {
        if let Some(value) = node.get_mut(name).filter(|value| !value.is_null()) {
            let is_number = what == "SECONDS";
            assert_eq!(value.is_f64(), is_number, "{name} is {value}");
            *value = json!(what);
        }
    }
    // Whether there was a round yet is chance.
    if let Some(digest) = node["digest"].as_object() {
        let names: Vec<_> = digest.keys().collect();
        assert_eq!(names, ["before", "root", "mismatches"]);
    }
    node["digest"] = json!("DIGEST");
}

#[tokio::test]
async fn the_status_of_a_node_without_a_cluster() {
    let node = TestNode::start();
    let short = status(&node.url, "/cluster/status").await;
    assert_eq!(
        short,
        r#"{"enabled":false,"mode":null,"node_id":null,"total_nodes":null,"healthy_nodes":null}"#
    );
    let details = status(&node.url, DETAILS).await;
    assert_eq!(
        masked(&details),
        r#"{"enabled":false,"mode":null,"node_id":null,"total_nodes":null,"healthy_nodes":null,"details":{"version":"VERSION","incarnation":"INCARNATION","state":"standalone","cluster_uid":null,"ready":true,"reasons":[],"suspended":null,"fenced":null,"salt_fingerprint":"SALT","entries":0,"digest":"DIGEST","writes":"accepted","members":[],"unknown_nodes":0,"unreachable_nodes":[],"schema":3,"api_keys":null,"peer_proof":"accept","tls":null}}"#
    );
    node.stop().await;
}

#[tokio::test]
async fn the_status_of_a_node_beside_another_one() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let ports = [0, 1].map(|_| free_port("127.0.0.1").to_string());
    let list = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
    let start = |number: usize, name: &str| {
        let settings = [
            ("OSC_HOST_PORT", ports[number].as_str()),
            ("OSC_CLUSTER_ENABLED", "true"),
            ("OSC_CLUSTER_NODE_ID", name),
            ("OSC_CLUSTER_KEY", CLUSTER_KEY),
            ("OSC_CLUSTER_NODES", list.as_str()),
        ];
        Process::start(folders[number].path(), &settings)
    };
    let one = start(0, "one");
    // Until the node has reached itself, it counts its own address as that of an unknown node.
    let blank = until(&one, "it found itself and nobody else", |details| {
        details["unknown_nodes"] == 1 && details["unreachable_nodes"][0].is_object()
    })
    .await;
    let of_blank: Value = serde_json::from_str(&blank).unwrap();
    assert_eq!(
        masked(&blank),
        r#"{"enabled":true,"mode":"replica","node_id":"one","total_nodes":1,"healthy_nodes":0,"details":{"version":"VERSION","incarnation":"INCARNATION","state":"blank","cluster_uid":null,"ready":false,"reasons":["it belongs to no cluster: it joins when it reaches a ready member; a new cluster is bootstrapped with osc-node bootstrap"],"suspended":null,"fenced":null,"salt_fingerprint":null,"entries":0,"digest":"DIGEST","writes":"refused: not ready","members":[],"unknown_nodes":1,"unreachable_nodes":[{"address":"TEXT","error":"TEXT"}],"schema":3,"api_keys":["PROOF"],"peer_proof":"accept","tls":null}}"#
    );
    let order = client()
        .request(Method::POST, format!("{}/cluster/bootstrap", one.url))
        .header("X-Cluster-Key", CLUSTER_KEY)
        .json(&json!({ "incarnation": of_blank["details"]["incarnation"] }));
    assert!(order.send().await.unwrap().status().is_success());
    let _two = start(1, "two");
    let whole = until(&one, "the other one joined", |details| {
        let other = &details["members"][0];
        let is_reached = details["unreachable_nodes"] == json!([]);
        let serves = other["ready"] == true && other["healthy"] == true;
        is_reached && serves && other["state"] == "member" && other["lag"] == 0
    })
    .await;
    assert_eq!(
        masked(&whole),
        r#"{"enabled":true,"mode":"replica","node_id":"one","total_nodes":1,"healthy_nodes":1,"details":{"version":"VERSION","incarnation":"INCARNATION","state":"member","cluster_uid":"UID","ready":true,"reasons":[],"suspended":null,"fenced":null,"salt_fingerprint":"SALT","entries":0,"digest":"DIGEST","writes":"accepted","members":[{"name":"two","incarnation":"INCARNATION","state":"member","reachable":true,"healthy":true,"ready":true,"lag":0,"behind":0,"clock_offset_seconds":"SECONDS","version":"VERSION","salt_fingerprint":"SALT","entries":0,"digest":"DIGEST"}],"unknown_nodes":0,"unreachable_nodes":[],"schema":3,"api_keys":["PROOF"],"peer_proof":"accept","tls":null}}"#
    );
}
