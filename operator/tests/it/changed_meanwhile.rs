//! Secrets with certificates that another writer changes between the operator's read and its write.

use opensecureconf_operator::cluster::reconcile::reconcile_cluster;
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    pause::{HUNDRED_DAYS, date_back, is_fresh},
    reconcile::{CORE, reconcile},
    resource,
    volumes::change,
};

/// What the other writer adds; base64.
const MARK: &str = "bWluZQ==";

fn secret(name: &str) -> String {
    format!("{CORE}/secrets/{name}")
}

/// Reads show this Secret as it is now, and another writer changes it.
fn change_unseen(server: &ApiServer, path: &str) -> Value {
    change(server, path, |secret| {
        secret["metadata"]["resourceVersion"] = json!("1");
    });
    server.freeze(path);
    change(server, path, |secret| {
        secret["metadata"]["resourceVersion"] = json!("2");
        secret["data"]["mark"] = json!(MARK);
    });
    server.object(path).unwrap()
}

#[tokio::test]
async fn a_renewed_certificate_of_nodes_replaces_nothing_that_the_operator_has_not_read() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    date_back(&server, HUNDRED_DAYS);
    let path = secret("demo-node-tls");
    let changed = change_unseen(&server, &path);
    reconcile_cluster(&cluster, &context).await.unwrap_err();
    assert_eq!(server.object(&path), Some(changed));
    assert!(!is_fresh(&server));

    server.thaw();
    reconcile(&server, &mut cluster, &context).await;
    assert!(is_fresh(&server));
}

#[tokio::test]
async fn another_authority_replaces_none_that_the_operator_has_not_read() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    cluster.spec.tls.authority.rotate = Some("2027".to_owned());
    let path = secret("demo-node-ca");
    let changed = change_unseen(&server, &path);
    let nodes = server.object(&secret("demo-node-tls"));
    reconcile_cluster(&cluster, &context).await.unwrap_err();
    assert_eq!(server.object(&path), Some(changed.clone()));
    assert_eq!(
        server.object(&secret("demo-node-tls")),
        nodes,
        "no node gets an authority that is not kept"
    );

    server.thaw();
    reconcile(&server, &mut cluster, &context).await;
    let rotated = server.object(&path).unwrap();
    assert_ne!(rotated["data"]["tls.crt"], changed["data"]["tls.crt"]);
}

#[tokio::test]
async fn an_authority_that_is_there_again_is_not_replaced_as_a_lost_one() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let [authority, nodes] = ["demo-node-ca", "demo-node-tls"].map(secret);
    let before = [&authority, &nodes].map(|path| server.object(path));
    // As where another operator has made it anew meanwhile.
    server.hide(&authority);
    reconcile_cluster(&cluster, &context).await.unwrap_err();
    server.thaw();
    assert_eq!([&authority, &nodes].map(|path| server.object(path)), before);

    server.writes();
    reconcile(&server, &mut cluster, &context).await;
    let writes = server.writes();
    assert!(
        !writes.iter().any(|write| write.contains("/secrets")),
        "{writes:?}"
    );
}
