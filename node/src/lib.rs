//! One node of OpenSecureConf: an encrypted configuration store with a REST API.
//!
//! The table in ARCHITECTURE.md says what each module holds and which others it may use.

pub mod access;
pub mod api;
pub mod budget;
mod certificates;
pub mod cli;
pub mod cluster;
mod cluster_link;
pub mod config;
pub mod crypto;
pub mod domain;
mod file_care;
pub mod json;
pub mod keys;
mod listeners;
pub mod log;
pub mod metrics;
pub mod os;
pub mod peers;
pub mod serve;
mod server;
mod sockets;
pub mod store;
pub mod tls;
mod upkeep;
