//! The Lease as the API server gets to see it.

use opensecureconf_operator::{leader::Leadership, metrics::Metrics};
use serde_json::json;
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
