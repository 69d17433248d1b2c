//! An authority of the user's own in Secret `NAME-node-ca`: which one nodes are given, and which one is refused before that.

use k8s_openapi::ByteString;
use opensecureconf_operator::{
    cluster::resource::OpenSecureConfCluster,
    names::{ANNOTATION_AUTHORITY_REFUSED, ANNOTATION_AUTHORITY_ROTATION},
    pki::Authority,
};
use rcgen::{CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    authority_exchange::{after, operator_at, put_silent_node, reported},
    reconcile::{CORE, condition, has_condition, reconcile},
    resource,
    serving::answered_with,
    standstill::{message, stored_pki},
    volumes::change,
};

const AUTHORITY: &str = "/api/v1/namespaces/team/secrets/demo-node-ca";

/// A user puts certificate and key there.
fn put(server: &ApiServer, certificate: &str, key: &str) {
    change(server, AUTHORITY, |secret| {
        secret["data"]["tls.crt"] = json!(ByteString(certificate.into()));
        secret["data"]["tls.key"] = json!(ByteString(key.into()));
    });
}

/// The certificate of no authority, and its key.
fn no_authority() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, key.serialize_pem())
}

/// The record of a refusal.
fn refused(server: &ApiServer) -> Value {
    server.object(AUTHORITY).unwrap()["metadata"]["annotations"][ANNOTATION_AUTHORITY_REFUSED]
        .clone()
}

#[tokio::test]
async fn one_that_is_of_no_use_is_never_given_to_nodes_and_an_event_says_why() {
    let (leaf, key) = no_authority();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    for (key, why) in [
        (key, "it lacks basicConstraints CA:TRUE"),
        (other_key, "or they do not belong together"),
    ] {
        let (server, context) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        reconcile(&server, &mut cluster, &context).await;
        let before = stored_pki(&server);
        put(&server, &leaf, &key);

        reconcile(&server, &mut cluster, &context).await;

        let after = stored_pki(&server);
        assert_eq!(after.leaf, before.leaf, "nodes go on with theirs");
        let newest = after.authority.unwrap().certificate;
        let first = before.authority.unwrap().certificate;
        assert_eq!(after.bundle, [newest, first]);
        let notes = server.notes();
        let told = |note: &&String| {
            note.contains("Secret demo-node-ca is of no use") && note.contains(why)
        };
        assert!(notes.iter().any(|note| told(&note)), "{notes:?}");

        // The exchange comes to its end, and no node ever had the other one.
        for _ in 0..2 {
            reconcile(&server, &mut cluster, &context).await;
        }
        assert_eq!(stored_pki(&server).bundle.len(), 1);
    }
}

#[tokio::test]
async fn one_that_is_put_there_together_with_a_wish_for_another_one_stays() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let own = Authority::create("mine", jiff::Timestamp::now()).unwrap();
    put(&server, &own.certificate.pem(), own.key.pem());
    cluster.spec.tls.authority.rotate = Some("mine".to_owned());

    for _ in 0..6 {
        reconcile(&server, &mut cluster, &context).await;
    }

    let after = stored_pki(&server);
    assert_eq!(after.authority.as_ref(), Some(&own));
    assert_eq!(after.bundle, [own.certificate]);
    let annotations = &server.object(AUTHORITY).unwrap()["metadata"]["annotations"];
    assert_eq!(annotations[ANNOTATION_AUTHORITY_ROTATION], "mine");
}

/// Reconciles some minutes after the beginning, with a node that shows every certificate that is stored.
async fn with_a_node(server: &ApiServer, cluster: &mut OpenSecureConfCluster, minutes: i64) {
    let stored = stored_pki(server);
    let accepts: Vec<_> = stored.bundle.iter().collect();
    let context = answered_with(
        operator_at(server, after(minutes)),
        reported(&stored.leaf.as_ref().unwrap().certificate, &accepts),
    );
    reconcile(server, cluster, &context).await;
}

/// A cluster with one node that serves, whose user has put an authority there that is refused.
async fn with_a_refused_one() -> (ApiServer, OpenSecureConfCluster) {
    let (server, _) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &operator_at(&server, after(0))).await;
    put_silent_node(&server);
    change(&server, &format!("{CORE}/pods/demo-0"), |pod| {
        pod["status"]["podIP"] = json!("10.1.0.1");
    });
    let (certificate, key) = no_authority();
    put(&server, &certificate, &key);
    with_a_node(&server, &mut cluster, 1).await;
    (server, cluster)
}

