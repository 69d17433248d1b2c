//! How long the allocator keeps memory that is free.

use std::{env, os::unix::process::CommandExt, process::Command};

/// mimalloc reads it before `main` begins, in milliseconds; nothing that a program says later counts as early.
const DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Begins the process anew with an allocator that gives memory back at once, unless the operator chose another delay. With its
/// own 10 ms a node that reads and writes large values keeps those of the last moments, and on a fast machine a pod of
/// 128 MiB ended by that. Returns where it is so already; where it cannot be, the node serves all the same.
pub fn give_back_at_once() {
    if env::var_os(DELAY).is_some() {
        return;
    }
    let mut arguments = env::args_os();
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        let mut anew = Command::new(program);
        // Returns only where it fails.
        let _ = anew.arg0(name).args(arguments).env(DELAY, "0").exec();
    }
}
