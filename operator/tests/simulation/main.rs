//! The operator and its nodes in simulated worlds: the real driver against an API server in memory, real node engines in the
//! place of pods, and every fault between them.
//!
//! A world depends on its seed alone. `SIMULATION_SEEDS` worlds are run, from `SIMULATION_FIRST` on (`random` for new ones);
//! with `SIMULATION_SECONDS`, as many as fit.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking"
)]

/// A third of the time of a world went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// The nodes' own simulation, of which the operator's needs the worlds and none of their scenarios.
#[path = "../../../node/tests/simulation/chaos.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod chaos;
#[path = "../../../node/tests/simulation/clients.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod clients;
#[path = "../../../node/tests/simulation/disk.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod disk;
#[path = "../../../node/tests/simulation/handover.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod handover;
#[path = "../../../node/tests/simulation/history.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod history;
#[path = "../../../node/tests/simulation/impostor.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod impostor;
#[path = "../../../node/tests/simulation/invariants.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod invariants;
#[path = "../../../node/tests/simulation/network.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod network;
#[path = "../../../node/tests/simulation/node.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod node;
#[path = "../../../node/tests/simulation/owner.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod owner;
#[path = "../../../node/tests/simulation/script.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod script;
#[path = "../../../node/tests/simulation/seeds.rs"]
mod seeds;
#[path = "../../../node/tests/simulation/story.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod story;
#[path = "../../../node/tests/simulation/values.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod values;
#[path = "../../../node/tests/simulation/world.rs"]
#[allow(dead_code, reason = "scenarios of nodes alone use the rest")]
mod world;

mod exchanges;
mod faults;
mod kubernetes;
mod node_files;
mod nodes;
mod operators;
mod plots;
mod promises;
mod renewals;
mod runs;
mod stage;
mod switches;
mod users;
