//! How often a cluster is read while no event comes. The watches report every change in the API server at once; nodes report
//! nothing to the operator by themselves.

use std::time::Duration;

use tokio::time::Instant;

use super::resource::ClusterStatus;

/// How often an unchanged cluster is read: nodes come and go without an event, and figures move.
const STEADY: Duration = Duration::from_secs(30);
/// While the same thing is waited for: for how long, and how often it is looked for meanwhile.
const STEPS: [(Duration, Duration); 3] = [
    (Duration::from_secs(5), Duration::from_secs(1)),
    (Duration::from_secs(30), Duration::from_secs(5)),
    (Duration::from_mins(5), Duration::from_secs(30)),
];
/// After all steps of the schedule.
const RAREST: Duration = Duration::from_mins(5);
/// How much too early a scheduled look may come.
const EARLY: Duration = Duration::from_millis(100);

/// The subject of a wait, a user or another cause, and since when.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    /// The conditions that were reported then.
    told: Vec<(String, String, String)>,
    since: Instant,
    /// The time of the next look.
    next: Instant,
}

/// The time of the next look, by the reports of the last look and of this one.
pub(super) fn next_look(
    status: &ClusterStatus,
    before: Option<&Wait>,
    started: Instant,
    now: Instant,
) -> (Duration, Wait) {
    let told: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| {
            let of = |text: &str| text.to_owned();
            (
                of(&condition.type_),
                of(&condition.status),
                of(&condition.reason),
            )
        })
        .collect();
    // A look before its time came from a watch: there was a change.
    let same = before.filter(|wait| wait.told == told && started + EARLY >= wait.next);
    let since = same.map_or(started, |wait| wait.since);
    let after = if is_steady(status) {
        STEADY
    } else {
        let waited = now.duration_since(since);
        let step = STEPS.iter().find(|(limit, _)| waited < *limit);
        let often = step.map_or(RAREST, |(_, often)| *often);
        // Requests to nodes cost the API server nothing.
        let nodes_may_answer = status.members.iter().any(|member| member.node.is_some());
        let is_stalled = status.conditions.iter().any(|told| told.type_ == "Stalled");
        if nodes_may_answer && !is_stalled {
            often.min(STEADY)
        } else {
            often
        }
    };
    let next = now + after;
    (after, Wait { told, since, next })
}

fn is_steady(status: &ClusterStatus) -> bool {
    const UNDER_WAY: [&str; 8] = [
        "Reconciling",
        "Stalled",
        "NotBootstrapped",
        "CatchingUp",
        "MemberUnreachable",
        "AuthorityExchanging",
        "KeyDistributing",
        "PreviousKeyLeaving",
    ];
    let mut conditions = status.conditions.iter();
    !conditions.any(|told| {
        UNDER_WAY.contains(&told.type_.as_str()) || UNDER_WAY.contains(&told.reason.as_str())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::resource::MemberStatus;

    fn status(type_: &str, reason: &str) -> ClusterStatus {
        let condition = serde_json::from_value(json!({
            "type": type_, "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }));
        ClusterStatus {
            conditions: vec![condition.unwrap()],
            ..ClusterStatus::default()
        }
    }

    /// The pauses between looks in this time, each at the time that the last one asked for.
    fn looks(status: &ClusterStatus, during: Duration) -> Vec<u64> {
        let start = Instant::now();
        let (mut now, mut wait, mut pauses) = (start, None, Vec::new());
        while now.duration_since(start) < during {
            let (pause, next) = next_look(status, wait.as_ref(), now, now);
            wait = Some(next);
            now += pause;
            pauses.push(pause.as_secs());
        }
        pauses
    }

    #[test]
    fn while_the_same_thing_is_waited_for_looks_become_rarer() {
        let waiting = status("Reconciling", "NodesStarting");
        let pauses = looks(&waiting, Duration::from_mins(20));
        assert_eq!(pauses[..7], [1, 1, 1, 1, 1, 5, 5]);
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&300));
        assert!(pauses.contains(&30));
    }

    #[test]
    fn nodes_that_may_answer_are_asked_at_least_as_often_as_those_of_a_ready_cluster() {
        let mut waiting = status("Replicated", "MemberUnreachable");
        waiting.members.push(MemberStatus {
            node: Some("worker".to_owned()),
            ..MemberStatus::default()
        });
        assert_eq!(looks(&waiting, Duration::from_mins(20)).last(), Some(&30));
        assert_eq!(
            looks(&status("Ready", "AllNodesReady"), Duration::from_mins(1)),
            [30, 30]
        );
    }

    #[test]
    fn a_watch_event_and_another_state_end_the_wait() {
        let waiting = status("Reconciling", "NodesStarting");
        let start = Instant::now();
        let long_ago = Wait {
            since: start,
            next: start + Duration::from_mins(15),
            ..next_look(&waiting, None, start, start).1
        };
        let (due, early) = (long_ago.next, start + Duration::from_mins(14));
        let pause =
            |status: &ClusterStatus, at: Instant| next_look(status, Some(&long_ago), at, at).0;
        assert_eq!(pause(&waiting, due), RAREST);
        assert_eq!(pause(&waiting, early), Duration::from_secs(1));
        assert_eq!(
            pause(&status("Stalled", "NameTaken"), due),
            Duration::from_secs(1)
        );
    }
}
