//! The cluster admin: remembers little, and writes one durable mark before it instructs any node. The function that the
//! operator and `osc-node bootstrap` call decides which node the admin chooses.
//!
//! Every order repeats the mark. An order that arrives late, from an earlier life or another admin, is therefore the same as
//! one that is given at that moment: orders need no place in the air.

use opensecureconf_contract::{
    bootstrap::{BootstrapMark, BootstrapStep, decide},
    status::NodeDetails,
};
use opensecureconf_node::domain::Incarnation;

use crate::world::World;

/// How carefully an owner goes about its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminStrategy {
    /// Writes the mark if there is none, and orders what the mark says.
    First,
    /// Overwrites the mark with the last observation: a write without a precondition.
    Again,
    /// Orders only where it remembers the mark, so that a mark whose writer crashed has no effect.
    Only,
}

/// An owner. The mark survives it.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Owner {
    /// The node at which the admin means to bootstrap the cluster, from an observation some time ago.
    pub(crate) memory: Option<Incarnation>,
    pub(crate) mark: Option<Incarnation>,
}

impl World {
    /// The decision where these nodes answer, of those that are up.
    fn decided(&self, mark: Option<Incarnation>, answers: impl Fn(usize) -> bool) -> BootstrapStep {
        let mark = match mark {
            Some(incarnation) => BootstrapMark::Chosen(incarnation.to_string()),
            // Rows, and the salt that is mounted for them, were there before.
            None if self.beginning.rows => BootstrapMark::Absent,
            None => BootstrapMark::Unchosen,
        };
        let said = |node: usize| {
            let node = &self.nodes[node];
            NodeDetails {
                incarnation: node.disk.tables.incarnation.to_string(),
                cluster_uid: node.disk.is_bootstrapped().then(String::new),
                salt_fingerprint: node
                    .disk
                    .tables
                    .salt
                    .as_ref()
                    .map(|salt| salt.fingerprint().to_string()),
                entries: u64::from(node.disk.has_rows()),
                ..NodeDetails::default()
            }
        };
        let said: Vec<_> = self
            .all()
            .map(|node| (self.nodes[node].is_up() && answers(node)).then(|| said(node)))
            .collect();
        let said: Vec<_> = said.iter().map(Option::as_ref).collect();
        decide(&mark, &said)
    }

    /// Whether the admin can choose this node. Others may be silent meanwhile, as far as the decision allows it.
    pub(crate) fn can_look_at(&self, node: usize) -> bool {
        let means = |step: BootstrapStep| matches!(step, BootstrapStep::Choose { node: chosen, .. } if chosen == node);
        means(self.decided(None, |other| other == node)) || means(self.decided(None, |_| true))
    }

    pub(crate) fn look_at(&mut self, node: usize) {
        self.owner.memory = Some(self.nodes[node].disk.tables.incarnation);
    }

    /// Whether writing the mark would change anything.
    pub(crate) fn can_mark(&self) -> bool {
        let Owner { memory, mark } = self.owner;
        let again = self.beginning.discipline == AdminStrategy::Again;
        memory.is_some() && (mark.is_none() || (again && mark != memory))
    }

    pub(crate) fn mark(&mut self) {
        self.owner.mark = self.owner.memory;
    }

    /// The order to bootstrap that the owner gives nodes, if any.
    pub(crate) fn order(&self) -> Option<Incarnation> {
        let Owner { memory, mark } = self.owner;
        let needs_memory = self.beginning.discipline == AdminStrategy::Only;
        mark.filter(|mark| !needs_memory || memory == Some(*mark))
    }

    /// One round of an admin without faults. Where the marked node is lost, all nodes answer and none belongs to a cluster, a
    /// person allows a new bootstrap.
    pub(crate) fn owner_goes_on(&mut self) {
        let everybody = |_| true;
        let mut step = self.decided(self.owner.mark, everybody);
        if let BootstrapStep::Lost { .. } = step {
            self.owner = Owner::default();
            self.cluster_uids.clear();
            self.salts.clear();
            step = self.decided(None, everybody);
        }
        match step {
            BootstrapStep::Choose { node, .. } => {
                self.look_at(node);
                self.mark();
            }
            BootstrapStep::Tell { .. } => {}
            BootstrapStep::Settled
            | BootstrapStep::Record(_)
            | BootstrapStep::Wait
            | BootstrapStep::SaltsDiffer
            | BootstrapStep::Lost { .. } => return,
        }
        let Some(order) = self.order() else {
            return;
        };
        for node in self.all() {
            if self.nodes[node].disk.tables.incarnation == order {
                self.told_to_bootstrap(node, order, false);
            }
        }
    }
}
