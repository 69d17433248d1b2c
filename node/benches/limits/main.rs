//! The node's speed beside the machine's limits, in the same run. Prints a table and writes `target/bench.json`.
//!
//!     make bench              # everything, a few minutes
//!     make bench ROWS="read create"
//!     make bench-peers        # beside etcd and the Secrets of a Kubernetes API server
//!     make bench-compare REV=main ROWS="read create"

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot go on says so by panicking, and tells people its figures"
)]

#[expect(dead_code, reason = "tests need more of it")]
#[path = "../../tests/it/authority.rs"]
mod authority;
mod bare;
mod batches;
mod cluster;
mod compare;
mod derivation;
mod erasure;
mod federated;
mod flood;
#[path = "../../tests/it/free_port.rs"]
mod free_port;
mod lists;
mod million;
mod node;
mod peers;
#[path = "../../tests/postgres/programs.rs"]
mod programs;
mod reads;
mod report;
#[expect(dead_code, reason = "tests need more of it")]
#[path = "../../tests/postgres/server.rs"]
mod server;
mod shared;
mod size;
mod tls;
mod writes;
mod wrk;

use std::path::Path;

use report::Row;

/// Measures some rows of the table.
type Measure = fn() -> Vec<Row>;

/// The rows, in the order in which they are measured.
const ROWS: &[(&str, Measure)] = &[
    ("read", reads::rows),
    ("create", writes::rows),
    ("batch", batches::rows),
    ("erasing", erasure::rows),
    ("list", lists::rows),
    ("first", derivation::rows),
    ("flood", flood::rows),
    ("size", size::rows),
    ("million", million::rows),
    ("cluster", cluster::rows),
    ("federated", federated::rows),
    ("tls", tls::rows),
    ("shared", shared::rows),
    ("shared-many", shared::rows_of_many),
    ("peers", peers::rows),
];

fn main() {
    // Cargo adds a flag of its own.
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [flag, tree, program, rows @ ..] = wanted.as_slice()
        && flag == "--compare"
    {
        compare::run(Path::new(tree), Path::new(program), rows);
        return;
    }
    if let Some(unknown) = wanted
        .iter()
        .find(|name| ROWS.iter().all(|(row, _)| row != name))
    {
        let known: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no row '{unknown}'; rows: {}", known.join(", "));
        std::process::exit(2);
    }
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    let mut rows = Vec::new();
    for (name, measure) in ROWS {
        // Their programs are brought by `make bench-peers`.
        let left_out = *name == "peers" && !peers::are_there();
        if (wanted.is_empty() && !left_out) || wanted.iter().any(|wanted| wanted == name) {
            eprintln!("measuring {name} ...");
            rows.extend(measure());
        }
    }
    report::print(&rows);
    report::write_json(&rows);
    report::print_missed(&rows);
    if rows.iter().any(|row| !row.met()) {
        std::process::exit(1);
    }
}
