//! Whoever owns the cluster: remembers little, and writes one durable mark before telling anybody anything.
//!
//! What it tells says what the mark says, so an order that arrives late, from a life before or from another owner, is one
//! that is told at that moment: orders need no place in the air.

use opensecureconf_node::domain::Incarnation;

use crate::world::World;

/// How carefully an owner goes about its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discipline {
    /// Writes the mark if there is none, and tells what the mark says.
    First,
    /// Overwrites the mark with what it saw last: a write without a precondition.
    Again,
    /// Tells only what it remembers, so that a mark whose writer crashed tells nothing.
    Only,
}

/// An owner. The mark survives it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Owner {
    /// Which node it means to found at, from a look at that node some time ago.
    pub(crate) memory: Option<Incarnation>,
    pub(crate) mark: Option<Incarnation>,
}

impl World {
    /// The owner looks at a node: one that is blank, and has rows where any node has.
    pub(crate) fn can_look_at(&self, node: usize) -> bool {
        let rows = |node: usize| self.nodes[node].disk.has_rows();
        let someone_has_rows = self.all().any(rows);
        self.nodes[node].is_up()
            && !self.nodes[node].disk.is_founded()
            && (rows(node) || !someone_has_rows)
    }

    pub(crate) fn look_at(&mut self, node: usize) {
        self.owner.memory = Some(self.nodes[node].disk.incarnation);
    }

    /// Whether writing the mark would change anything.
    pub(crate) fn can_mark(&self) -> bool {
        let Owner { memory, mark } = self.owner;
        let again = self.beginning.discipline == Discipline::Again;
        memory.is_some() && (mark.is_none() || (again && mark != memory))
    }

    pub(crate) fn mark(&mut self) {
        self.owner.mark = self.owner.memory;
    }

    /// What the owner tells nodes to found, if anything.
    pub(crate) fn order(&self) -> Option<Incarnation> {
        let Owner { memory, mark } = self.owner;
        let needs_memory = self.beginning.discipline == Discipline::Only;
        mark.filter(|mark| !needs_memory || memory == Some(*mark))
    }

    /// One round of an owner whom nothing hinders. Where the marked node is lost, and everybody answers and belongs to
    /// nothing, a person allows a new founding.
    pub(crate) fn owner_goes_on(&mut self) {
        if self.nodes.iter().any(|node| node.disk.is_founded()) {
            return;
        }
        let lost = |world: &Self, marked| {
            world
                .nodes
                .iter()
                .all(|node| node.disk.incarnation != marked)
        };
        if self.owner.mark.is_some_and(|marked| lost(self, marked)) {
            self.owner = Owner::default();
            self.foundings.clear();
            self.salts.clear();
        }
        if self.owner.mark.is_none() {
            let node = self.all().find(|node| self.can_look_at(*node));
            if let Some(node) = node {
                self.look_at(node);
                self.mark();
            }
        }
        let Some(order) = self.order() else {
            return;
        };
        for node in self.all() {
            if self.nodes[node].disk.incarnation == order {
                self.told_to_found(node, order, false);
            }
        }
    }
}
