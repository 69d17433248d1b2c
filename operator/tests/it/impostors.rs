//! Impostors at a pod's address: programs that answer like a healthy node, and that are none of the cluster. The operator shows
//! them no key, gives them no order, counts them as no node, and says what is wrong.

mod impostor;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use opensecureconf_operator::{
    cluster::{context::Context, resource::OpenSecureConfCluster},
    names::PEERS_PORT,
    node::{AccessKey, AdminCommand, NodeClient, NodeClients},
    pki::{AltNames, Authority, Leaf, StoredPki},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    authority_exchange::operator_at,
    node_contract::{API_KEY, CLUSTER_KEY},
    reconcile::{CORE, STATUS, condition, reconcile},
    resource,
    standstill::{message, stored_pki},
    volumes::change,
};
use impostor::{Impostor, Says, Speaks};

const POD: &str = "demo-0.demo-nodes.team.svc";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A cluster whose pod runs at this address and, for Kubernetes, serves.
async fn cluster_at(address: &str) -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    for (secret, entry, key) in [
        ("demo-api-key", "api-key", API_KEY),
        ("demo-cluster-key", "cluster-key", CLUSTER_KEY),
    ] {
        let path = format!("{CORE}/secrets/{secret}");
        let mut secret = server.object(&path).unwrap();
        secret["data"][entry] = json!(ByteString(key.into()));
        server.put(&path, secret);
    }
    let set = "uid of /apis/apps/v1/namespaces/team/statefulsets/demo";
    server.put(
        &format!("{CORE}/pods/demo-0"),
        json!({
            "metadata": { "name": "demo-0", "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo", "uid": set },
            ] },
            "status": { "podIP": address, "conditions": [{ "type": "Ready", "status": "True" }] },
        }),
    );
    server.writes();
    (server, context, cluster)
}

/// A loopback address of this process and this test: all pods have the same port.
fn address(test: u8) -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{test}.{high}.{low}")
}

