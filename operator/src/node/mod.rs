//! How the operator speaks to nodes: the only place where requests to them are made, and what they are configured with.

mod access_key;
mod client;
mod command;
mod mutual_tls;
pub mod settings;
#[cfg(feature = "simulated-nodes")]
mod simulated;
mod status;

pub use access_key::AccessKey;
pub use client::{NodeClient, http_client};
pub use command::{CommandError, NodeCommand};
pub use mutual_tls::{ConnectError, NodeClients, PodAddresses};
#[cfg(feature = "simulated-nodes")]
pub use simulated::SimulatedNodes;
pub use status::{
    ClientCertificate, FenceReason, NodeCertificates, NodeDetails, NodeMember, NodeStatus, NodeTls,
};