#[tokio::test]
async fn while_one_is_refused_a_condition_says_why_and_what_to_do() {
    let (server, mut cluster) = with_a_refused_one().await;
    let first = stored_pki(&server).authority.unwrap();
    // Long after the operator's own has taken its place, and whatever else the operator does.
    for minutes in [2, 3, 10, 60 * 24 * 70] {
        with_a_node(&server, &mut cluster, minutes).await;
        let told = condition(&server, "TlsReady");
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!("False"), &json!("AuthorityRefused")),
            "after {minutes} minutes"
        );
        let command = format!(
            "`kubectl annotate secret demo-node-ca -n team {ANNOTATION_AUTHORITY_REFUSED}-`"
        );
        for words in [
            "put into Secret demo-node-ca is refused: it is the certificate of no authority",
            "Put a usable one there",
            &command,
            "port 9000 is not encrypted",
        ] {
            assert!(message(&told).contains(words), "{told}");
        }
        // Nodes serve, and nothing waits for the user.
        assert!(!has_condition(&server, "Stalled"), "{minutes}");
    }
    assert_eq!(stored_pki(&server).authority.unwrap(), first);
    assert_eq!(stored_pki(&server).bundle, [first.certificate]);

    // The user agrees with the operator's.
    change(&server, AUTHORITY, |secret| {
        let annotations = secret["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove(ANNOTATION_AUTHORITY_REFUSED);
    });
    with_a_node(&server, &mut cluster, 60 * 24 * 70 + 1).await;
    let told = condition(&server, "TlsReady");
    assert_eq!(told["reason"], "CertificatesServed", "{told}");
}

#[tokio::test]
async fn a_refusal_ends_with_another_authority() {
    for is_own in [true, false] {
        let (server, mut cluster) = with_a_refused_one().await;
        assert!(refused(&server).is_string());
        if is_own {
            let own = Authority::create("mine", after(0)).unwrap();
            put(&server, &own.certificate.pem(), own.key.pem());
        } else {
            cluster.spec.tls.authority.rotate = Some("2027".to_owned());
        }
        for minutes in [2, 3, 7, 8, 9, 10, 14, 15, 16] {
            with_a_node(&server, &mut cluster, minutes).await;
        }
        assert_eq!(refused(&server), Value::Null, "own: {is_own}");
        let told = condition(&server, "TlsReady");
        assert_eq!(
            told["reason"], "CertificatesServed",
            "own: {is_own}: {told}"
        );
    }
}

/// The example of the page that puts an authority of the user's own in its place.
fn recipe() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tls.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut examples = text.split("\n```bash\n").skip(1);
    let example = examples.find(|example| example.contains("kubectl patch secret config-node-ca"));
    example.unwrap().split("\n```").next().unwrap().to_owned()
}

/// Runs commands in a folder of their own, with a `kubectl` that keeps the patch.
fn run(commands: &str) -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let kubectl = "kubectl() { printf %s \"${@: -1}\" > patch; }";
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("{kubectl}\n{commands}")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{commands}: {output:?}");
    let patch = std::fs::read_to_string(folder.path().join("patch")).unwrap();
    serde_json::from_str(&patch).unwrap()
}

#[tokio::test]
async fn what_the_recipe_of_the_page_makes_is_taken_and_signs() {
    let recipe = recipe();
    let (made, patched) = recipe.split_once("\nkubectl ").unwrap();
    let patched = format!("kubectl {patched}");
    // The same with the parameters of the curve in the file of the key, and with the other forms of keys that OpenSSL makes.
    let certified = "openssl req -x509 -new -key tls.key -out tls.crt -days 3650 -subj /CN=config-nodes \
                     -addext keyUsage=critical,keyCertSign,cRLSign";
    let with_key = |key: &str| format!("{key}\n{certified}");
    let keys = [
        made.to_owned(),
        with_key("openssl ecparam -genkey -name prime256v1 -out tls.key"),
        with_key("openssl ecparam -genkey -noout -name prime256v1 -out tls.key"),
        with_key("openssl genrsa -traditional -out tls.key 2048"),
    ];
    for make in keys {
        let patch = run(&format!("{make}\n{patched}"));
        let (server, _) = ApiServer::start();
        let mut cluster = resource(ONE_NODE);
        let now = jiff::Timestamp::now();
        let minutes = |minutes| now + jiff::SignedDuration::from_mins(minutes);
        reconcile(&server, &mut cluster, &operator_at(&server, minutes(0))).await;
        change(&server, AUTHORITY, |secret| {
            for entry in ["tls.crt", "tls.key"] {
                secret["data"][entry] = patch["data"][entry].clone();
            }
        });
        for later in [1, 2, 6, 7, 11] {
            reconcile(&server, &mut cluster, &operator_at(&server, minutes(later))).await;
        }
        assert_eq!(refused(&server), Value::Null, "{make}");
        let stored = stored_pki(&server);
        let own = stored.authority.unwrap().certificate;
        assert_eq!(own.subject.0, "config-nodes", "{make}");
        assert!(
            stored.leaf.unwrap().certificate.is_signed_by(&own),
            "{make}"
        );
        assert_eq!(stored.bundle, [own], "{make}: the exchange is complete");
    }
}
