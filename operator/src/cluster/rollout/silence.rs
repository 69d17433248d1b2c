//! Nodes that serve and do not answer the operator. What they lack, the others know; whether two of them reach each other, no other one does.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::{
    cluster::{observe, status},
    node::{MemberState, NodeDetails},
};

/// How long answers of nodes that serve are waited for, where no setting says otherwise: where it reaches no node at all, the next
/// template may be what mends that.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);

/// Since when no answer has said of some two nodes that serve how they are to each other. The operator remembers it: one that starts anew
/// waits anew.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Silence(Option<Instant>);

impl Silence {
    /// Notes who answers now, of so many nodes that stay, and says for how long some two have been judged by none.
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

/// The first node that does not answer, and of which another one that does not name it, or is silent as well, says nothing.
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
