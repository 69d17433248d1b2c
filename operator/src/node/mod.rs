//! How the operator speaks to nodes: the only place where requests to them are made, and what they are configured with.

mod access_key;
mod client;
mod command;
pub mod settings;
mod status;

pub use access_key::AccessKey;
pub use client::{NodeClient, http_client};
pub use command::{CommandError, NodeCommand};
pub use status::{NodeDetails, NodeMember, NodeStatus};
