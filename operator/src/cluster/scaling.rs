//! The present number of nodes. A node is removed only after it has left: rows that only it holds would be gone. Pure.

use std::collections::BTreeSet;

use super::{observe, readmission::Marks};
use crate::node::{MemberState, NodeDetails, NodeMember};

/// The input of the decision.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The cluster's name, which pods' names begin with.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The ordinal of a node whose volume is given up once it has left.
    pub given_up: Option<usize>,
    /// The number of nodes in the resource.
    pub wanted: i32,
    /// How many the StatefulSet has; `None` before it exists.
    pub current: Option<i32>,
    /// The answers of the nodes, by ordinal.
    pub nodes: &'a [Option<NodeDetails>],
    /// The ordinals whose pod exists, even an ending one.
    pub pods: &'a BTreeSet<usize>,
    /// The ordinals whose volume exists and stays.
    pub volumes: &'a BTreeSet<usize>,
    /// The ordinals whose pod or volume is ending.
    pub ending: &'a BTreeSet<usize>,
    /// The ordinals whose node may be starting and join before the API server learns that it is not wanted, and whose volume
    /// would go with it.
    pub starting: &'a BTreeSet<usize>,
    /// The nodes that are marked as joining again; `None` where no mark is needed.
    pub marks: Option<&'a Marks>,
}

/// The decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScalePlan {
    /// How many nodes the StatefulSet is to have now.
    pub replicas: i32,
    /// The requests to nodes.
    pub steps: Vec<ScaleStep>,
    /// The nodes that join again, until that is done.
    pub marks: Marks,
    /// The step that a user has to take before it can go on.
    pub blocked: Option<String>,
}

/// A request to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScaleStep {
    /// Ask the node with this ordinal to leave.
    Leave(usize),
    /// Ask a member to remove a node that has left.
    Remove {
        /// The ordinal of the member that is asked.
        by: usize,
        /// The name of the removed node.
        name: String,
        /// Its incarnation.
        incarnation: String,
    },
}

/// Decides.
pub fn plan(situation: &Situation<'_>) -> ScalePlan {
    let Situation {
        wanted, current, ..
    } = *situation;
    let removals = removals(situation);
    let keep = |replicas| ScalePlan {
        replicas,
        ..removals.clone()
    };
    match current {
        Some(current) if wanted <= current && comes_back(situation, current) => keep(current + 1),
        Some(current) if wanted < current => lower(situation, current, removals),
        // A node that still loads its snapshot must not lose its source to the load of another one.
        Some(current) if wanted > current && anybody_joins(situation) => keep(current),
        Some(current) => ScalePlan {
            blocked: orphan(situation, current.max(wanted)).map(|member| {
                lost(
                    situation,
                    member,
                    "has no pod any more",
                    "Scale up to bring it back, and down again",
                )
            }),
            ..keep(wanted)
        },
        None => keep(wanted),
    }
}

/// Removes the last node, once it has left.
fn lower(situation: &Situation<'_>, current: i32, removals: ScalePlan) -> ScalePlan {
    let ScalePlan {
        mut steps, marks, ..
    } = removals;
    let ordinal = usize::try_from(current.saturating_sub(1)).unwrap_or_default();
    let name = format!("{}-{ordinal}", situation.name);
    let own = situation.nodes.get(ordinal).and_then(Option::as_ref);
    let in_roster = roster(situation).find(|member| member.name == name);
    let state = own
        .map(|details| details.state)
        .or(in_roster.map(|member| member.state));
    let is_heard =
        serving(situation).is_some() && in_roster.is_none_or(|member| !member.state.counts());
    let (replicas, blocked) = match (state, own) {
        (None, None) if serving(situation).is_none() => {
            let message = format!(
                "no node serves that could say what {name} holds; bring one back, or set spec.replicas back to {current}"
            );
            (current, Some(message))
        }
        // It is about to join, or has just joined.
        (_, Some(_)) if marks.names(&name) => (current, None),
        (_, None) if marks.names(&name) => {
            let message = format!(
                "{name} was let in again and does not answer; bring it back, or set spec.replicas back to {current}"
            );
            (current, Some(message))
        }
        // Rows that only it held after joining would go with its volume.
        (None, None) if situation.starting.contains(&ordinal) => {
            let message = format!(
                "{name} has a volume that goes with it and does not answer yet, so it leaves once it has joined; if it cannot start, mend \
                 what its events say, or set spec.storage.retention.whenScaled to Retain"
            );
            (current, Some(message))
        }
        // It may join at any moment, even while its pod ends, and others would wait for it for ever.
        (Some(MemberState::Blank), Some(_)) if serving(situation).is_some() => {
            let message = format!(
                "{name} belongs to no cluster yet, and leaves once it has joined; if it cannot join, delete its pod"
            );
            (current, Some(message))
        }
        // If it left unheard, others would wait for it for ever.
        (Some(MemberState::Left), Some(_)) if !is_heard => (current, None),
        // No node knows it, or it holds no rows that others lack.
        (
            None
            | Some(
                MemberState::Blank | MemberState::Left | MemberState::Removed | MemberState::Fenced,
            ),
            _,
        ) => (current - 1, None),
        (Some(MemberState::Leaving), Some(_)) => (current, None),
        (Some(_), Some(_)) => {
            steps.push(ScaleStep::Leave(ordinal));
            (current, None)
        }
        (Some(_), None) => {
            let message = in_roster.map(|member| {
                lost(
                    situation,
                    member,
                    "does not answer, so it cannot leave",
                    "Bring it back: its events and logs say what it waits for",
                )
            });
            (current, message)
        }
    };
    ScalePlan {
        replicas,
        steps,
        marks,
        blocked,
    }
}

