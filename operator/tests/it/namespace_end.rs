//! A namespace that is being deleted: nothing is wrong, so the operator reports nothing.

use opensecureconf_operator::cluster::reconcile::reconcile_cluster;

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{STATUS, reconcile},
    resource,
    warnings::Warnings,
};

#[tokio::test]
async fn what_cannot_be_made_in_a_namespace_that_goes_is_no_failure_and_nobody_is_told() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let warnings = Warnings::listen();

    // The children are gone, and the watch has not shown the cluster's own deletion yet.
    server.end_namespace();
    reconcile_cluster(&cluster, &context).await.unwrap();

    assert_eq!(server.object(STATUS), None, "nothing is wrong with it");
    assert_eq!(warnings.text(), "");
}
