//! The store in a PostgreSQL database, against real servers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod acknowledgements;
mod batches;
mod changes;
mod clients;
mod conformance;
mod contention;
mod copies;
mod deadlines;
mod encryption;
mod failover;
#[path = "../it/free_port.rs"]
mod free_port;
mod full_disk;
mod history;
mod hosts;
mod in_flight;
mod large_lists;
mod monitoring;
mod nodes;
mod pooler;
mod programs;
mod promotions;
mod readiness;
mod refusals;
mod returns;
mod rotation;
mod server;
mod setup;
mod start;
mod turns;
mod ways;
mod world;
mod writes;
