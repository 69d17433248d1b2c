//! What a handler takes from a request, and the proofs of who sent it.

mod arriving;
pub(super) mod auth;
pub(super) mod body;
mod body_text;
pub(super) mod caller;
pub(super) mod client_address;
pub(super) mod conditional;
pub(super) mod create_terms;
pub(super) mod entry_path;
pub(super) mod min_version;
pub(super) mod page;
mod partial;
mod peer_body;
pub(super) mod peer_proof;
pub(super) mod query;
pub(super) mod received_body;
pub(super) mod repeated_keys;
pub(super) mod rows;
pub(super) mod untrusted_forwarders;
pub(super) mod write_terms;
