//! The next pod to replace, or the reason to wait. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::silence::{has_left, unjudged};
use crate::{
    cluster::observe,
    node::{MemberState, NodeDetails},
};

/// How long a pod may take to come back before a user has to look.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
/// Changes that a node may lack while writes go on; a node that lacks more is behind.
pub(in crate::cluster) const UNDER_WAY: u64 = 1000;

/// The input of a rollout's plan.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The cluster's name, which pods' names begin with.
    pub name: &'a str,
    /// The wanted revision of the pod template; `None` while Kubernetes has not observed the present StatefulSet.
    pub revision: Option<&'a str>,
    /// How many pods there are and are to stay.
    pub wanted: usize,
    /// How many there are.
    pub there: usize,
    /// The pods of the set, also those that the operator will remove.
    pub pods: &'a [PodSeen<'a>],
    /// The ordinals of pods that Kubernetes may not make, and since when.
    pub refused: &'a [(usize, Timestamp)],
    /// Whether a rollout was under way when the status was last written.
    pub was_rolling: bool,
    /// How long no answer has judged the connection between some two nodes.
    pub unjudged_for: Duration,
    /// How long to wait for such an answer.
    pub answer_timeout: Duration,
    /// The time.
    pub now: Timestamp,
}

/// A pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodSeen<'a> {
    /// The number at the end of its name.
    pub ordinal: usize,
    /// The revision of the template that it was made from.
    pub revision: Option<&'a str>,
    /// How it is.
    pub state: PodState,
    /// Since when it is in this state, where Kubernetes records it; for an ending pod, when it was to be gone.
    pub since: Option<Timestamp>,
    /// The answer of its node.
    pub node: Option<&'a NodeDetails>,
}

impl PodSeen<'_> {
    fn is(&self, state: PodState) -> bool {
        self.state == state
    }
}

/// How a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodState {
    /// It serves.
    Ready,
    /// It does not serve, or not yet.
    NotReady,
    /// It was deleted, and is still there.
    Ending,
}

/// The next step for pods of another template than the wanted one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RolloutPlan {
    /// There are none.
    #[default]
    Finished,
    /// Replace the pod with this ordinal.
    Replace {
        /// Its ordinal.
        ordinal: usize,
        /// Why this one.
        why: Why,
    },
    /// Wait.
    Wait(Waiting),
    /// A pod has not come back for ten minutes.
    Blocked {
        /// Its ordinal.
        ordinal: usize,
        /// Whether it is the last one, which a lower number of replicas removes.
        is_last: bool,
    },
}

/// Why a pod is the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It does not serve, so its deletion costs nothing.
    NotReady,
    /// All pods serve, and of the outdated ones it has the highest ordinal.
    Outdated,
}

/// The reason why a rollout waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Kubernetes has not observed the present StatefulSet.
    Controller,
    /// The pod of this name is not there, ends, or does not serve.
    Pod(String),
    /// The node of this name lacks changes of others, or does not reach them.
    Sync(String),
    /// The node of this name has another salt than the others.
    Salt(String),
    /// The node of this name serves but does not answer, and no other node reports on it.
    Answer(String),
    /// The disruption budget does not let a pod go.
    Budget {
        /// The pod.
        pod: String,
        /// The words of the API server.
        words: String,
    },
}

impl RolloutPlan {
    /// Whether pods are being replaced.
    pub fn is_under_way(&self) -> bool {
        match self {
            Self::Finished | Self::Wait(Waiting::Controller) => false,
            Self::Replace { .. } | Self::Wait(_) | Self::Blocked { .. } => true,
        }
    }
}

/// Decides.
pub(super) fn plan(situation: &Situation<'_>) -> RolloutPlan {
    let Some(revision) = situation.revision else {
        return RolloutPlan::Wait(Waiting::Controller);
    };
    let is_current = |pod: &PodSeen<'_>| pod.revision == Some(revision);
    let is_over = situation.staying().all(is_current);
    if is_over && !situation.was_rolling {
        return RolloutPlan::Finished;
    }
    // Once all pods that stay have the template, a leaving one is no part of the rollout.
    let counts = |pod: &&PodSeen<'_>| !is_over || pod.ordinal < situation.wanted;
    let ending = |pod: &&PodSeen<'_>| pod.is(PodState::Ending) && counts(pod);
    if let Some(pod) = situation.pods.iter().find(ending) {
        return situation.wait_for(pod);
    }
    if let Some(missing) = situation.missing() {
        let mut refused = situation.refused.iter();
        let since = refused.find(|(ordinal, _)| *ordinal == missing);
        return situation.wait_since(missing, since.map(|(_, since)| *since));
    }
    if let Some(going) = situation.going_and_away() {
        return RolloutPlan::Wait(Waiting::Pod(situation.pod_name(going)));
    }
    let nobody_serves = !situation.staying().any(|pod| pod.is(PodState::Ready));
    let is_unfinished = |pod: &&PodSeen<'_>| {
        // A running node may wait for others that cannot start before they are replaced.
        let waits_for_others = nobody_serves && !is_over && pod.node.is_some();
        is_current(pod) && pod.is(PodState::NotReady) && !waits_for_others
    };
    if let Some(pod) = situation.staying().find(is_unfinished) {
        return situation.wait_for(pod);
    }
    if is_over {
        return RolloutPlan::Finished;
    }
    let next = |why, state| {
        let outdated = situation.staying().filter(|pod| !is_current(pod));
        let candidates = outdated.filter(|pod| pod.is(state));
        let ordinal = candidates.map(|pod| pod.ordinal).max()?;
        Some(RolloutPlan::Replace { ordinal, why })
    };
    next(Why::NotReady, PodState::NotReady)
        .or_else(|| situation.out_of_sync().map(RolloutPlan::Wait))
        .or_else(|| next(Why::Outdated, PodState::Ready))
        .unwrap_or_default()
}

