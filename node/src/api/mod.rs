//! The REST API: the only module that speaks HTTP to clients.
//!
//! A request goes: route -> API key -> user key -> body -> data key -> open or seal -> store -> answer.

mod auth;
mod body;
mod entry_json;
mod error;
mod observe;
mod query;
mod router;
mod routes;
mod state;

pub use router::router;
pub use state::{ClusterIdentity, Node, NodeState};
