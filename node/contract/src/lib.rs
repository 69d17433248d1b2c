//! What a node and those that run it agree on: the operator, `osc-operator local`, the commands of `osc-node` and the tests. No I/O.
//!
//! | module | what it holds |
//! |---|---|
//! | [`status`] | what a node says of itself, as JSON |
//! | [`bootstrap`] | which node bootstraps a cluster: the one decision |
//! | [`command`], [`route`], [`key_header`] | what the holder of the cluster key may order, where, and with which keys |
//! | [`EXIT_NEWER_DATABASE`] | how a node ends that does not start because a later release wrote its database |
//! | [`setting`] | names of settings that others give a node |

pub mod bootstrap;
pub mod command;
mod exit;
pub mod key_header;
mod key_proof;
mod logging;
mod member_state;
mod mode;
pub mod route;
mod salt;
pub mod setting;
pub mod status;
mod write_ack;

pub use exit::EXIT_NEWER_DATABASE;
pub use key_proof::key_proof;
pub use logging::{LogFormat, LogLevel};
pub use member_state::MemberState;
pub use mode::{Mode, UnknownMode};
pub use salt::{Fingerprint, Salt};
pub use write_ack::{AckLevel, UnknownLevel};
