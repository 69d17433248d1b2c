//! One node of OpenSecureConf: an encrypted configuration store with a REST API.
//!
//! The table in ARCHITECTURE.md says what each module holds and which others it may use.

pub mod access;
pub mod api;
pub mod budget;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod entries;
pub mod json;
pub mod keys;
pub mod log;
pub mod metrics;
pub mod os;
pub mod peers;
pub mod replica;
pub mod server;
pub mod store;
pub mod tls;
