//! The REST API: the only module that speaks HTTP to clients.
//!
//! A request goes: route -> API key -> user key -> body -> data key -> open or seal -> store -> answer.

mod answer;
mod batch;
mod connection;
mod entry_events;
mod extract;
mod head_rules;
mod kept_box;
mod large_values;
mod list_admission;
mod list_turns;
mod listing;
mod observe;
mod openapi;
mod ports;
mod refusal_log;
mod router;
mod routes;
mod row_limit;
mod sealing;
mod service;
mod state;
mod value_text;
mod value_threads;

pub use connection::{ConnectionMark, ShownCertificate};
pub(crate) use extract::client_address::forwarded_for;
pub use head_rules::{CertificateWithdrawn, HeadTooLarge, MAX_HEADERS};
pub use ports::{OpenPorts, Served};
pub use router::{openapi_document, routes};
pub use routes::health::{take_pulse, vital_signs};
pub use service::{Answer, ApiService};
pub use state::{Node, NodeState, Opener, RunningParts};
