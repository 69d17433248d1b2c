//! Figures that always move: how often they are written.

use std::time::{Duration, Instant};

use super::{context::Memory, resource::ClusterStatus};

/// Figures alone are written this often at most.
const AT_MOST: Duration = Duration::from_secs(30);

/// The status to write. Figures alone are no reason to write more often than [`AT_MOST`]; a write for another reason
/// takes them along.
pub(super) fn rate_limit_status(
    after: ClusterStatus,
    before: &ClusterStatus,
    memory: &mut Memory,
) -> ClusterStatus {
    let recent = memory
        .figures_written
        .is_some_and(|written| written.elapsed() < AT_MOST);
    let only_figures = without(&after) == without(before);
    if only_figures && recent {
        return before.clone();
    }
    if after != *before {
        memory.figures_written = Some(Instant::now());
    }
    after
}

fn without(status: &ClusterStatus) -> ClusterStatus {
    let mut status = ClusterStatus {
        entries: None,
        ..status.clone()
    };
    status
        .members
        .iter_mut()
        .for_each(|member| member.entries = None);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_alone_wait_and_go_with_everything_else() {
        let status = |entries, ready_replicas| ClusterStatus {
            entries: Some(entries),
            ready_replicas,
            ..ClusterStatus::default()
        };
        let mut memory = Memory::default();
        let first = rate_limit_status(status(1, 1), &ClusterStatus::default(), &mut memory);
        assert_eq!(first, status(1, 1));
        assert_eq!(
            rate_limit_status(status(2, 1), &first, &mut memory),
            first,
            "too early"
        );
        assert_eq!(
            rate_limit_status(status(2, 2), &first, &mut memory),
            status(2, 2),
            "something else moved"
        );
        memory.figures_written = Instant::now().checked_sub(AT_MOST);
        assert_eq!(
            rate_limit_status(status(2, 1), &first, &mut memory),
            status(2, 1)
        );
    }
}
