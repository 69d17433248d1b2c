//! A node that has left joins again while another operator wants fewer nodes: the StatefulSet decides which of both happens. No
//! operator instructs nodes before it leads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use opensecureconf_contract::Salt;
use opensecureconf_operator::{
    cluster::{
        context::Context,
        reconcile::reconcile_cluster,
        resource::{OpenSecureConfCluster, RebuildMember},
    },
    leader::Leadership,
    metrics::Metrics,
    node::{AdminCommand, CommandError, MemberState, NodeDetails, NodeMember, SimulatedNodes},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, reconcile},
    resource,
    volumes::{change, owner},
};

const LET_IN: &str = "opensecureconf.io/let-in";
const LIFE: &str = "0000000000000001";
const NEXT_LIFE: &str = "0000000000000002";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ops/leases/operator";

/// Nodes that give scripted answers, and remember the orders that they got.
#[derive(Debug, Clone, Default)]
struct Nodes {
    answers: Arc<Mutex<BTreeMap<&'static str, NodeDetails>>>,
    orders: Arc<Mutex<Vec<String>>>,
}

impl Nodes {
    /// The first node serves and knows the second one, with this incarnation in this state.
    fn are(&self, state: MemberState, incarnation: &str) {
        let own = |state, incarnation: &str| NodeDetails {
            incarnation: incarnation.to_owned(),
            state,
            cluster_uid: Some("f".to_owned()),
            ready: state == MemberState::Member,
            schema: Some(1),
            ..NodeDetails::default()
        };
        let first = NodeDetails {
            members: vec![NodeMember {
                name: "demo-1".to_owned(),
                incarnation: incarnation.to_owned(),
                state,
                ..NodeMember::default()
            }],
            ..own(MemberState::Member, "0000000000000000")
        };
        let mut answers = self.answers.lock().unwrap();
        answers.insert("demo-0", first);
        answers.insert("demo-1", own(state, incarnation));
    }

    /// The orders since the last call.
    fn ordered(&self) -> Vec<String> {
        std::mem::take(&mut *self.orders.lock().unwrap())
    }
}

impl SimulatedNodes for Nodes {
    fn status<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<NodeDetails>> {
        let name = address.split('.').next().unwrap();
        let answer = self.answers.lock().unwrap().get(name).cloned();
        Box::pin(async { answer })
    }

    fn salt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Salt>> {
        Box::pin(async { None })
    }

    fn command<'a>(
        &'a self,
        address: &'a str,
        command: &'a AdminCommand<'a>,
    ) -> BoxFuture<'a, Result<(), CommandError>> {
        let name = address.split('.').next().unwrap();
        let order = format!("{name}: {}", command.path());
        self.orders.lock().unwrap().push(order);
        Box::pin(async { Ok(()) })
    }
}

/// A cluster of two nodes that serve.
async fn two_nodes() -> (ApiServer, Nodes, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let nodes = Nodes::default();
    let context = context.answered_by(Arc::new(nodes.clone()));
    let mut cluster = resource(ONE_NODE);
    cluster.spec.replicas = 2;
    reconcile(&server, &mut cluster, &context).await;
    nodes.are(MemberState::Member, LIFE);
    for ordinal in 0..2 {
        run(&server, ordinal);
    }
    for _ in 0..2 {
        reconcile(&server, &mut cluster, &context).await;
    }
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["resourceVersion"] = json!("1");
    });
    nodes.ordered();
    (server, nodes, context, cluster)
}

/// The kubelet runs this pod.
fn run(server: &ApiServer, ordinal: usize) {
    let name = format!("demo-{ordinal}");
    server.put(
        &format!("{CORE}/pods/{name}"),
        json!({
            "metadata": { "name": name, "ownerReferences": [owner("StatefulSet", "demo")] },
            "status": {
                "podIP": format!("10.0.0.{ordinal}"),
                "conditions": [{ "type": "Ready", "status": "True" }],
                "containerStatuses": [{
                    "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
                }],
            },
        }),
    );
}

