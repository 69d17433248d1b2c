//! How long a node has lacked changes of the others. Nodes report the number of changes; the operator remembers the time.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::Instant;

use super::{resource::MemberStatus, rollout::UNDER_WAY};
use crate::node::{NodeDetails, NodeMember};

/// When each node was last known to have everything, by its name.
#[derive(Debug, Default)]
pub(super) struct LastWhole(HashMap<String, Instant>);

impl LastWhole {
    /// Notes the nodes that lack nothing now, and gives how long each other one has. A time from `before` the operator began
    /// counts on.
    pub(super) fn tell(
        &mut self,
        members: &mut [MemberStatus],
        before: &[MemberStatus],
        pods: &[(Pod, Option<NodeDetails>)],
        now: Instant,
    ) {
        self.0
            .retain(|name, _| members.iter().any(|member| member.name == *name));
        for member in members {
            member.lag_seconds = has_everything(&member.name, pods).map(|whole| {
                let told = before.iter().find(|earlier| earlier.name == member.name);
                let told = told.and_then(|earlier| u64::try_from(earlier.lag_seconds?).ok());
                self.seconds(&member.name, whole, told.unwrap_or_default(), now)
            });
        }
    }

    fn seconds(&mut self, name: &str, whole: bool, told: u64, now: Instant) -> i64 {
        if whole {
            self.0.insert(name.to_owned(), now);
            return 0;
        }
        let earlier = now.checked_sub(Duration::from_secs(told)).unwrap_or(now);
        let since = *self.0.entry(name.to_owned()).or_insert(earlier);
        let seconds = now.saturating_duration_since(since).as_secs();
        // Zero would mean that it lacks nothing.
        i64::try_from(seconds).unwrap_or(i64::MAX).max(1)
    }
}

/// Whether a node has all changes of the others, by the reports of nodes that know; `None` where no node could be asked.
fn has_everything(name: &str, pods: &[(Pod, Option<NodeDetails>)]) -> Option<bool> {
    let own = pods.iter().find(|(pod, _)| pod.name_any() == name);
    let own = own.and_then(|(_, details)| details.as_ref());
    let others = pods.iter().filter(|(pod, _)| pod.name_any() != name);
    let told_by_others = others
        .filter_map(|(_, details)| details.as_ref())
        .filter_map(|details| details.members.iter().find(|member| member.name == name))
        .map(|member| is_whole(member.lag, member));
    let told_by_itself = own.into_iter().flat_map(|details| &details.members);
    let told_by_itself = told_by_itself
        .filter(|other| other.reachable)
        .map(|other| is_whole(other.behind, other));
    let mut told = told_by_others.chain(told_by_itself).peekable();
    if told.peek().is_none() {
        // A node that is alone lacks no changes.
        let is_alone = own.is_some_and(|details| details.members.is_empty());
        return (is_alone && pods.len() == 1).then_some(true);
    }
    Some(told.all(|whole| whole))
}

/// While writes go on, some are always under way to a node that is reached: condition `Replicated` passes over as many.
fn is_whole(lacks: u64, member: &NodeMember) -> bool {
    lacks == 0 || (member.reachable && lacks <= UNDER_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = (Pod, Option<NodeDetails>);

    fn pod(name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod
    }

    /// A node that knows others: their name, whether it reaches them, their missing changes, its own missing changes.
    fn answers(name: &str, others: &[(&str, bool, u64, u64)]) -> Answer {
        let members = others
            .iter()
            .map(|&(name, reachable, lag, behind)| NodeMember {
                name: name.to_owned(),
                reachable,
                lag,
                behind,
                ..NodeMember::default()
            });
        let details = NodeDetails {
            members: members.collect(),
            ..NodeDetails::default()
        };
        (pod(name), Some(details))
    }

    fn silent(name: &str) -> Answer {
        (pod(name), None)
    }

    fn member(pod: &Answer) -> MemberStatus {
        MemberStatus {
            name: pod.0.name_any(),
            ..MemberStatus::default()
        }
    }

    fn tell(
        memory: &mut LastWhole,
        before: &[MemberStatus],
        pods: &[Answer],
        now: Instant,
    ) -> Vec<MemberStatus> {
        let mut members: Vec<_> = pods.iter().map(member).collect();
        memory.tell(&mut members, before, pods, now);
        members
    }

    fn lags(members: &[MemberStatus]) -> Vec<Option<i64>> {
        members.iter().map(|member| member.lag_seconds).collect()
    }

    #[test]
    fn a_node_that_goes_lags_from_when_it_last_had_everything_until_it_has_it_again() {
        let (mut memory, start) = (LastWhole::default(), Instant::now());
        let mut at = |second: u64, pods: &[Answer]| {
            let now = start + Duration::from_secs(second);
            lags(&tell(&mut memory, &[], pods, now))
        };
        let whole = [
            answers("a", &[("b", true, 0, 0)]),
            answers("b", &[("a", true, 0, 0)]),
        ];
        assert_eq!(at(0, &whole), [Some(0), Some(0)]);
        let gone = |lag| [answers("a", &[("b", false, lag, 0)]), silent("b")];
        assert_eq!(at(10, &gone(0))[1], Some(0), "nothing was written since");
        assert_eq!(at(40, &gone(3))[1], Some(30));
        assert_eq!(at(70, &gone(4))[1], Some(60));
        assert_eq!(at(80, &whole), [Some(0), Some(0)]);
    }

    #[test]
    fn what_is_under_way_to_a_node_that_is_reached_is_no_lag() {
        let (mut memory, now) = (LastWhole::default(), Instant::now());
        for (lag, expected) in [(UNDER_WAY, 0), (UNDER_WAY + 1, 1)] {
            let pods = [answers("a", &[("b", true, lag, 0)]), silent("b")];
            assert_eq!(lags(&tell(&mut memory, &[], &pods, now))[1], Some(expected));
        }
        let pods = [silent("a"), answers("b", &[("a", true, 0, UNDER_WAY + 1)])];
        let told = lags(&tell(&mut memory, &[], &pods, now));
        assert_eq!(
            told,
            [Some(0), Some(1)],
            "what a node says of itself counts"
        );
    }

    #[test]
    fn of_whom_nobody_knows_nothing_is_told() {
        let (mut memory, now) = (LastWhole::default(), Instant::now());
        let mut told = |pods: &[Answer]| lags(&tell(&mut memory, &[], pods, now));
        assert_eq!(told(&[silent("a"), silent("b")]), [None, None]);
        let cut_off = [answers("a", &[("b", false, 0, 5)]), silent("b")];
        assert_eq!(told(&cut_off), [None, Some(0)]);
        assert_eq!(told(&[answers("a", &[])]), [Some(0)], "it is alone");
        assert_eq!(told(&[silent("a")]), [None]);
    }

    #[test]
    fn an_operator_that_starts_goes_on_from_what_was_told_before() {
        let (mut memory, now) = (LastWhole::default(), Instant::now());
        let pods = [answers("a", &[("b", false, 7, 0)]), silent("b")];
        let mut before: Vec<_> = pods.iter().map(member).collect();
        before[1].lag_seconds = Some(2);
        let told = tell(&mut memory, &before, &pods, now);
        assert_eq!(told[1].lag_seconds, Some(2));
        let later = tell(&mut memory, &told, &pods, now + Duration::from_mins(1));
        assert_eq!(later[1].lag_seconds, Some(62));
    }
}
