//! The cluster engine in simulated worlds: whole clusters in one thread, with every fault that we know of.
//!
//! A world depends on its seed alone, so a failing seed can be replayed as often as it takes. `SIMULATION_SEEDS` worlds are
//! run, from `SIMULATION_FIRST` on (`random` for new ones); with `SIMULATION_SECONDS`, as many as fit.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking"
)]

mod chaos;
mod clients;
mod disk;
mod handover;
mod history;
mod impostor;
mod invariants;
mod network;
mod node;
mod owner;
mod runs;
mod scenarios;
mod script;
mod seeds;
mod story;
mod switches;
mod values;
mod world;
