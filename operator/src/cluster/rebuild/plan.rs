//! The next node to give up, or the reason to wait. Pure.

use crate::{
    cluster::{resource::RebuildMember, stalled::RIGHTS_MISSING, validate::ValidatedCluster},
    node::{MemberState, NodeDetails, NodeMember},
};

/// The input of the plan.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The requested entries, in this order.
    pub entries: &'a [RebuildMember],
    /// The nodes that are to stay.
    pub nodes: &'a [NodeSeen<'a>],
    /// Why no step may be taken now, whatever the entries.
    pub held: Option<&'static str>,
    /// Whether the only node that serves keeps its volume.
    pub only_node_stays: bool,
}

/// A node.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeSeen<'a> {
    /// Its name.
    pub name: String,
    /// Whether its pod serves, by Kubernetes.
    pub is_ready: bool,
    /// Whether it has a pod that was not deleted.
    pub has_pod: bool,
    /// The answer of the node.
    pub details: Option<&'a NodeDetails>,
    /// Its volume, where there is one.
    pub volume: Option<VolumeSeen<'a>>,
}

impl NodeSeen<'_> {
    /// Whether neither its pod nor its claim is being deleted.
    fn stays(&self) -> bool {
        self.has_pod && !self.volume.is_some_and(|volume| volume.is_ending)
    }

    /// Whether a life was ever heard of on its volume, which stays.
    fn lives(&self) -> bool {
        let volume = self.volume.filter(|volume| !volume.is_ending);
        volume.is_some_and(|volume| volume.incarnation.is_some() || self.details.is_some())
    }

    /// Whether it counts a node as one that has not left.
    fn waits_for(&self, name: &str) -> bool {
        let mut members = self.details.iter().flat_map(|details| &details.members);
        members.any(|member| member.name == name && member.state.counts())
    }
}

/// A volume.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct VolumeSeen<'a> {
    /// The incarnation on the volume at its node's last answer; `None` where there never was one.
    pub incarnation: Option<&'a str>,
    /// Whether its claim is being deleted.
    pub is_ending: bool,
}

/// The next step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RebuildPlan {
    /// None: no entry is left, or all nodes were rebuilt.
    #[default]
    Finished,
    /// Ask this node to leave, so that others hold its rows.
    Leave {
        /// Its ordinal.
        ordinal: usize,
    },
    /// Wait until it has left.
    Leaving {
        /// Its ordinal.
        ordinal: usize,
    },
    /// Give its volume up.
    GiveUp {
        /// Its ordinal.
        ordinal: usize,
        /// The incarnation on it.
        incarnation: String,
    },
    /// It was given up, and does not serve again yet.
    Joining {
        /// Its ordinal.
        ordinal: usize,
    },
    /// Wait for a user, or for a state that may pass.
    Blocked(Blocked),
}

/// Why a node cannot be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Its name.
    pub node: String,
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// The missing condition.
    pub missing: String,
}

impl RebuildPlan {
    /// Whether no other pod may be replaced meanwhile.
    pub(in crate::cluster) fn is_under_way(&self) -> bool {
        match self {
            Self::Leave { .. } | Self::Leaving { .. } | Self::GiveUp { .. } => true,
            Self::Finished | Self::Joining { .. } | Self::Blocked(_) => false,
        }
    }

    /// The node that is given up once it has left: it may not join again on its present volume.
    pub(in crate::cluster) fn keeps(&self) -> Option<usize> {
        match self {
            Self::Leave { ordinal } | Self::Leaving { ordinal } | Self::GiveUp { ordinal, .. } => {
                Some(*ordinal)
            }
            Self::Finished | Self::Joining { .. } | Self::Blocked(_) => None,
        }
    }

    /// The same where the operator lacks the right to it.
    pub(in crate::cluster) fn refused(
        &self,
        cluster: &ValidatedCluster,
        words: &str,
    ) -> Option<Self> {
        let ordinal = i32::try_from(self.keeps()?).ok()?;
        Some(Self::Blocked(Blocked {
            node: cluster.name.pod(ordinal),
            reason: RIGHTS_MISSING,
            missing: format!(
                "{words}; grant it to the operator's service account (SECURITY.md lists all its rights)"
            ),
        }))
    }

    /// The same where the disruption budget keeps a pod that has to go.
    pub(in crate::cluster) fn held(
        &self,
        cluster: &ValidatedCluster,
        (pod, words): (&str, &str),
    ) -> Option<Self> {
        let ordinal = i32::try_from(self.keeps()?).ok()?;
        Some(Self::Blocked(Blocked {
            node: cluster.name.pod(ordinal),
            reason: "DisruptionBudget",
            missing: format!(
                "the disruption budget does not let pod {pod} go now: {words}; wait until all others serve, or set force to true"
            ),
        }))
    }

    /// Whether anything must be ordered or deleted.
    pub(in crate::cluster) fn is_due(&self) -> bool {
        matches!(self, Self::Leave { .. } | Self::GiveUp { .. })
    }
}

/// An entry that is still to be carried out.
struct Wanted<'a> {
    entry: &'a RebuildMember,
    ordinal: usize,
    node: &'a NodeSeen<'a>,
}

