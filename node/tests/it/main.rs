//! The node as its users meet it: over HTTP, as a process, and from Python.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod abuse;
mod access_limits;
mod administration;
mod at_rest;
mod authority;
mod backups;
mod batches;
mod bootstrapped_by_hand;
mod budgets;
mod clients;
mod cluster_status;
mod compose;
mod conditional;
mod config_cli;
mod conflicts;
mod connections;
mod contract;
mod crash;
mod disk;
mod document;
mod dotenv_against_python;
mod early_refusals;
mod encodings;
mod entries;
mod every_route;
mod free_port;
mod guesses;
mod guesses_in_the_log;
mod health;
mod hostile;
mod http2_clients;
mod http2_frames;
mod http2_goodbye;
mod imports;
mod irregular_files;
mod json_against_python;
mod key_files;
mod large_lists;
mod leftovers;
mod limit_settings;
mod lists;
mod logged_names;
mod logs;
mod long_lists;
mod memory;
mod monitoring;
mod node;
mod originals;
mod owner;
mod pages;
mod past_the_router;
mod peer_budgets;
mod peer_impostors;
mod peer_proofs;
mod peer_schemes;
mod ports;
mod private_keys;
mod process;
mod protective_headers;
mod proxies;
mod python;
mod raw_http;
mod refusal_headers;
mod rotation;
mod salt;
mod secrecy;
mod slow;
mod text_form;
mod unready_nodes;
