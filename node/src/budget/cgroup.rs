//! The memory limit of the cgroup in which this process runs: of version 2 and of version 1.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Version 1 writes "no limit" as the largest number of pages; no machine has this much.
const NO_LIMIT: u64 = 1 << 60;

/// The lowest limit that this process meets, in bytes; `None` where there is none.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_files(Path::new("/sys/fs/cgroup"), &groups)
        .iter()
        .filter_map(|path| limit_in(&fs::read_to_string(path).ok()?))
        .min()
}

fn limit_in(text: &str) -> Option<u64> {
    text.trim()
        .parse()
        .ok()
        .filter(|limit| (1..NO_LIMIT).contains(limit))
}

/// The files in which limits may stand: those of the group and of all groups around it. Within a container the mount begins
/// with its own group, so the kernel's path may not exist there.
fn limit_files(mount: &Path, groups: &str) -> Vec<PathBuf> {
    let of_group = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (root, file) = if controllers.is_empty() {
            (mount.to_owned(), "memory.max")
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            (mount.join("memory"), "memory.limit_in_bytes")
        } else {
            return None;
        };
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        Some(
            around
                .map(move |group| root.join(group).join(file))
                .collect::<Vec<_>>(),
        )
    };
    groups.lines().filter_map(of_group).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_looked_for_in_all_groups_around() {
        let files = limit_files(Path::new("/g"), "0::/a/b\n");
        let files: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            files,
            ["/g/a/b/memory.max", "/g/a/memory.max", "/g/memory.max"]
        );
    }

    #[test]
    fn version_1_has_a_file_of_another_name() {
        let files = limit_files(Path::new("/g"), "5:cpu,memory:/a\n4:pids:/a\n");
        let files: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            files,
            [
                "/g/memory/a/memory.limit_in_bytes",
                "/g/memory/memory.limit_in_bytes"
            ]
        );
    }

    #[test]
    fn what_is_no_limit_is_none() {
        assert_eq!(limit_in("max\n"), None);
        assert_eq!(limit_in("9223372036854771712\n"), None);
        assert_eq!(limit_in("0"), None);
        assert_eq!(limit_in("268435456\n"), Some(256 << 20));
    }
}
