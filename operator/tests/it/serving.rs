//! Nodes that answer the operator, reach each other and hold all rows.

use std::sync::Arc;

use futures::future::BoxFuture;
use opensecureconf_contract::Salt;
use opensecureconf_operator::{
    cluster::context::Context,
    node::{AdminCommand, CommandError, MemberState, NodeDetails, NodeTls, SimulatedNodes},
};

/// The same operator where every node answers that has an address.
pub(crate) fn answered(context: Context) -> Context {
    context.answered_by(Arc::new(InSync { tls: None }))
}

/// The same where every node reports these certificates.
pub(crate) fn answered_with(context: Context, tls: NodeTls) -> Context {
    context.answered_by(Arc::new(InSync { tls: Some(tls) }))
}

#[derive(Debug)]
struct InSync {
    tls: Option<NodeTls>,
}

impl SimulatedNodes for InSync {
    fn status<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<NodeDetails>> {
        let node = address.split('.').next().unwrap_or_default();
        let ordinal = node.rsplit('-').next().unwrap_or_default();
        let details = NodeDetails {
            incarnation: format!("000000000000000{ordinal}"),
            state: MemberState::Member,
            cluster_uid: Some("f".to_owned()),
            ready: true,
            schema: Some(1),
            tls: self.tls.clone(),
            ..NodeDetails::default()
        };
        Box::pin(async { Some(details) })
    }

    fn salt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Salt>> {
        Box::pin(async { None })
    }

    fn command<'a>(
        &'a self,
        _: &'a str,
        _: &'a AdminCommand<'a>,
    ) -> BoxFuture<'a, Result<(), CommandError>> {
        Box::pin(async { Ok(()) })
    }
}
