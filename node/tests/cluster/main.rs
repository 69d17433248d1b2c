//! Clusters of real processes, with faults in them and between them: the promises hold, by the record of acknowledged writes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, and shows the logs of its nodes"
)]

mod access;
mod acknowledgement;
mod api;
#[path = "../it/authority.rs"]
mod authority;
mod authority_exchange;
mod batches;
mod bootstrap;
mod checker;
mod cluster;
mod damage;
mod digests;
mod disk;
mod disturbance;
mod faults;
mod federated;
mod impostors;
mod load;
mod membership;
mod mutual_tls;
mod network;
mod node;
mod partitions;
mod random;
mod record;
mod recovery;
mod relay;
mod secured;
mod unreachable;
mod wait;
mod workload;
