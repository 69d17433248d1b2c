//! A namespace that is being deleted: nothing is wrong, so the operator reports nothing.

use std::{
    io,
    sync::{Arc, Mutex},
};

use opensecureconf_operator::cluster::reconcile::reconcile_cluster;

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{STATUS, reconcile},
    resource,
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_made_in_a_namespace_that_goes_is_no_failure_and_nobody_is_told() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let log = Log::default();
    let writer = log.clone();
    let warnings = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _told = tracing::subscriber::set_default(warnings);

    // The children are gone, and the watch has not shown the cluster's own deletion yet.
    server.end_namespace();
    reconcile_cluster(&cluster, &context).await.unwrap();

    assert_eq!(server.object(STATUS), None, "nothing is wrong with it");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log, "");
}
