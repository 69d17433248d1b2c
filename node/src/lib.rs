//! One node of OpenSecureConf: an encrypted configuration store with a REST API.
//!
//! | module | what it holds | may use |
//! |---|---|---|
//! | [`domain`] | entries, identities, versions, rows | nothing |
//! | [`json`] | JSON as Python reads and writes it | nothing |
//! | [`crypto`] | user keys, salt, data keys, Fernet tokens | `domain` |
//! | [`store`] | SQLite: the only module with SQL | `domain`, `crypto` (the salt) |
//! | [`api`] | the REST API: the only module with axum | all above |
//! | [`config`], [`log`], [`metrics`] | settings, log lines, counters | |
//! | [`reload`], [`tls`] | files that change while the node runs, certificates | |
//! | [`serve`] | a running node | all above |

pub mod api;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod json;
pub mod log;
pub mod metrics;
pub mod reload;
pub mod serve;
mod stall_guard;
pub mod store;
pub mod tls;
mod upkeep;
