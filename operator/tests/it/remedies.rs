//! Secrets that were spoilt, and a retention that was changed: each from the cause over the words of the status to the remedy that they
//! name, carried out as they say.

use k8s_openapi::ByteString;
use opensecureconf_contract::Salt;
use opensecureconf_operator::cluster::{
    context::Context,
    resource::{OpenSecureConfCluster, Retention},
};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    node_contract::{API_KEY, CLUSTER_KEY, RunningNode},
    reconcile::{CORE, STATEFUL_SET, STATUS, condition, has_condition, reconcile},
    resource,
    standstill::{message, stored_pki},
};

const SALT: &str = "demo-salt";
/// The keys of a cluster, by Secret and entry.
const KEYS: [(&str, &str); 2] = [
    ("demo-api-key", "api-key"),
    ("demo-cluster-key", "cluster-key"),
];

/// A cluster whose pod serves on its volume.
struct Story {
    server: ApiServer,
    context: Context,
    cluster: OpenSecureConfCluster,
}

impl Story {
    async fn begin(change: impl Fn(&mut OpenSecureConfCluster)) -> Self {
        let (server, context) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        change(&mut cluster);
        let mut story = Self {
            server,
            context,
            cluster,
        };
        story.operate().await;
        story.serve(None);
        let claim = json!({ "metadata": { "name": "data-demo-0" } });
        let claims = format!("{CORE}/persistentvolumeclaims");
        story.server.put(&format!("{claims}/data-demo-0"), claim);
        story.operate().await;
        assert!(!has_condition(&story.server, "Stalled"));
        story.server.writes();
        story
    }

