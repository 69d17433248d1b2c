//! The worlds in which searches begin: their nodes, and how far these have come.

use std::collections::BTreeSet;

use opensecureconf_node::{cluster::Rules, crypto::Salt};

use crate::{action::Action, air::Delivery, owner::AdminStrategy, world::World};

/// The part of a world that never changes.
#[derive(Clone)]
pub(crate) struct InitialState {
    /// The nodes' names.
    pub(crate) names: &'static [&'static str],
    /// The salt that every node mounts; without a mounted salt, the node that bootstraps makes one.
    pub(crate) mounted: Option<Salt>,
    /// Whether the first node brings rows of its own.
    pub(crate) rows: bool,
    pub(crate) rules: Rules,
    pub(crate) discipline: AdminStrategy,
}

impl InitialState {
    pub(crate) fn of(names: &'static [&'static str]) -> Self {
        Self {
            names,
            mounted: None,
            rows: false,
            rules: Rules::ALL,
            discipline: AdminStrategy::First,
        }
    }

    /// The first node has two rows, and the salt under which they were sealed is mounted everywhere.
    pub(crate) fn with_rows(self) -> Self {
        Self {
            mounted: Salt::from_bytes(&[5; 64]),
            rows: true,
            ..self
        }
    }

    pub(crate) fn has_namesakes(&self) -> bool {
        self.names.iter().collect::<BTreeSet<_>>().len() < self.names.len()
    }

    /// Whether nodes differ only in their names.
    pub(crate) fn are_nodes_alike(&self) -> bool {
        let names: BTreeSet<_> = self.names.iter().collect();
        !self.rows && (names.len() == 1 || !self.has_namesakes())
    }

    /// All nodes are up on empty disks and have received no message.
    pub(crate) fn blank(&self) -> World {
        World::new(self.clone())
    }

    /// All nodes have met, and the first one was instructed to bootstrap.
    pub(crate) fn bootstrapped(&self) -> World {
        let mut world = self.blank();
        for node in 1..self.names.len() {
            world.must(Action::Asks(0, node, Delivery::Arrives));
            world.must(Action::Asks(node, 0, Delivery::Arrives));
        }
        world.must(Action::OwnerLooksAt(0));
        world.must(Action::OwnerMarks);
        world.must(Action::OwnerTells(0));
        world
    }

    /// The second node has one page of the first one's snapshot.
    pub(crate) fn joining(&self) -> World {
        let mut world = self.bootstrapped();
        world.must(Action::TimePasses);
        world.must(Action::Asks(1, 0, Delivery::Arrives));
        world.must(Action::Asks(1, 0, Delivery::Arrives));
        world
    }

    /// All are ready.
    pub(crate) fn grown(&self) -> World {
        let mut world = self.bootstrapped();
        for _ in 0..20 {
            if !world.is_well() {
                world.goes_on(false);
            }
        }
        world
    }
}

impl World {
    fn must(&mut self, action: Action) {
        self.is_symmetrical = false;
        assert!(self.apply(action), "{action} is not possible");
    }
}