/// The advice for a member that the operator cannot ask to leave.
fn lost(situation: &Situation<'_>, member: &NodeMember, what: &str, how: &str) -> String {
    let Situation {
        name: cluster,
        namespace,
        ..
    } = situation;
    // A serving node has reported this member.
    let by = serving(situation).unwrap_or_default();
    let NodeMember {
        name,
        state,
        incarnation,
        ..
    } = member;
    format!(
        "{name} is {state} and {what}: what only it holds would be lost. {how}; or, if its disk is lost, remove it by hand at a node \
         that serves: `kubectl exec {cluster}-{by} -n {namespace} -c node -- osc-node members remove {name} --incarnation {incarnation} --force`"
    )
}

/// A member without a pod, and without the right to one: it went away without leaving.
fn orphan<'a>(situation: &'a Situation<'_>, count: i32) -> Option<&'a NodeMember> {
    let count = usize::try_from(count).unwrap_or_default();
    roster(situation).find(|member| {
        let gone = ordinal(member)
            .is_some_and(|ordinal| ordinal >= count && !situation.pods.contains(&ordinal));
        member.state.counts() && gone
    })
}

/// Whether the node after the last one joined while it was being removed, unseen by an earlier look. It comes back on its
/// volume, and leaves like any other. All nodes have to know it as a member: a leave is known first to the node that heard it.
fn comes_back(situation: &Situation<'_>, current: i32) -> bool {
    let next = usize::try_from(current).unwrap_or_default();
    let is_known = |node: &NodeDetails| {
        let mut members = node.members.iter();
        members.any(|member| ordinal(member) == Some(next) && member.state.counts())
    };
    let mut nodes = situation.nodes.iter().take(next);
    next > 0
        && situation.nodes.len() >= next
        && situation.volumes.contains(&next)
        && !situation.pods.contains(&next)
        && situation.given_up != Some(next)
        && nodes.all(|node| {
            node.as_ref()
                .is_some_and(|node| node.ready && is_known(node))
        })
}

fn ordinal(member: &NodeMember) -> Option<usize> {
    member.name.rsplit('-').next()?.parse().ok()
}

/// Members that have left: removed nodes are forgotten, wanted ones may join again, once that is marked. It changes no number
/// of nodes.
pub(super) fn removals(situation: &Situation<'_>) -> ScalePlan {
    let mut plan = ScalePlan {
        replicas: situation.current.unwrap_or(situation.wanted),
        marks: still_marked(situation),
        ..ScalePlan::default()
    };
    let Some(by) = serving(situation) else {
        return plan;
    };
    let wanted = usize::try_from(situation.wanted).unwrap_or_default();
    let running = usize::try_from(plan.replicas).unwrap_or_default();
    for member in roster(situation).filter(|member| member.state == MemberState::Left) {
        let NodeMember {
            name, incarnation, ..
        } = member;
        let Some(ordinal) = ordinal(member) else {
            continue;
        };
        let is_marked = plan.marks.has(name, incarnation);
        if situation.given_up == Some(ordinal) {
            continue;
        }
        let comes_back = match situation.marks {
            None => ordinal < wanted,
            Some(_) => is_marked || ordinal < wanted.min(running),
        };
        // A node whose pod has not ended yet would see its removal and join again.
        let may_run = if comes_back {
            situation.ending
        } else {
            situation.pods
        };
        if may_run.contains(&ordinal) {
            continue;
        }
        if comes_back && situation.marks.is_some() && !is_marked {
            plan.marks.insert(name, incarnation);
            continue;
        }
        plan.steps.push(ScaleStep::Remove {
            by,
            name: name.clone(),
            incarnation: incarnation.clone(),
        });
    }
    plan
}

/// The marks whose node has not joined again yet, by the reports of other nodes, and has not gone otherwise.
fn still_marked(situation: &Situation<'_>) -> Marks {
    let mut marks = Marks::default();
    let running = usize::try_from(situation.current.unwrap_or_default()).unwrap_or_default();
    for (name, life) in situation.marks.into_iter().flat_map(Marks::iter) {
        let Some(ordinal) = observe::ordinal_of(name).filter(|ordinal| *ordinal < running) else {
            continue;
        };
        let own = situation.nodes.get(ordinal).and_then(Option::as_ref);
        let in_roster = roster(situation).find(|member| member.name == name);
        let may_come = match (own, in_roster) {
            (Some(own), _) => own.incarnation == life || own.state == MemberState::Blank,
            (None, Some(member)) => member.incarnation == life,
            (None, None) => true,
        };
        if may_come {
            marks.insert(name, life);
        }
    }
    marks
}

fn serving(situation: &Situation<'_>) -> Option<usize> {
    situation.nodes.iter().position(|node| {
        node.as_ref()
            .is_some_and(|details| details.ready && details.state == MemberState::Member)
    })
}

/// The other members, as a serving node knows them.
fn roster<'a>(situation: &'a Situation<'_>) -> impl Iterator<Item = &'a NodeMember> {
    serving(situation)
        .and_then(|ordinal| situation.nodes.get(ordinal)?.as_ref())
        .into_iter()
        .flat_map(|details| &details.members)
}

fn anybody_joins(situation: &Situation<'_>) -> bool {
    situation
        .nodes
        .iter()
        .flatten()
        .any(|details| details.state == MemberState::Joining)
}

#[cfg(test)]
mod tests;
