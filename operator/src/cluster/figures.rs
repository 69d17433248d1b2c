//! Figures that always move: how often they are written.

use std::time::Duration;

use tokio::time::Instant;

use super::{context::Memory, resource::ClusterStatus};

/// Figures alone are written this often at most.
const SELDOM: Duration = Duration::from_mins(5);
/// The same where one of them moved by [`PERCENT`] and more.
const OFTEN: Duration = Duration::from_secs(30);
/// A change that a reader of the status should not miss for minutes.
const PERCENT: u64 = 1;

/// The status to write. Figures alone are no reason to write often: each write reaches all watchers of the resource. A write
/// for another reason includes them.
pub(super) fn rate_limit_status(
    after: ClusterStatus,
    before: &ClusterStatus,
    memory: &mut Memory,
) -> ClusterStatus {
    let only_figures = without(&after) == without(before);
    let pause = pause(&after, before);
    let recent = memory
        .figures_written
        .is_some_and(|written| written.elapsed() < pause);
    if only_figures && recent {
        return before.clone();
    }
    if after != *before {
        memory.figures_written = Some(Instant::now());
    }
    after
}

/// How long figures wait that stand there like this.
fn pause(after: &ClusterStatus, before: &ClusterStatus) -> Duration {
    let moved = figures(after).zip(figures(before)).any(|pair| match pair {
        (Some(after), Some(before)) => {
            let moved = after.abs_diff(before);
            moved > 0 && moved.saturating_mul(100) >= before.unsigned_abs().saturating_mul(PERCENT)
        }
        (after, before) => after != before,
    });
    if moved { OFTEN } else { SELDOM }
}

fn figures(status: &ClusterStatus) -> impl Iterator<Item = Option<i64>> + '_ {
    let members = status.members.iter();
    let members = members.flat_map(|member| [member.entries, member.lag_seconds]);
    std::iter::once(status.entries).chain(members)
}

fn without(status: &ClusterStatus) -> ClusterStatus {
    let mut status = ClusterStatus {
        entries: None,
        ..status.clone()
    };
    for member in &mut status.members {
        (member.entries, member.lag_seconds) = (None, None);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::MemberStatus;

    fn status(entries: i64, ready_replicas: i32) -> ClusterStatus {
        ClusterStatus {
            entries: Some(entries),
            ready_replicas,
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn figures_alone_wait_and_go_with_everything_else() {
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
    }

    #[test]
    fn a_node_that_lags_longer_and_longer_is_written_twice_a_minute() {
        let lags = |lag_seconds| {
            let mut status = status(1, 1);
            status.members.push(MemberStatus {
                lag_seconds,
                ..MemberStatus::default()
            });
            status
        };
        let mut memory = Memory::default();
        let first = rate_limit_status(lags(Some(0)), &ClusterStatus::default(), &mut memory);
        let soon = rate_limit_status(lags(Some(5)), &first, &mut memory);
        assert_eq!(soon, first, "too early");
        assert_eq!(pause(&lags(Some(35)), &lags(Some(5))), OFTEN);
        assert_eq!(pause(&lags(Some(0)), &lags(None)), OFTEN);
        assert_eq!(pause(&lags(Some(0)), &lags(Some(0))), SELDOM);
    }

    #[test]
    fn figures_that_hardly_move_wait_for_five_minutes_and_others_for_half_a_one() {
        let waits = |before, after| pause(&status(after, 1), &status(before, 1));
        for (before, after) in [(1000, 990), (1000, 1010), (1000, 0), (1, 2), (0, 1)] {
            assert_eq!(waits(before, after).as_secs(), 30, "{before} {after}");
        }
        for (before, after) in [(1000, 991), (1000, 1009), (1000, 1000)] {
            assert_eq!(waits(before, after).as_secs(), 300, "{before} {after}");
        }
        let unknown = ClusterStatus::default();
        assert_eq!(pause(&status(1, 1), &unknown), OFTEN);
    }
}