/// Decides the next step. One node at a time, in the order of the entries.
pub(super) fn plan(situation: &Situation<'_>) -> RebuildPlan {
    let Situation {
        entries,
        nodes,
        held,
        only_node_stays,
    } = situation;
    let mut joining = RebuildPlan::Finished;
    for entry in *entries {
        let found = nodes.iter().position(|node| node.name == entry.name);
        let Some((ordinal, node)) = found.and_then(|at| Some((at, nodes.get(at)?))) else {
            let prefix = |name: &str| name.rsplit_once('-').map(|(cluster, _)| cluster.to_owned());
            let own = nodes.first().and_then(|node| prefix(&node.name));
            if prefix(&entry.name) == own {
                continue;
            }
            return RebuildPlan::Blocked(Blocked {
                node: entry.name.clone(),
                reason: "NoSuchNode",
                missing: format!(
                    "it is no node of this cluster, whose nodes are {}; correct spec.rebuildMembers",
                    names(nodes)
                ),
            });
        };
        let wanted = Wanted {
            entry,
            ordinal,
            node,
        };
        if !wanted.lives() {
            if wanted.is_joining() {
                joining = RebuildPlan::Joining { ordinal };
            }
            continue;
        }
        let blocked = |reason, missing| wanted.blocked(reason, missing);
        if let Some(held) = held {
            return blocked("OnHold", (*held).to_owned());
        }
        return wanted.step(nodes, *only_node_stays);
    }
    joining
}

impl Wanted<'_> {
    /// Whether claim and pod were deleted, and are not gone yet.
    fn is_given_up(&self) -> bool {
        let is_ending = self.node.volume.is_some_and(|volume| volume.is_ending);
        is_ending && !self.node.has_pod
    }

    /// Whether that incarnation lives on that volume: the node's own report counts, otherwise its last one.
    fn lives(&self) -> bool {
        if self.is_given_up() {
            return false;
        }
        let said = self
            .node
            .details
            .map(|details| details.incarnation.as_str());
        let remembered = || self.node.volume.and_then(|volume| volume.incarnation);
        said.or_else(remembered) == Some(&self.entry.incarnation)
    }

    /// Whether no node has lived on its volume yet.
    fn is_joining(&self) -> bool {
        let unused = self
            .node
            .volume
            .is_none_or(|volume| volume.incarnation.is_none());
        self.is_given_up() || unused && !self.node.is_ready
    }

    fn step(&self, nodes: &[NodeSeen<'_>], only_node_stays: bool) -> RebuildPlan {
        let Self {
            entry,
            ordinal,
            node,
        } = *self;
        let others = || nodes.iter().filter(|other| other.name != node.name);
        // A node that itself leaves will not hold the rows for long.
        let serves = |other: &NodeSeen<'_>| {
            other.stays() && other.is_ready && other.details.is_some_and(is_serving)
        };
        let give_up = RebuildPlan::GiveUp {
            ordinal,
            incarnation: entry.incarnation.clone(),
        };
        // A node whose answer is lost is not lost itself while Kubernetes finds that it serves. Where no other node lives, it
        // may have the only copy, even while it starts again.
        let is_alone = !others().any(NodeSeen::lives);
        let stays = only_node_stays && (node.is_ready || is_alone);
        if !others().any(serves) && (stays || !entry.force) {
            let what = if nodes.len() > 1 {
                "no other node serves that could give it back what it has; bring another one back first"
            } else {
                "there is no other node that could give it back what it has; set spec.replicas to more first"
            };
            return self.blocked("NoOtherNode", what.to_owned());
        }
        if entry.force {
            return give_up;
        }
        let Some(details) = node.details else {
            return self.blocked(
                "DoesNotAnswer",
                "it does not answer, so no node can say whether others hold what it holds. If its disk is lost, set force to true: what only it \
                 holds is given up"
                    .to_owned(),
            );
        };
        if let Some(down) = others().find(|other| !other.is_ready) {
            let missing = format!(
                "{} does not serve, and one node after the other is rebuilt; bring it back, or set force to true",
                down.name
            );
            return self.blocked("NodeDown", missing);
        }
        match details.state {
            // It has handed its rows over, and others know that.
            MemberState::Left
                if others().any(|other| serves(other) && !other.waits_for(&node.name)) =>
            {
                give_up
            }
            MemberState::Left => RebuildPlan::Leaving { ordinal },
            MemberState::Leaving => match lacking(details) {
                Some(missing) => self.blocked("HeadNotHeld", missing),
                None => RebuildPlan::Leaving { ordinal },
            },
            MemberState::Member | MemberState::Joining => RebuildPlan::Leave { ordinal },
            state => {
                let missing = format!(
                    "it is {state}, so it cannot hand over what it has; set force to true to give that up, or wait until it serves"
                );
                self.blocked("NoMember", missing)
            }
        }
    }

    fn blocked(&self, reason: &'static str, missing: String) -> RebuildPlan {
        RebuildPlan::Blocked(Blocked {
            node: self.node.name.clone(),
            reason,
            missing,
        })
    }
}

fn names(nodes: &[NodeSeen<'_>]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    names.join(", ")
}

fn is_serving(details: &NodeDetails) -> bool {
    details.ready && details.state == MemberState::Member
}

/// A member that lacks rows of a leaving node.
fn lacking(details: &NodeDetails) -> Option<String> {
    let members = details.members.iter();
    let lacks = |member: &&NodeMember| member.state == MemberState::Member && member.lag > 0;
    let lacking: Vec<_> = members
        .clone()
        .filter(lacks)
        .map(|member| {
            let away = if member.reachable {
                ""
            } else {
                " and is not reached"
            };
            format!("{} lacks {} changes of it{away}", member.name, member.lag)
        })
        .collect();
    let step = if members
        .clone()
        .any(|member| lacks(&member) && !member.reachable)
    {
        "bring back what is not reached"
    } else {
        "wait until they have them"
    };
    (!lacking.is_empty()).then(|| format!("{}; {step}", lacking.join(", ")))
}

#[cfg(test)]
mod tests;
