//! Nodes that are not asked over the network: simulations run operator and nodes in one thread.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use opensecureconf_contract::Salt;

use super::{AdminCommand, CommandError, NodeDetails};
use crate::pki::{Certificate, StoredPki};

/// The certificate that the operator shows nodes, and those that it accepts.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The signer of its certificate; `None` where it has none.
    pub signer: Option<Certificate>,
    /// The authorities that it accepts.
    pub accepts: Vec<Certificate>,
}

/// The nodes' stand-ins. An address is that of a request, such as `prod-0.prod-nodes.shop.svc:9001`.
pub trait SimulatedNodes: Send + Sync + std::fmt::Debug {
    /// Whether a connection of this caller comes about, by the certificates of both.
    fn connects(&self, _: &str, _: &Caller) -> bool {
        true
    }

    /// The status of a node; `None` when it does not answer.
    fn status<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<NodeDetails>>;

    /// The salt of a node; `None` when it has none, or does not answer.
    fn salt<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<Salt>>;

    /// Carries out an order.
    fn command<'a>(
        &'a self,
        address: &'a str,
        command: &'a AdminCommand<'a>,
    ) -> BoxFuture<'a, Result<(), CommandError>>;
}

/// How a simulation is called.
#[derive(Debug, Clone)]
pub(super) struct Simulated {
    nodes: Arc<dyn SimulatedNodes>,
    caller: Caller,
}

impl Simulated {
    pub(super) fn new(nodes: Arc<dyn SimulatedNodes>, pki: &StoredPki, now: Timestamp) -> Self {
        let signer = pki.operators_signer(now);
        let caller = Caller {
            signer: signer.map(|signer| signer.certificate),
            accepts: pki.bundle.clone(),
        };
        Self { nodes, caller }
    }

    pub(super) async fn status(&self, address: &str) -> Option<NodeDetails> {
        if !self.nodes.connects(address, &self.caller) {
            return None;
        }
        self.nodes.status(address).await
    }

    pub(super) async fn salt(&self, address: &str) -> Option<Salt> {
        if !self.nodes.connects(address, &self.caller) {
            return None;
        }
        self.nodes.salt(address).await
    }

    pub(super) async fn command(
        &self,
        address: &str,
        command: &AdminCommand<'_>,
    ) -> Result<(), CommandError> {
        if !self.nodes.connects(address, &self.caller) {
            return Err(CommandError::Refused {
                address: address.to_owned(),
                text: "the certificates do not fit".to_owned(),
            });
        }
        self.nodes.command(address, command).await
    }
}
