//! How long the allocator keeps memory that is free.

use std::{env, os::unix::process::CommandExt, process::Command};

/// mimalloc reads it before `main` begins, in milliseconds; a later value comes too late.
const DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Restarts the process with an allocator that gives memory back at once, unless the user chose another delay. With its own
/// 10 ms a node that reads and writes large values keeps those of the last moments, which ended a pod of 128 MiB on a fast machine.
/// Returns where the delay is set already, or cannot be set: the node serves all the same.
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
