//! The operator exchanges the clients' key step by step, without a refused caller, although its process ends at each step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use futures::future::BoxFuture;
use http::{Method, StatusCode};
use k8s_openapi::ByteString;
use opensecureconf_contract::Salt;
use opensecureconf_node::crypto::key_proof;
use opensecureconf_operator::{
    cluster::{context::Context, reconcile::reconcile_cluster, resource::OpenSecureConfCluster},
    node::{AdminCommand, CommandError, MemberState, NodeDetails, SimulatedNodes},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, STATUS, condition, has_condition, reconcile},
    resource,
};

const NODES: [&str; 2] = ["demo-0", "demo-1"];
const NONCE: &str = "opensecureconf.io/api-key-rotation";
const PHASE: &str = "opensecureconf.io/api-key-phase";

fn secret_path() -> String {
    format!("{CORE}/secrets/demo-api-key")
}

/// The lines of an entry of a Secret.
fn lines(server: &ApiServer, secret: &str, entry: &str) -> Vec<String> {
    let secret = server.object(&format!("{CORE}/secrets/{secret}")).unwrap();
    let data: Option<ByteString> = serde_json::from_value(secret["data"][entry].clone()).unwrap();
    let text = String::from_utf8(data.unwrap_or_default().0).unwrap();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn key(server: &ApiServer) -> Vec<String> {
    lines(server, "demo-api-key", "api-key")
}

pub(crate) fn beside(server: &ApiServer) -> Vec<String> {
    lines(server, "demo-api-key", "api-key-previous")
}

fn annotation(server: &ApiServer, name: &str) -> Value {
    server.object(&secret_path()).unwrap()["metadata"]["annotations"][name].clone()
}

/// Nodes that accept the keys in the files that the kubelet has mounted.
#[derive(Clone)]
pub(crate) struct Nodes {
    server: ApiServer,
    /// The keys that each accepts.
    files: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nodes")
    }
}

impl Nodes {
    pub(crate) fn mount(&self, node: &str) {
        let keys = key(&self.server).into_iter().chain(beside(&self.server));
        let keys = keys.collect();
        self.files.lock().unwrap().insert(node.to_owned(), keys);
    }

    pub(crate) fn mount_all(&self) {
        for node in NODES {
            self.mount(node);
        }
    }

    pub(crate) fn accept(&self, key: &str) -> bool {
        let files = self.files.lock().unwrap();
        files.values().all(|keys| keys.contains(key))
    }

    fn details(&self, address: &str) -> Option<NodeDetails> {
        let name = address.split('.').next().unwrap();
        let cluster_key = lines(&self.server, "demo-cluster-key", "cluster-key").remove(0);
        let files = self.files.lock().unwrap();
        let proofs = files.get(name)?.iter().map(|key| {
            let digest = Sha256::digest(key).into();
            key_proof(cluster_key.as_bytes(), &digest).unwrap()
        });
        Some(NodeDetails {
            incarnation: format!("000000000000000{}", &name[name.len() - 1..]),
            state: MemberState::Member,
            cluster_uid: Some("f".to_owned()),
            ready: true,
            schema: Some(1),
            api_keys: Some(proofs.collect()),
            ..NodeDetails::default()
        })
    }
}

impl SimulatedNodes for Nodes {
    fn status<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<NodeDetails>> {
        Box::pin(async move { self.details(address) })
    }

    fn salt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Salt>> {
        Box::pin(async { None })
    }

    fn command<'a>(
        &'a self,
        _: &'a str,
        _: &'a AdminCommand<'a>,
    ) -> BoxFuture<'a, Result<(), CommandError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A cluster of two nodes that run with the key that was made.
