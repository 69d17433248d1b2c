//! Nodes that serve and do not answer the operator. Others know which changes they lack, but not whether two of them reach each
//! other.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::{
    cluster::{observe, status},
    node::{MemberState, NodeDetails},
};

/// How long the operator waits for answers of serving nodes by default. Where it reaches no node at all, the next template may
/// be the remedy.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);

/// Since when no answer has judged the connection between some two serving nodes. Only this process remembers it: after a
/// restart the operator waits again.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Silence(Option<Instant>);

impl Silence {
    /// Notes which of the staying nodes answer now, and gives how long no answer has judged some two of them.
    pub(in crate::cluster) fn note(
        &mut self,
        pods: &[(Pod, Option<NodeDetails>)],
        wanted: usize,
        now: Instant,
    ) -> Duration {
        let serving = pods.iter().filter(|(pod, _)| status::is_ready(pod));
        let answers: Vec<_> = serving
            .filter_map(|(pod, node)| Some((observe::ordinal(pod)?, node.as_ref())))
            .filter(|(ordinal, _)| *ordinal < wanted)
            .collect();
        if unjudged(&answers).is_none() {
            self.0 = None;
            return Duration::ZERO;
        }
        now.saturating_duration_since(*self.0.get_or_insert(now))
    }
}

/// The first silent node whose connection to some other node no answer judges: the other does not name it, or is silent as
/// well.
pub(super) fn unjudged(answers: &[(usize, Option<&NodeDetails>)]) -> Option<usize> {
    let names = |node: &NodeDetails, ordinal: usize| {
        let mut members = node.members.iter();
        members.any(|member| {
            !has_left(member.state) && observe::ordinal_of(&member.name) == Some(ordinal)
        })
    };
    let silent = answers.iter().filter(|(_, node)| node.is_none());
    let mut silent = silent.map(|(ordinal, _)| *ordinal);
    silent.find(|ordinal| {
        let mut others = answers.iter().filter(|(other, _)| other != ordinal);
        others.any(|(_, node)| node.is_none_or(|node| !names(node, *ordinal)))
    })
}

/// Whether a member is none any more.
pub(super) fn has_left(state: MemberState) -> bool {
    matches!(state, MemberState::Left | MemberState::Removed)
}
