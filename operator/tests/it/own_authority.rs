//! An authority of the user's own in Secret `NAME-node-ca`: which one nodes are given, and which one is refused before that.

use k8s_openapi::ByteString;
use opensecureconf_operator::{names::ANNOTATION_AUTHORITY_ROTATION, pki::Authority};
use rcgen::{CertificateParams, IsCa, KeyPair};
use serde_json::json;

use crate::{
    ONE_NODE, api_server::ApiServer, reconcile::reconcile, resource, standstill::stored_pki,
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

#[tokio::test]
async fn one_that_is_of_no_use_is_never_given_to_nodes_and_an_event_says_why() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    let leaf = params.self_signed(&key).unwrap().pem();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let key = key.serialize_pem();
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
