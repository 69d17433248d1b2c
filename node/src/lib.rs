//! One node of OpenSecureConf: an encrypted configuration store with a REST API.
//!
//! | module | what it holds | may use |
//! |---|---|---|
//! | [`domain`] | entries, identities, versions, rows | nothing |
//! | [`json`] | JSON as Python reads and writes it | nothing |
//! | [`crypto`] | user keys, salt, data keys, Fernet tokens | `domain` |
//! | [`cluster`] | the engine: replication and membership without I/O | `domain`, `crypto` (the salt) |
//! | [`store`] | SQLite: the only module with SQL; runs the engine where it writes | `domain`, `crypto` (the salt), `cluster` |
//! | [`peers`] | the engine's link to other nodes: the only module with reqwest | `cluster`, `store` |
//! | [`api`] | the REST API: the only module with axum | all above |
//! | [`budget`] | how much memory each kind of work may take | nothing |
//! | [`config`], [`log`], [`metrics`] | settings, log lines, counters | |
//! | [`reload`], [`tls`] | files that change while the node runs, certificates | |
//! | [`open_files`] | how many files the process may have open | nothing |
//! | [`process_privacy`] | what keeps others out of the process's memory | nothing |
//! | `listeners`, `sockets`, `certificates` | where a node listens, and what it shows there | `api`, `server`, `tls` |
//! | `server` | connections, and what happens around a request: the only module with hyper | `api`, `budget` |
//! | [`serve`] | a running node | all above |

pub mod api;
pub mod budget;
mod certificates;
pub mod cluster;
mod cluster_link;
pub mod config;
pub mod crypto;
pub mod domain;
mod file_care;
pub mod json;
mod listeners;
pub mod log;
pub mod metrics;
pub mod open_files;
pub mod peers;
pub mod process_privacy;
mod random;
pub mod reload;
pub mod serve;
mod server;
mod sockets;
pub mod store;
pub mod tls;
mod upkeep;