pub(crate) async fn running() -> (ApiServer, Nodes, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.replicas = 2;
    reconcile(&server, &mut cluster, &context).await;
    let nodes = Nodes {
        server: server.clone(),
        files: Arc::default(),
    };
    nodes.mount_all();
    for (number, node) in (1..).zip(NODES) {
        let pod = json!({
            "metadata": { "name": node, "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo", "uid": format!("uid of {STATEFUL_SET}") },
            ] },
            "status": {
                "podIP": format!("10.0.0.{number}"),
                "containerStatuses": [{
                    "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
                }],
            },
        });
        server.put(&format!("{CORE}/pods/{node}"), pod);
    }
    let context = context.answered_by(Arc::new(nodes.clone()));
    reconcile(&server, &mut cluster, &context).await;
    (server, nodes, context, cluster)
}

/// Whether the condition holds, and why.
fn told(server: &ApiServer) -> (String, String) {
    let condition = condition(server, "ApiKeyRotated");
    let text = |field: &str| condition[field].as_str().unwrap().to_owned();
    (text("status"), text("reason"))
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

/// A user ends the previous key, as the condition advises.
fn end(server: &ApiServer) {
    let mut secret = server.object(&secret_path()).unwrap();
    let data = secret["data"].as_object_mut().unwrap();
    data.remove("api-key-previous").unwrap();
    server.put(&secret_path(), secret);
}

#[tokio::test]
async fn a_key_is_exchanged_step_by_step_and_no_pod_restarts() {
    let (server, nodes, context, mut cluster) = running().await;
    assert!(!has_condition(&server, "ApiKeyRotated"), "nobody asked");
    let (old, set) = (key(&server), server.object(STATEFUL_SET));

    cluster.spec.api_key.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(key(&server), old, "callers read the old one");
    let new = beside(&server).remove(1);
    assert_eq!(beside(&server), [old[0].clone(), new.clone()]);
    assert_eq!(annotation(&server, PHASE), "Distributing");
    assert_eq!(annotation(&server, NONCE), "2027");
    assert_eq!(told(&server), is("False", "KeyDistributing"));

    // One node has the new key, the other one not.
    nodes.mount("demo-0");
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(key(&server), old);
    let message = condition(&server, "ApiKeyRotated")["message"].clone();
    let message = message.as_str().unwrap();
    assert!(
        message.contains("given to demo-1;"),
        "who has it is not waited for: {message}"
    );

    nodes.mount("demo-1");
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(key(&server), std::slice::from_ref(&new));
    assert!(nodes.accept(&old[0]) && nodes.accept(&new));
    assert_eq!(told(&server), is("True", "PreviousKeyAccepted"));
    nodes.mount_all();
    assert!(nodes.accept(&old[0]) && nodes.accept(&new));
    server.writes();
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }
    let writes = server.writes();
    assert!(
        !writes.iter().any(|write| write.contains("/secrets/")),
        "{writes:?}"
    );

    end(&server);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(told(&server), is("True", "PreviousKeyLeaving"));
    nodes.mount_all();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(told(&server), is("True", "KeyRotated"));
    assert_eq!(annotation(&server, PHASE), Value::Null);
    assert!(!nodes.accept(&old[0]) && nodes.accept(&new));
    assert_eq!(key(&server), [new]);
    let template = |set: Option<Value>| set.unwrap()["spec"]["template"].clone();
    assert_eq!(template(server.object(STATEFUL_SET)), template(set));
    let notes = server.notes();
    let callers = "callers find another API key in Secret demo-api-key";
    assert!(notes.iter().any(|note| note == callers), "{notes:?}");
}

