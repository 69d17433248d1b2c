//! Stories with other software that users run beside ours, in its real form. `make e2e-neighbours` installs it and runs them;
//! each module is one neighbour, and `e2e/neighbours/NAME/install.sh` installs it.

mod cert_manager;
mod cloudnative_pg;
mod policies;
mod prometheus_operator;
mod volumes;

use std::{io::Write, time::Instant};

/// Prints how long a step took.
fn report(what: &str, since: Instant) {
    let _ = writeln!(
        std::io::stderr(),
        "[story] {what}: {:.1} s",
        since.elapsed().as_secs_f64()
    );
}