fn set(server: &ApiServer) -> Value {
    server.object(STATEFUL_SET).unwrap()
}

fn mark(server: &ApiServer) -> Value {
    set(server)["metadata"]["annotations"][LET_IN].clone()
}

#[tokio::test]
async fn a_node_that_has_left_is_let_in_again_once_that_is_marked_and_the_mark_goes_when_it_is_in()
{
    let (server, nodes, context, mut cluster) = two_nodes().await;
    nodes.are(MemberState::Left, LIFE);

    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(mark(&server), format!("demo-1/{LIFE}"));
    assert_eq!(nodes.ordered(), Vec::<String>::new(), "marked first");

    reconcile(&server, &mut cluster, &context).await;
    let removed =
        format!("demo-0: /cluster/members/demo%2D1/remove?incarnation={LIFE}&force=false");
    assert_eq!(nodes.ordered(), [removed]);

    nodes.are(MemberState::Joining, NEXT_LIFE);
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(mark(&server), Value::Null);
}

#[tokio::test]
async fn who_has_not_seen_the_mark_does_not_take_the_node_away() {
    let (server, nodes, context, mut cluster) = two_nodes().await;
    nodes.are(MemberState::Left, LIFE);
    let other = server.context().answered_by(Arc::new(nodes.clone()));
    // One operator's resource has two nodes, the other's has one, and that operator reads late.
    server.freeze(STATEFUL_SET);
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["resourceVersion"] = json!("2");
        set["metadata"]["annotations"][LET_IN] = json!(format!("demo-1/{LIFE}"));
    });
    cluster.spec.replicas = 1;

    drop(reconcile_cluster(&cluster, &other).await);
    assert_eq!(set(&server)["spec"]["replicas"], 2);

    // Now it reads the mark, and completes the marked operation.
    server.thaw();
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(set(&server)["spec"]["replicas"], 2);
    assert_eq!(nodes.ordered().len(), 1);
}

#[tokio::test]
async fn who_has_not_seen_that_a_node_is_taken_away_does_not_let_it_in() {
    let (server, nodes, context, mut cluster) = two_nodes().await;
    nodes.are(MemberState::Left, LIFE);
    server.freeze(STATEFUL_SET);
    change(&server, STATEFUL_SET, |set| {
        set["metadata"]["resourceVersion"] = json!("2");
        set["spec"]["replicas"] = json!(1);
    });

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(mark(&server), Value::Null);
    assert_eq!(nodes.ordered(), Vec::<String>::new());
}

#[tokio::test]
async fn nobody_tells_nodes_anything_before_he_leads() {
    let (server, nodes, context, mut cluster) = two_nodes().await;
    let metrics = Metrics::new().unwrap();
    let (leases, client) = ApiServer::for_client();
    let lease = ("ops", "operator");
    let mut leadership = Leadership::candidate(client, lease, "me".to_owned(), metrics);
    let context = context.acting_in(leadership.term());

    cluster.spec.replicas = 1;
    reconcile(&server, &mut cluster, &context).await;
    cluster.spec.replicas = 2;
    cluster.spec.rebuild_members = vec![RebuildMember {
        name: "demo-1".to_owned(),
        incarnation: LIFE.to_owned(),
        force: false,
    }];
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(nodes.ordered(), Vec::<String>::new());

    let leads = tokio::time::timeout(Duration::from_mins(1), leadership.acquire());
    leads.await.unwrap().unwrap();
    assert!(leases.object(LEASE).is_some());
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(nodes.ordered().len(), 1, "it leaves to be rebuilt");
    cluster.spec.rebuild_members.clear();
    cluster.spec.replicas = 1;
    reconcile(&server, &mut cluster, &context).await;
    assert_eq!(nodes.ordered().len(), 1, "it leaves to be taken away");
}