#[tokio::test]
async fn an_operator_that_ends_at_any_step_is_followed_by_one_that_goes_on() {
    for is_done in [false, true] {
        let (server, nodes, context, mut cluster) = running().await;
        let (old, mut made) = (key(&server), BTreeSet::new());
        cluster.spec.api_key.rotate = Some("2027".to_owned());
        for expected in ["Distributing", "Exchanged", "Ending", "none"] {
            if expected == "Ending" {
                end(&server);
            }
            let path = secret_path();
            if is_done {
                server.lose_answer(Method::PATCH, &path);
            } else {
                server.refuse(Method::PATCH, &path, StatusCode::SERVICE_UNAVAILABLE);
            }
            let ended = reconcile_cluster(&cluster, &context).await;
            assert!(ended.is_err(), "before {expected}");
            assert!(nodes.accept(&key(&server)[0]), "before {expected}");

            // Another process, without the memory of the first.
            let context = server.context().answered_by(Arc::new(nodes.clone()));
            if !is_done {
                reconcile(&server, &mut cluster, &context).await;
            }
            let phase = annotation(&server, PHASE);
            assert_eq!(phase.as_str().unwrap_or("none"), expected);
            made.extend(key(&server).into_iter().chain(beside(&server)));
            assert!(nodes.accept(&key(&server)[0]), "after {expected}");
            nodes.mount_all();
        }
        assert_eq!(made.len(), 2, "one new key was made");
        assert_ne!(key(&server), old);
        assert_eq!(beside(&server), [""; 0]);
    }
}

#[tokio::test]
async fn an_operator_that_reads_what_is_no_more_so_changes_nothing() {
    let (server, nodes, context, mut cluster) = running().await;
    let mut secret = server.object(&secret_path()).unwrap();
    secret["metadata"]["resourceVersion"] = json!("7");
    server.put(&secret_path(), secret);
    server.freeze(&secret_path());
    cluster.spec.api_key.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    let given = beside(&server);
    // The operator still reads a Secret without an exchange.
    assert!(reconcile_cluster(&cluster, &context).await.is_err());
    assert_eq!(beside(&server), given);
    server.thaw();
    nodes.mount_all();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(key(&server), given[1..]);
}

#[tokio::test]
async fn a_key_that_is_made_for_a_nonce_is_not_changed_for_it() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    cluster.spec.api_key.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    let made = key(&server);
    for _ in 0..3 {
        reconcile(&server, &mut cluster, &context).await;
    }
    assert_eq!(key(&server), made);
    assert_eq!(beside(&server), [""; 0]);
    assert_eq!(told(&server), is("True", "KeyRotated"));
}

#[tokio::test]
async fn a_node_that_proves_nothing_is_named_and_nothing_is_exchanged_while_paused() {
    let (server, nodes, context, mut cluster) = running().await;
    let old = key(&server);
    cluster.spec.api_key.rotate = Some("2027".to_owned());
    cluster.spec.paused = true;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(told(&server), is("False", "Paused"));
    assert_eq!(beside(&server), [""; 0]);
    let paused = condition(&server, "Paused")["message"].clone();
    assert!(paused.as_str().unwrap().contains("the API key is changed"));

    cluster.spec.paused = false;
    reconcile(&server, &mut cluster, &context).await;
    nodes.files.lock().unwrap().remove("demo-1");
    nodes.mount("demo-0");
    let mut secret = server.object(&secret_path()).unwrap();
    let since = &mut secret["metadata"]["annotations"]["opensecureconf.io/api-key-phase-since"];
    *since = json!("2026-01-01T00:00:00Z");
    server.put(&secret_path(), secret);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(told(&server), is("False", "KeyNotDistributed"));
    let message = condition(&server, "ApiKeyRotated")["message"].clone();
    assert!(message.as_str().unwrap().contains("waits for demo-1,"));
    assert_eq!(key(&server), old);
}

#[tokio::test]
async fn the_status_tells_which_keys_each_node_accepts_and_its_schema() {
    let (server, nodes, context, mut cluster) = running().await;
    cluster.spec.api_key.rotate = Some("2027".to_owned());
    reconcile(&server, &mut cluster, &context).await;
    nodes.mount("demo-0");
    reconcile(&server, &mut cluster, &context).await;
    let status = server.object(STATUS).unwrap()["status"].clone();
    let members = status["members"].as_array().unwrap();
    let accepted: Vec<_> = members
        .iter()
        .map(|member| member["apiKeyFingerprints"].as_array().unwrap().len())
        .collect();
    assert_eq!(accepted, [2, 1]);
    assert_eq!(members[0]["schema"], 1);
    let text = status.to_string();
    for key in key(&server).iter().chain(&beside(&server)) {
        assert!(!text.contains(key));
    }
}
