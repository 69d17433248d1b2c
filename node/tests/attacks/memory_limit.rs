//! The memory limit of a pod, by a control group of the kernel. Beyond it the kernel kills the node.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

/// The memory limit that the operator gives a node's container, in bytes.
pub(crate) const POD_BYTES: u64 = 256 << 20;

/// A control group with one process; `drop` removes it.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    folder: PathBuf,
}

impl MemoryLimit {
    /// A group of its own for so many bytes; `None` where this machine lets the tests make none.
    pub(crate) fn make(bytes: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("opensecureconf-attack-{}-{number}", process::id());
        // Version 2 and version 1 of the kernel's interface.
        [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ]
        .iter()
        .find_map(|(top, limit)| {
            let folder = Path::new(top).join(&name);
            // The mount of version 1 is an ordinary folder at the top, where the limit's file would be just a file.
            let is_group = Path::new(top).join("cgroup.procs").exists();
            if !is_group || fs::create_dir(&folder).is_err() {
                return None;
            }
            let group = Self { folder };
            let limit = group.folder.join(limit);
            let is_set = limit.exists() && fs::write(limit, bytes.to_string()).is_ok();
            (is_set && group.takes_processes()).then_some(group)
        })
    }

    /// Whether the kernel lets processes of ours join it, as a group that was handed down may not.
    fn takes_processes(&self) -> bool {
        let joined = Command::new("/bin/sh")
            .args(["-c", r#"echo $$ > "$0""#])
            .arg(self.processes())
            .stderr(Stdio::null())
            .status();
        joined.is_ok_and(|status| status.success())
    }

    /// Where a process writes its number to be limited.
    pub(crate) fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // The kernel needs a moment to see that the process is gone.
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
    }
}
