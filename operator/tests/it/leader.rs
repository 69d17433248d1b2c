//! The Lease as the API server gets to see it.

use kube::Client;
use opensecureconf_operator::{leader::Leadership, metrics::Metrics};
use serde_json::{Value, json};
use tokio::task::yield_now;

use crate::api_server::ApiServer;

const NAMESPACE: &str = "opensecureconf-system";
const NAME: &str = "opensecureconf-operator";
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/opensecureconf-system/leases/opensecureconf-operator";

#[tokio::test]
async fn an_operator_that_is_uninstalled_does_not_make_its_lease_anew() {
    let (server, client) = ApiServer::for_client();
    server.put(
        LEASE,
        json!({
            "metadata": { "name": NAME, "resourceVersion": "7" },
            "spec": { "holderIdentity": "the other pod" },
        }),
    );
    let metrics = Metrics::new().unwrap();
    let mut standby = Leadership::candidate(client, (NAMESPACE, NAME), "standby".into(), metrics);
    let uninstall = async {
        while !server.has_read(LEASE) {
            yield_now().await;
        }
        server.remove(LEASE);
    };
    let (acquired, ()) = tokio::join!(standby.acquire(), uninstall);
    acquired.unwrap_err();
    assert_eq!(server.object(LEASE), None);
}

/// The Lease of an operator that found none.
async fn made(server: &ApiServer, client: Client) -> Value {
    let metrics = Metrics::new().unwrap();
    let mut first = Leadership::candidate(client, (NAMESPACE, NAME), "first".into(), metrics);
    first.acquire().await.unwrap();
    server.object(LEASE).unwrap()
}

#[tokio::test]
async fn a_lease_that_no_installation_brought_goes_with_the_operators_service_account() {
    let (server, client) = ApiServer::for_client();
    server.has_account();
    let lease = made(&server, client).await;
    let owner = json!([{
        "apiVersion": "v1", "kind": "ServiceAccount", "name": NAME, "uid": "of the account",
    }]);
    assert_eq!(lease["metadata"]["ownerReferences"], owner);
}

#[tokio::test]
async fn an_operator_that_may_not_ask_who_it_is_makes_its_lease_all_the_same() {
    let (server, client) = ApiServer::for_client();
    let lease = made(&server, client).await;
    assert_eq!(lease["spec"]["holderIdentity"], "first");
    assert_eq!(lease["metadata"]["ownerReferences"], Value::Null);
}