    /// The pod serves, at this address.
    fn serve(&self, address: Option<&str>) {
        let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo", "uid": format!("uid of {STATEFUL_SET}") });
        let pod = json!({
            "metadata": { "name": "demo-0", "ownerReferences": [owner] },
            "status": { "podIP": address, "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        self.server.put(&format!("{CORE}/pods/demo-0"), pod);
    }

    async fn operate(&mut self) {
        reconcile(&self.server, &mut self.cluster, &self.context).await;
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.server.object(&format!("{CORE}/secrets/{name}"))
    }

    /// Another user gives a Secret this content.
    fn spoil(&self, name: &str, data: Value) {
        let mut secret = self.secret(name).unwrap();
        secret["data"] = data;
        self.server.put(&format!("{CORE}/secrets/{name}"), secret);
    }

    /// The operator stands still for this reason: it writes its status alone, and the node serves on. Gives its words.
    async fn stands_still(&mut self, reason: &str) -> String {
        self.server.writes();
        self.operate().await;
        assert_eq!(self.server.writes(), [format!("PATCH {STATUS}")]);
        let stalled = condition(&self.server, "Stalled");
        assert_eq!(stalled["reason"], reason, "{stalled}");
        assert_eq!(condition(&self.server, "Ready")["reason"], reason);
        assert_eq!(condition(&self.server, "Available")["status"], "True");
        message(&stalled).to_owned()
    }

    async fn goes_on(&mut self) {
        self.operate().await;
        assert!(!has_condition(&self.server, "Stalled"));
        assert!(self.server.object(STATEFUL_SET).is_some());
    }

    /// Carries out the deletion that these words name.
    fn delete_as_told(&self, words: &str) {
        let (_, command) = words.split_once("`kubectl delete secret ").unwrap();
        let (arguments, _) = command.split_once('`').unwrap();
        let arguments: Vec<_> = arguments.split(' ').collect();
        let [name, "-n", namespace, "--wait=false"] = arguments[..] else {
            panic!("{arguments:?}");
        };
        self.server
            .remove(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"));
    }
}

fn salt_of(secret: &Value) -> Vec<u8> {
    let data: ByteString = serde_json::from_value(secret["data"]["salt"].clone()).unwrap();
    data.0
}

#[tokio::test]
async fn a_spoilt_salt_is_deleted_as_told_and_comes_back_from_a_node() {
    let mut story = Story::begin(|_| {}).await;
    for ((secret, entry), key) in KEYS.into_iter().zip([API_KEY, CLUSTER_KEY]) {
        story.spoil(secret, json!({ entry: ByteString(key.into()) }));
    }
    // All pods have the same port, so each process uses a loopback address of its own.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.78.{high}.{low}");
    let salt = Salt::new([7; 64]);
    story.spoil(SALT, json!({ "salt": ByteString(salt.bytes().to_vec()) }));
    let node = RunningNode::pod(&address, &stored_pki(&story.server));
    node.bootstrap().await;
    story.serve(Some(&address));
    story.operate().await;
    story.spoil(SALT, json!({ "salt": ByteString(b"too short".to_vec()) }));

    let words = story.stands_still("SaltMalformed").await;
    assert!(story.secret(SALT).is_some(), "the operator deletes no salt");
    story.delete_as_told(&words);
    story.goes_on().await;

    let restored = story.secret(SALT).unwrap();
    assert_eq!(salt_of(&restored), salt.bytes(), "the node's own");
    story.goes_on().await;
    assert_eq!(condition(&story.server, "SaltMatches")["status"], "True");
    node.stop().await;
}

#[tokio::test]
async fn a_spoilt_salt_that_was_there_before_the_cluster_is_deleted_as_told_and_made() {
    let (server, context) = ApiServer::start();
    let theirs = json!({ "metadata": { "name": SALT }, "data": { "salt": "c2FsdA==" } });
    server.put(&format!("{CORE}/secrets/{SALT}"), theirs);
    let mut story = Story {
        server,
        context,
        cluster: resource(ONE_NODE),
    };
    story.operate().await;
    let stalled = condition(&story.server, "Stalled");
    assert_eq!(stalled["reason"], "SaltMalformed");
    assert_eq!(story.server.object(STATEFUL_SET), None);

    story.delete_as_told(message(&stalled));
    story.goes_on().await;
    assert_eq!(salt_of(&story.secret(SALT).unwrap()).len(), Salt::BYTES);
}

#[tokio::test]
async fn a_key_that_lost_its_entry_is_put_back() {
    for (secret, entry) in KEYS {
        let mut story = Story::begin(|_| {}).await;
        let before = story.secret(secret).unwrap();
        story.spoil(secret, json!({}));
        let words = story.stands_still("KeyMissing").await;
        let beginning = format!("Secret {secret} has no entry '{entry}'; put the key back, or ");
        assert!(words.starts_with(&beginning), "{words}");

        story.spoil(secret, before["data"].clone());
        story.goes_on().await;
        assert_eq!(story.secret(secret).unwrap()["data"], before["data"]);
    }
}

#[tokio::test]
async fn a_key_that_lost_its_entry_is_deleted_as_told_and_another_one_is_made() {
    for (secret, entry) in KEYS {
        let mut story = Story::begin(|_| {}).await;
        let before = story.secret(secret).unwrap();
        let others = [SALT, "demo-node-ca", "demo-node-tls"].map(|other| story.secret(other));
        story.spoil(secret, json!({ entry: "" }));
        let words = story.stands_still("KeyMissing").await;

        story.delete_as_told(&words);
        story.goes_on().await;
        let made = story.secret(secret).unwrap();
        assert!(made["data"][entry].is_string() && made["data"] != before["data"]);
        assert_eq!(made["metadata"]["labels"], before["metadata"]["labels"]);
        let now = [SALT, "demo-node-ca", "demo-node-tls"].map(|other| story.secret(other));
        assert_eq!(now, others, "nothing else is made anew");
        story.goes_on().await;
        assert_eq!(story.secret(secret).unwrap()["data"], made["data"]);
    }
}

#[tokio::test]
async fn volumes_that_were_to_go_are_not_kept_without_their_keys_and_the_field_is_set_back() {
    let retention = |cluster: &mut OpenSecureConfCluster, when_deleted| {
        cluster.spec.storage.retention.when_deleted = when_deleted;
    };
    let mut story = Story::begin(|cluster| retention(cluster, Retention::Delete)).await;
    let keys = KEYS.map(|(secret, _)| story.secret(secret).unwrap());
    for key in &keys {
        let owner = &key["metadata"]["ownerReferences"][0]["uid"];
        assert_eq!(
            *owner,
            *story.cluster.metadata.uid.as_ref().unwrap(),
            "it goes with the resource"
        );
    }
    let policy = |story: &Story| {
        let set = story.server.object(STATEFUL_SET).unwrap();
        set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].clone()
    };

    retention(&mut story.cluster, Retention::Retain);
    story.cluster.metadata.generation = Some(2);
    let words = story.stands_still("RetentionChanged").await;
    let told = "storage.retention.whenDeleted cannot be changed from Delete to Retain: Secret demo-api-key would be deleted with the resource";
    assert!(
        words.starts_with(told) && words.ends_with("Set it back"),
        "{words}"
    );
    assert_eq!(policy(&story), "Delete");

    retention(&mut story.cluster, Retention::Delete);
    story.cluster.metadata.generation = Some(3);
    story.goes_on().await;
    assert_eq!(policy(&story), "Delete");
    assert_eq!(KEYS.map(|(secret, _)| story.secret(secret).unwrap()), keys);
}
