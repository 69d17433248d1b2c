//! The REST API: the only module that speaks HTTP to clients.
//!
//! A request goes: route -> API key -> user key -> body -> data key -> open or seal -> store -> answer.

mod auth;
mod body;
mod body_text;
mod charge;
mod client_address;
mod conditional;
mod entry_json;
mod entry_path;
mod error;
mod failure_limit;
mod federation;
mod gathering;
mod listing;
mod min_version;
mod observe;
mod openapi;
mod page;
mod problem;
mod query;
mod router;
mod routes;
mod sealing;
mod state;
mod streaming;
mod write_terms;

pub use federation::Federation;
pub use observe::MAX_HEADERS;
pub use router::{metrics_router, openapi_document, router};
pub use state::{Node, NodeState, Opener, RunningParts};