impl Situation<'_> {
    /// The pods that are to stay.
    fn staying(&self) -> impl Iterator<Item = &PodSeen<'_>> {
        self.pods.iter().filter(|pod| pod.ordinal < self.wanted)
    }

    /// A pod that is to leave and does not serve at present: until it has left, it serves clients with those that stay. A pod
    /// that makes no progress for long holds no other cluster up.
    fn going_and_away(&self) -> Option<usize> {
        let is_new = |since: Timestamp| self.now.duration_since(since) < TIMEOUT;
        (self.wanted..self.there).find(|ordinal| {
            if let Some(pod) = self.pods.iter().find(|pod| pod.ordinal == *ordinal) {
                return pod.is(PodState::NotReady) && pod.since.is_some_and(is_new);
            }
            let mut refused = self.refused.iter();
            let refused = refused.find(|(refused, _)| refused == ordinal);
            refused.is_none_or(|(_, since)| is_new(*since))
        })
    }

    fn pod_name(&self, ordinal: usize) -> String {
        format!("{}-{ordinal}", self.name)
    }

    fn missing(&self) -> Option<usize> {
        let is_there = |ordinal: &usize| self.pods.iter().any(|pod| pod.ordinal == *ordinal);
        (0..self.wanted).find(|ordinal| !is_there(ordinal))
    }

    fn wait_for(&self, pod: &PodSeen<'_>) -> RolloutPlan {
        self.wait_since(pod.ordinal, pod.since)
    }

    fn wait_since(&self, ordinal: usize, since: Option<Timestamp>) -> RolloutPlan {
        let waited = since.map(|since| self.now.duration_since(since));
        if waited.is_some_and(|waited| waited >= TIMEOUT) {
            return RolloutPlan::Blocked {
                ordinal,
                is_last: ordinal + 1 == self.wanted,
            };
        }
        RolloutPlan::Wait(Waiting::Pod(self.pod_name(ordinal)))
    }

    /// A node that lacks changes, by the reports of nodes about themselves and each other. Whether two nodes reach each other
    /// only those two know: one of them has to answer, for as long as that may be expected.
    fn out_of_sync(&self) -> Option<Waiting> {
        self.lacking().or_else(|| {
            let staying = || self.staying().filter(|pod| pod.is(PodState::Ready));
            let answers: Vec<_> = staying().map(|pod| (pod.ordinal, pod.node)).collect();
            let silent = unjudged(&answers).filter(|_| self.unjudged_for < self.answer_timeout)?;
            Some(Waiting::Answer(self.pod_name(silent)))
        })
    }

    fn lacking(&self) -> Option<Waiting> {
        let answers = || {
            let staying = self.staying();
            staying.filter_map(|pod| Some((self.pod_name(pod.ordinal), pod.node?)))
        };
        let first = answers().next()?.1.salt_fingerprint.as_ref();
        let other = |(_, node): &(String, &NodeDetails)| node.salt_fingerprint.as_ref() != first;
        if let Some((name, _)) = answers().find(other) {
            return Some(Waiting::Salt(name));
        }
        answers().find_map(|(name, node)| {
            if !node.ready || node.state == MemberState::Leaving {
                return Some(Waiting::Sync(name));
            }
            let behind = node.members.iter().find(|member| {
                self.is_counted(&member.name, member.state)
                    && (!member.reachable || member.lag > UNDER_WAY || member.behind > UNDER_WAY)
            })?;
            Some(Waiting::Sync(if behind.behind > UNDER_WAY {
                name
            } else {
                behind.name.clone()
            }))
        })
    }

    /// Whether a member is one of those that stay: others remember for a while a node that has left.
    fn is_counted(&self, name: &str, state: MemberState) -> bool {
        !has_left(state) && observe::ordinal_of(name).is_none_or(|ordinal| ordinal < self.wanted)
    }
}

#[cfg(test)]
mod tests;
