//! Nodes that are asked otherwise than over the network: simulations run operator and nodes in one thread.

use futures::future::BoxFuture;
use opensecureconf_contract::Salt;

use super::{AdminCommand, CommandError, NodeDetails};

/// What answers in the place of nodes. An address is what a request would go to, such as `prod-0.prod-nodes.shop.svc:9001`.
pub trait SimulatedNodes: Send + Sync + std::fmt::Debug {
    /// What a node says of itself; `None` when it does not answer.
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
