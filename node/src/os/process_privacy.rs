//! Keeps the memory of the process to itself: no debugger of the same user, and no core.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Makes the process not dumpable, and sets the size of its core to zero. If the system refuses, the node serves all the same.
/// Pages are not locked: locked ones are never given back, and keys lie among other data.
pub fn withdraw() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
}
