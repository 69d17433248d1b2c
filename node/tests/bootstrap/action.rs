//! The actions that the search may take next.

use std::fmt;

use crate::{air::Delivery, owner::AdminStrategy, world::World};

/// One action of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A node sends another node the request that is due.
    Asks(usize, usize, Delivery),
    /// A late message arrives.
    LateArrives(usize),
    /// A second passes; nodes whose requests got no answer notice.
    TimePasses,
    /// No node hears another for so long that all count as gone.
    Silence,
    Crashes(usize),
    FailsToCommit(usize),
    Starts(usize),
    StartsWithOldList(usize),
    LosesDisk(usize),
    OwnerLooksAt(usize),
    OwnerMarks,
    OwnerForgets,
    OwnerTells(usize),
    OwnerTellsAndNodeCrashesAfterCommit(usize),
}

const FAULTS: [Delivery; 6] = [
    Delivery::AnswerIsLost,
    Delivery::AskedCrashesAfterCommit,
    Delivery::AskerCrashesAfterCommit,
    Delivery::RequestIsLate,
    Delivery::AnswerIsLate,
    Delivery::RequestArrivesAgainLater,
];

/// Long enough that no node counts as alive.
const SILENCE: u32 = 3;

impl Action {
    pub(crate) fn is_fault(self) -> bool {
        match self {
            Self::Asks(_, _, fate) => fate != Delivery::Arrives,
            Self::Silence
            | Self::Crashes(_)
            | Self::FailsToCommit(_)
            | Self::StartsWithOldList(_)
            | Self::LosesDisk(_)
            | Self::OwnerForgets
            | Self::OwnerTellsAndNodeCrashesAfterCommit(_) => true,
            Self::LateArrives(_)
            | Self::TimePasses
            | Self::Starts(_)
            | Self::OwnerLooksAt(_)
            | Self::OwnerMarks
            | Self::OwnerTells(_) => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl World {
    /// Every action that may be possible next; some of them turn out to have no effect.
    pub(crate) fn actions(&self, faults: bool) -> Vec<Action> {
        let nodes = self.all();
        let up = |node: &usize| self.nodes[*node].is_up();
        let mut actions = vec![
            Action::TimePasses,
            Action::Silence,
            Action::OwnerForgets,
            Action::OwnerMarks,
        ];
        for asker in nodes.clone().filter(up) {
            for asked in nodes.clone().filter(|asked| *asked != asker) {
                actions.push(Action::Asks(asker, asked, Delivery::Arrives));
                if up(&asked) {
                    actions.extend(FAULTS.map(|fate| Action::Asks(asker, asked, fate)));
                }
            }
        }
        for node in nodes {
            if up(&node) {
                actions.extend([
                    Action::Crashes(node),
                    Action::OwnerLooksAt(node),
                    Action::OwnerTells(node),
                ]);
                actions.push(Action::FailsToCommit(node));
                actions.push(Action::OwnerTellsAndNodeCrashesAfterCommit(node));
            } else {
                actions.extend([Action::Starts(node), Action::StartsWithOldList(node)]);
            }
            actions.push(Action::LosesDisk(node));
        }
        let late = self
            .air
            .iter()
            .enumerate()
            .filter(|(_, message)| message.late);
        actions.extend(late.map(|(index, _)| Action::LateArrives(index)));
        actions.retain(|action| (faults || !action.is_fault()) && self.owner_may(*action));
        actions
    }

    /// Whether a first action has a mirror image that leads to the same world with other names.
    pub(crate) fn is_mirrored(&self, action: Action) -> bool {
        if !self.is_symmetrical {
            return false;
        }
        match action {
            Action::Asks(asker, asked, _) => (asker, asked) != (0, 1),
            Action::Crashes(node)
            | Action::FailsToCommit(node)
            | Action::LosesDisk(node)
            | Action::OwnerLooksAt(node) => node != 0,
            _ => false,
        }
    }

    fn owner_may(&self, action: Action) -> bool {
        let needs_memory =
            self.owner.mark.is_none() || self.beginning.discipline != AdminStrategy::First;
        match action {
            Action::OwnerLooksAt(node) => {
                needs_memory
                    && self.can_look_at(node)
                    && self.owner.memory != Some(self.nodes[node].disk.tables.incarnation)
            }
            Action::OwnerMarks => self.can_mark(),
            Action::OwnerForgets => needs_memory && self.owner.memory.is_some(),
            Action::OwnerTells(_) | Action::OwnerTellsAndNodeCrashesAfterCommit(_) => {
                self.order().is_some()
            }
            _ => true,
        }
    }

    /// Carries the action out; `false` where it has no effect.
    pub(crate) fn apply(&mut self, action: Action) -> bool {
        match action {
            Action::Asks(asker, asked, fate) => {
                let Some(message) = self.take_request(asker, asked) else {
                    return false;
                };
                self.exchange(message, fate);
            }
            Action::LateArrives(index) => self.arrives(index),
            Action::TimePasses => self.pass(1),
            Action::Silence => self.pass(SILENCE),
            Action::Crashes(node) => self.crash(node),
            Action::FailsToCommit(node) => self.fail_commit(node),
            Action::Starts(node) => self.start(node, true),
            Action::StartsWithOldList(node) => self.start(node, false),
            Action::LosesDisk(node) => self.wipe(node),
            Action::OwnerLooksAt(node) => self.look_at(node),
            Action::OwnerMarks => self.mark(),
            Action::OwnerForgets => self.owner.memory = None,
            Action::OwnerTells(node) | Action::OwnerTellsAndNodeCrashesAfterCommit(node) => {
                let Some(order) = self.order() else {
                    return false;
                };
                let crashes = matches!(action, Action::OwnerTellsAndNodeCrashesAfterCommit(_));
                self.told_to_bootstrap(node, order, crashes);
            }
        }
        true
    }
}