fn names(names: &[&str]) -> AltNames {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Certificates that are not those of a node of this cluster, and what the status says of each.
fn foreign(pki: &StoredPki) -> Vec<(&'static str, Leaf, &'static str)> {
    let now = Timestamp::now();
    let own = pki.authority.as_ref().unwrap();
    // With the name of ours.
    let other = Authority::create("team/demo", own.created()).unwrap();
    let leaf = |names_of: &[&str], at| own.issue_node_leaf(&names(names_of), at).unwrap();
    let of_another = "shows a certificate that no authority of this cluster has signed";
    let other_name = "shows a certificate that is not for this pod's name";
    vec![
        (
            "of another authority",
            other.issue_node_leaf(&names(&[POD]), now).unwrap(),
            of_another,
        ),
        (
            "of another cluster's nodes",
            leaf(&["*.other-nodes.team.svc", "localhost"], now),
            other_name,
        ),
        (
            "of the same cluster in another namespace",
            leaf(&["*.demo-nodes.shop.svc"], now),
            other_name,
        ),
        (
            "of the client Service alone",
            leaf(&["demo", "demo.team.svc"], now),
            other_name,
        ),
        (
            "of the operator",
            own.issue_operator_leaf(now).unwrap(),
            "shows a certificate that is for clients alone",
        ),
        (
            "that has ended",
            leaf(&[POD], now - DAY * 400),
            "shows a certificate that has ended",
        ),
        (
            "that has not begun",
            leaf(&[POD], now + DAY * 2),
            "shows a certificate that has not begun",
        ),
    ]
}

/// What the operator reports while this impostor is there, and what the impostor was sent.
async fn met(speaks: Speaks, place: &str, cluster: &mut Met) -> Report {
    let impostor = Impostor::start(place, speaks);
    let Met {
        server,
        context,
        cluster,
    } = cluster;
    reconcile(server, cluster, context).await;
    let status = server.object(STATUS).unwrap()["status"].clone();
    let salt = server.object(&format!("{CORE}/secrets/demo-salt")).unwrap();
    Report {
        conditions: ["Ready", "TlsReady", "Replicated", "SaltMatches"]
            .map(|type_| condition(server, type_)),
        is_reachable: status["members"][0]["reachable"] == true,
        is_marked: salt["metadata"]["annotations"]["opensecureconf.io/bootstrap-incarnation"]
            .as_str()
            .is_some_and(|incarnation| !incarnation.is_empty()),
        seen: impostor.stop(),
    }
}

struct Met {
    server: ApiServer,
    context: Context,
    cluster: OpenSecureConfCluster,
}

impl Met {
    /// Before the first impostor, at this address.
    async fn at(place: &str) -> Self {
        let (server, context, cluster) = cluster_at(place).await;
        Self {
            server,
            context,
            cluster,
        }
    }
}

struct Report {
    /// `Ready`, `TlsReady`, `Replicated`, `SaltMatches`.
    conditions: [Value; 4],
    is_reachable: bool,
    /// Whether the node is to bootstrap the cluster.
    is_marked: bool,
    seen: impostor::Seen,
}

impl Report {
    /// Nothing went to the impostor, and it is taken for no node.
    fn assert_left_alone(&self, what: &str) {
        assert!(self.seen.connections > 0, "{what}: it was never called");
        assert_nothing_shown(&self.seen, what);
        assert!(!self.is_reachable && !self.is_marked, "{what}");
        let [ready, tls, replicated, salt] = &self.conditions;
        assert_eq!(ready["status"], "False", "{what}: {ready}");
        assert_ne!(tls["status"], "True", "{what}: {tls}");
        assert_eq!(replicated["status"], "Unknown", "{what}: {replicated}");
        assert_eq!(salt["status"], "Unknown", "{what}: {salt}");
    }

    /// The status names the fault, and the step.
    fn assert_told(&self, what: &str, words: &str) {
        let [ready, tls, replicated, _] = &self.conditions;
        assert_eq!(tls["status"], "False", "{what}: {tls}");
        for condition in [ready, tls, replicated] {
            assert_eq!(condition["reason"], "NodeNotVerified", "{what}");
            let message = message(condition);
            let begin = format!("what answers at the address of demo-0 {words}");
            assert!(message.contains(&begin), "{what}: {message}");
            assert!(
                message.contains("`kubectl logs demo-0 -n team -c node`"),
                "{what}: {message}"
            );
            // A node that refuses the operator may be right.
            assert_eq!(
                message.contains("`kubectl delete pod demo-0 -n team --wait=false`"),
                !words.contains("ends the handshake"),
                "{what}: {message}"
            );
        }
    }
}

fn assert_nothing_shown(seen: &impostor::Seen, what: &str) {
    assert_eq!(
        String::from_utf8_lossy(&seen.inside),
        "",
        "{what}: it was sent a request"
    );
    let holds = |part: &str| {
        let mut windows = seen.outside.windows(part.len());
        windows.any(|window| window == part.as_bytes())
    };
    for part in [API_KEY, CLUSTER_KEY, "HTTP/1.1", "/cluster/"] {
        assert!(!holds(part), "{what}: it was sent {part}");
    }
}

// On more than one thread: the impostor answers while the operator waits.
#[tokio::test(flavor = "multi_thread")]
async fn who_shows_another_certificate_at_a_pods_address_is_no_node() {
    let place = address(78);
    let mut story = Met::at(&place).await;
    let pki = stored_pki(&story.server);
    for (what, leaf, words) in foreign(&pki) {
        let report = met(Speaks::Tls(Box::new(leaf)), &place, &mut story).await;
        report.assert_left_alone(what);
        report.assert_told(what, words);
    }

    let notes = story.server.notes();
    let announced = |note: &String| note.starts_with("what answers at the address of demo-0 ");
    assert!(notes.iter().any(announced), "{notes:?}");

    // The same program with the nodes' leaf is asked: what it says would have counted.
    let leaf = pki.leaf.clone().unwrap();
    let report = met(Speaks::Tls(Box::new(leaf)), &place, &mut story).await;
    assert!(report.is_reachable, "{:?}", report.conditions);
    let asked = String::from_utf8_lossy(&report.seen.inside).into_owned();
    assert!(
        asked.contains(API_KEY) && asked.contains(CLUSTER_KEY),
        "{asked}"
    );
}

/// All nodes of a cluster have one certificate: a node's own word tells which one it is.
#[tokio::test(flavor = "multi_thread")]
async fn another_node_of_the_cluster_at_a_pods_address_is_not_that_pods_node() {
    let place = address(83);
    let mut story = Met::at(&place).await;
    let leaf = stored_pki(&story.server).leaf.unwrap();
    let speaks = |says: Says| Speaks::Node(Box::new(leaf.clone()), Box::new(says));
    for (what, name, cluster_uid, words) in [
        (
            "a member of another name",
            Some("demo-1"),
            Some("f"),
            "says that it is node demo-1",
        ),
        (
            "a blank node of another name",
            Some("demo-1"),
            None,
            "says that it is node demo-1",
        ),
        (
            "a node without a name",
            None,
            Some("f"),
            "does not say which node it is",
        ),
    ] {
        let says = Says {
            name,
            cluster_uid,
            ..Says::MEMBER
        };
        let report = met(speaks(says), &place, &mut story).await;
        assert!(!report.is_reachable && !report.is_marked, "{what}");
        let asked = String::from_utf8_lossy(&report.seen.inside).into_owned();
        assert!(!asked.contains("POST "), "{what}: {asked}");
        report.assert_told(what, words);
        assert_ne!(report.conditions[0]["status"], "True", "{what}");
    }

    let report = met(speaks(Says::MEMBER), &place, &mut story).await;
    assert!(report.is_reachable, "{:?}", report.conditions);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_to_bootstrap_is_for_one_incarnation_and_no_other_one_gets_it() {
    let place = address(84);
    let mut story = Met::at(&place).await;
    let leaf = stored_pki(&story.server).leaf.unwrap();
    let blank = |incarnation: &'static str| {
        let says = Says {
            incarnation,
            cluster_uid: None,
            ..Says::MEMBER
        };
        Speaks::Node(Box::new(leaf.clone()), Box::new(says))
    };
    let orders = |report: &Report| {
        let asked = String::from_utf8_lossy(&report.seen.inside).into_owned();
        asked.matches("POST /cluster/bootstrap").count()
    };
    let first = met(blank("aaaaaaaaaaaaaaaa"), &place, &mut story).await;
    assert!(first.is_marked);
    assert_eq!(orders(&first), 1);
    let asked = String::from_utf8_lossy(&first.seen.inside).into_owned();
    assert!(
        asked.contains(r#"{"incarnation":"aaaaaaaaaaaaaaaa"}"#),
        "{asked}"
    );

    // The same name, the same certificate, another database.
    let other = met(blank("bbbbbbbbbbbbbbbb"), &place, &mut story).await;
    assert_eq!(orders(&other), 0);
    let ready = &other.conditions[0];
    assert_eq!(ready["reason"], "BootstrapNodeLost", "{ready}");

    let again = met(blank("aaaaaaaaaaaaaaaa"), &place, &mut story).await;
    assert_eq!(orders(&again), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_at_a_pods_address_is_no_node() {
    let place = address(79);
    let mut story = Met::at(&place).await;
    for (what, speaks) in [
        ("answers before it is asked", Speaks::Http),
        ("repeats what it gets", Speaks::Echo),
    ] {
        let report = met(speaks, &place, &mut story).await;
        report.assert_left_alone(what);
        report.assert_told(what, "does not speak TLS as a node does");
    }
    for (what, speaks) in [
        ("says nothing", Speaks::Nothing),
        ("hangs up", Speaks::HangsUp),
    ] {
        let report = met(speaks, &place, &mut story).await;
        report.assert_left_alone(what);
        let ready = &report.conditions[0];
        assert_eq!(ready["reason"], "NodesUnreachable", "{what}");
        assert!(
            message(ready).contains("look at network policies"),
            "{ready}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_gets_no_order_and_gives_no_salt() {
    let place = address(80);
    let (server, _, _) = cluster_at(&place).await;
    let pki = stored_pki(&server);
    let (http, addresses) = NodeClients::default()
        .get(("team", "demo"), &pki, Timestamp::now())
        .unwrap()
        .unwrap();
    addresses.set([(POD.to_owned(), place.parse().unwrap())].into());
    let key = |key: &str| Some(AccessKey(key.into()));
    let client = NodeClient::over_tls(http, key(API_KEY), key(CLUSTER_KEY));
    let node = format!("{POD}:{PEERS_PORT}");
    let speaks = foreign(&pki)
        .into_iter()
        .map(|(what, leaf, _)| (what, Speaks::Tls(Box::new(leaf))));
    for (what, speaks) in speaks.chain([("without TLS", Speaks::Http), ("echo", Speaks::Echo)]) {
        let impostor = Impostor::start(&place, speaks);
        let bootstrap = AdminCommand::Bootstrap { incarnation: "a" };
        for order in [bootstrap, AdminCommand::Leave] {
            assert!(client.command(&node, &order).await.is_err(), "{what}");
        }
        assert!(client.salt(&node).await.is_none(), "{what}");
        assert!(!client.is_ready(&node).await, "{what}");
        let seen = impostor.stop();
        assert_eq!(seen.connections, 4, "{what}");
        assert_nothing_shown(&seen, what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_the_operators_certificate_is_named() {
    let place = address(81);
    let mut story = Met::at(&place).await;
    let pki = stored_pki(&story.server);
    let other = Authority::create("team/other", Timestamp::now()).unwrap();
    let speaks = Speaks::MutualTls(
        Box::new(pki.leaf.clone().unwrap()),
        Box::new(other.certificate),
    );
    let report = met(speaks, &place, &mut story).await;
    assert!(!report.is_reachable);
    assert_eq!(report.seen.inside, b"", "it never came to a request");
    report.assert_told(
        "another authority for callers",
        "ends the handshake with the operator",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_node_that_lacks_the_newest_authority_its_lack_is_told() {
    let place = address(82);
    let mut story = Met::at(&place).await;
    change(&story.server, &format!("{CORE}/pods/demo-0"), |pod| {
        pod["status"]["containerStatuses"] = json!([{
            "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
        }]);
    });
    let before = stored_pki(&story.server);
    // With its key: the operator's certificate is of the next one from now on.
    story.server.remove(&format!("{CORE}/secrets/demo-node-ca"));
    let node = || {
        Speaks::MutualTls(
            Box::new(before.leaf.clone().unwrap()),
            Box::new(before.authority.clone().unwrap().certificate),
        )
    };
    let remedy = "`kubectl delete pod demo-0 -n team --wait=false`";
    for (what, minutes, reason) in [
        ("before the next authority is made", 0, "NodesUnreachable"),
        ("while a Secret may be on its way", 1, "NodeNotVerified"),
        ("after ten minutes", 11, "AuthorityNotDistributed"),
    ] {
        let now = Timestamp::now() + SignedDuration::from_mins(minutes);
        story.context = operator_at(&story.server, now);
        let report = met(node(), &place, &mut story).await;
        assert!(!report.is_reachable, "{what}");
        let [ready, tls, ..] = &report.conditions;
        assert_eq!(tls["reason"], reason, "{what}: {tls}");
        if minutes > 0 {
            assert!(message(ready).contains(remedy), "{what}: {ready}");
            let step = if minutes > 10 {
                "delete the pod"
            } else {
                remedy
            };
            assert!(message(tls).contains(step), "{what}: {tls}");
        }
    }

    // What shows a foreign certificate is told first, however long the renewal waits for it.
    let other = Authority::create("team/demo", Timestamp::now()).unwrap();
    let leaf = other.issue_node_leaf(&names(&[POD]), Timestamp::now());
    let report = met(Speaks::Tls(Box::new(leaf.unwrap())), &place, &mut story).await;
    let [_, tls, ..] = &report.conditions;
    assert_eq!(tls["reason"], "NodeNotVerified", "{tls}");
}
