//! The operator's client for nodes, the only place that sends requests to them, and their configuration.

mod access_key;
mod client;
mod command_error;
mod mutual_tls;
pub mod settings;
mod silence;
#[cfg(feature = "simulated-nodes")]
mod simulated;

pub use access_key::AccessKey;
pub use client::{NodeClient, http_client};
pub use command_error::CommandError;
pub use mutual_tls::{ConnectError, NodeClients, PodAddresses};
pub use opensecureconf_contract::{
    MemberState,
    command::AdminCommand,
    status::{
        ClientCertificate, FenceReason, NodeCertificates, NodeDetails, NodeMember, NodeStatus,
        NodeTls,
    },
};
pub use silence::{Silence, Unverified};
#[cfg(feature = "simulated-nodes")]
pub use simulated::{Caller, SimulatedNodes};
