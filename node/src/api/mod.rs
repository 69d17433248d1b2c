//! The REST API: the only module that speaks HTTP to clients.
//!
//! A request goes: route -> API key -> user key -> body -> data key -> open or seal -> store -> answer.

mod answers;
mod auth;
mod body;
mod body_text;
mod caller;
mod client_address;
mod conditional;
mod connection;
mod entry_answer;
mod entry_json;
mod entry_path;
mod error;
mod federation;
mod gathering;
mod head_rules;
mod large_values;
mod list_admission;
mod list_turns;
mod listing;
mod min_version;
mod observe;
mod openapi;
mod page;
mod peer_proof;
mod ports;
mod problem;
mod protective_headers;
mod query;
mod received_body;
mod repeated_keys;
mod router;
mod routes;
mod row_limit;
mod sealing;
mod state;
mod streaming;
mod untrusted_forwarders;
mod value_text;
mod value_threads;
mod write_terms;

pub use connection::{ConnectionMark, ShownCertificate};
pub use federation::Federation;
pub use head_rules::{CertificateWithdrawn, HeadTooLarge, MAX_HEADERS};
pub use ports::{OpenPorts, Served};
pub use router::{metrics_router, openapi_document, router, routes};
pub use routes::health::{take_pulse, vital_signs};
pub use state::{Node, NodeState, Opener, RunningParts};
