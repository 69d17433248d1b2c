//! Nodes on a shared database, beside a program that only sends the same statements.

mod baseline;
mod cost;
mod database;
mod entries;
mod pages;
mod speed;
mod statements;

use database::Database;

use crate::report::Row;

/// Reads, creates and several nodes.
pub(crate) fn rows() -> Vec<Row> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = Database::new(&runtime);
    speed::rows(&runtime, &database)
}

/// A database with many entries.
pub(crate) fn rows_of_many() -> Vec<Row> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = Database::new(&runtime);
    pages::rows(&runtime, &database)
}
