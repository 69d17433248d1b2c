//! The store in a PostgreSQL database, against real servers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod changes;
mod conformance;
mod failover;
mod server;
mod setup;
mod writes;
