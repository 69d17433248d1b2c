//! How many nodes there are to be just now. A node is never taken away before it has left: what only it holds would be
//! gone. Pure.

use std::collections::BTreeSet;

use super::{observe, readmission::Marks};
use crate::node::{MemberState, NodeDetails, NodeMember};

/// What scaling looks at.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The cluster's name, which pods' names begin with.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The ordinal of a node whose volume is given up once it has left.
    pub given_up: Option<usize>,
    /// How many nodes the resource asks for.
    pub wanted: i32,
    /// How many the StatefulSet has; `None` before it exists.
    pub current: Option<i32>,
    /// What the nodes answered, by ordinal.
    pub nodes: &'a [Option<NodeDetails>],
    /// The ordinals whose pod is there, also one that is ending.
    pub pods: &'a BTreeSet<usize>,
    /// The ordinals whose volume is there and stays.
    pub volumes: &'a BTreeSet<usize>,
    /// The ordinals whose pod or volume is ending.
    pub ending: &'a BTreeSet<usize>,
    /// The ordinals whose node may be starting and join before the API server hears that it is not wanted, while its volume would go with it.
    pub starting: &'a BTreeSet<usize>,
    /// Who is marked as being let in again; nothing where no mark is needed.
    pub marks: Option<&'a Marks>,
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScalePlan {
    /// How many nodes the StatefulSet is to have now.
    pub replicas: i32,
    /// What is to be asked of nodes.
    pub steps: Vec<ScaleStep>,
    /// Who is let in again, until that is done.
    pub marks: Marks,
    /// What a user has to do before it can go on.
    pub blocked: Option<String>,
}

/// Something to ask of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScaleStep {
    /// Ask the node with this ordinal to leave.
    Leave(usize),
    /// Ask a member to remove one that has left.
    Remove {
        /// The ordinal of the member that is asked.
        by: usize,
        /// Who is removed.
        name: String,
        /// Which life of it.
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
        // A node that still takes its snapshot must not lose its source to the load of another one.
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

/// Takes one node away, the last one, once it has left.
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
        // What only it holds once it has joined would go with its volume.
        (None, None) if situation.starting.contains(&ordinal) => {
            let message = format!(
                "{name} has a volume that goes with it and does not answer yet, so it leaves once it has joined; if it cannot start, mend \
                 what its events say, or set spec.storage.retention.whenScaled to Retain"
            );
            (current, Some(message))
        }
        // It may join at any moment, also while its pod ends, and others would wait for it for ever.
        (Some(MemberState::Blank), Some(_)) if serving(situation).is_some() => {
            let message = format!(
                "{name} belongs to no cluster yet, and leaves once it has joined; if it cannot join, delete its pod"
            );
            (current, Some(message))
        }
        // Others would wait for it for ever, had it left unheard.
        (Some(MemberState::Left), Some(_)) if !is_heard => (current, None),
        // No node knows it, or it holds nothing that others lack.
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

/// What a person has to do about a member that the operator cannot ask to leave.
fn lost(situation: &Situation<'_>, member: &NodeMember, what: &str, how: &str) -> String {
    let Situation {
        name: cluster,
        namespace,
        ..
    } = situation;
    // Who is known of was heard of from a node that serves.
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

/// A member without a pod that is not to have one either: it went away without leaving.
fn orphan<'a>(situation: &'a Situation<'_>, count: i32) -> Option<&'a NodeMember> {
    let count = usize::try_from(count).unwrap_or_default();
    roster(situation).find(|member| {
        let gone = ordinal(member)
            .is_some_and(|ordinal| ordinal >= count && !situation.pods.contains(&ordinal));
        member.state.counts() && gone
    })
}

/// Whether the node after the last one joined while it was taken away: a look from just before saw nothing of it. On its volume it comes
/// back, and leaves as any other one does. All nodes have to know it as a member: one that has left is so to the node that heard it.
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

/// Members that have left: gone ones are forgotten, wanted ones may join again, once that is marked. It changes no number of nodes.
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
        // One whose pod has not ended yet would see its removal and join again.
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

/// Those of the marks whose node is not in again yet, as far as other nodes know, and has not gone otherwise.
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

/// The other members, as a node that serves knows them.
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
