//! `osc-node`.

use std::process::ExitCode;

/// Threads that serve requests wait for each other in the system's allocator (see docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which triple the memory of an idle node. If the system refuses this call, nothing else
    // changes.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    opensecureconf_node::cli::run()
}
