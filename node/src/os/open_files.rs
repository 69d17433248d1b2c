//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard limit: the usual 1,024 is for programs that use `select`, and less than the
/// connections of a node. If the system refuses, the limit stays as it was.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, raised);
    }
}
