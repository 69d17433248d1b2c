//! The node as its users meet it: over HTTP, as a process, and from Python.

mod config_cli;
mod contract;
mod crash;
mod entries;
mod json_against_python;
mod node;
mod process;
mod python;
mod salt;
