//! The admin of a cluster, in the operator's role: bootstraps once, by a durable mark, and adds and removes nodes.

use std::time::Duration;

use opensecureconf_contract::{
    bootstrap::{BootstrapMark, BootstrapStep, decide},
    status::NodeDetails,
};
use opensecureconf_node::{
    cluster::{AdminOrder, AdminOutcome, AdminRefusal, FenceReason, MemberName, State},
    domain::Incarnation,
};
use rand::RngExt;

use crate::world::{Job, NodeId, OrderId, SimulationEvent, World};

/// The interval between two looks of the admin at its cluster.
const PAUSE: Duration = Duration::from_millis(400);
/// How long it waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the admin looks on while nodes wait for it: another member may give them a snapshot by itself.
const LOOKS_ON: Duration = Duration::from_secs(20);

/// How many times the admin repeats a removal whose target the members do not know.
const PERSISTENCE: u32 = 250;

/// The admin's durable memory, and its current task.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// The node that it instructed, or is about to instruct, to bootstrap the cluster. Never changes.
    mark: Option<(NodeId, Incarnation)>,
    pub(crate) bootstrapped: bool,
    task: Option<Task>,
    /// Whether every node is up, so that a member that no node is, is dead.
    pub(crate) clears_up: bool,
    /// Since when a node waits for it.
    awaited_since: Option<Duration>,
    /// The last order, its time, and whether the task waits for it.
    order: Option<(OrderId, Duration, bool)>,
}

/// A task of several orders.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// A node is to leave; `stays` when its owner changes its mind after that.
    Leave { node: NodeId, stays: bool },
    /// A database has left and is to be removed. The admin repeats the order to a member that does not know the database, but
    /// not for ever.
    Remove {
        name: MemberName,
        incarnation: Incarnation,
        force: bool,
        tries: u32,
    },
    /// A database is believed to be dead.
    RemoveDead {
        name: MemberName,
        incarnation: Incarnation,
    },
}

impl Owner {
    /// Whether no task is left.
    pub(crate) fn is_idle(&self) -> bool {
        self.bootstrapped && self.task.is_none()
    }

    /// The node that it instructed to bootstrap.
    pub(crate) fn marked(&self) -> Option<NodeId> {
        self.mark.map(|(node, _)| node)
    }
}

impl World {
    /// The decision where these nodes answer, by the very function that the operator calls. A node that is down counts with the
    /// answer that it will give once it is up; an order to it is lost.
    fn bootstrap_step(
        &self,
        mark: &BootstrapMark,
        answers: impl Fn(NodeId) -> bool,
    ) -> BootstrapStep {
        let said = |node: NodeId| {
            let contents = self.nodes[node].disk.durable();
            let cluster_uid = contents
                .membership
                .as_ref()
                .and_then(|membership| membership.cluster_uid);
            NodeDetails {
                incarnation: contents.incarnation.to_string(),
                cluster_uid: cluster_uid.map(|cluster_uid| cluster_uid.to_string()),
                salt_fingerprint: contents
                    .salt
                    .as_ref()
                    .map(|salt| salt.fingerprint().to_string()),
                entries: contents.rows.len() as u64,
                ..NodeDetails::default()
            }
        };
        let said: Vec<_> = (0..self.nodes.len())
            .filter(|node| !self.nodes[*node].retired)
            .map(|node| answers(node).then(|| said(node)))
            .collect();
        let said: Vec<_> = said.iter().map(Option::as_ref).collect();
        decide(mark, &said)
    }

    /// Marks a node: the one that the decision chooses where all others are silent.
    pub(crate) fn mark(&mut self, node: NodeId) {
        let step = self.bootstrap_step(&BootstrapMark::Unchosen, |other| other == node);
        assert!(
            matches!(step, BootstrapStep::Choose { .. }),
            "it cannot be marked: {step:?}"
        );
        self.owner.mark = Some((node, self.nodes[node].disk.durable().incarnation));
    }

    /// Gives the admin a task, unless it has one.
    pub(crate) fn charge(&mut self, task: Task) {
        if self.owner.is_idle() {
            self.story
                .tell(self.time, || format!("the owner begins: {task:?}"));
            self.owner.task = Some(task);
        }
    }

    /// Sends an order to a node.
    pub(crate) fn order(&mut self, node: NodeId, order: AdminOrder) -> OrderId {
        let id = self.orders.len();
        self.orders.push(None);
        self.story.tell(self.time, || {
            format!("the owner tells node {node}: {order:?}")
        });
        let life = self.nodes[node].life;
        let job = Job::Order(order, id);
        self.later(
            Duration::from_millis(2),
            SimulationEvent::Arrive { node, life, job },
        );
        id
    }

    /// The admin reads the last answer and goes on.
    pub(crate) fn owner_acts(&mut self) {
        self.later(PAUSE, SimulationEvent::Owner);
        if let Some((order, since, awaited)) = self.owner.order {
            let answer = self.orders[order].clone();
            if answer.is_none() && self.time < since + TIMEOUT {
                return;
            }
            self.owner.order = None;
            if let Some(answer) = answer.filter(|_| awaited) {
                self.owner_hears(&answer);
            }
        }
        let aside = self.dead_member();
        let aside = aside.or_else(|| self.waiting_member());
        let awaited = aside.is_none();
        if let Some((node, order)) = aside.or_else(|| self.next_order()) {
            let order = self.order(node, order);
            self.owner.order = Some((order, self.time, awaited));
        }
    }

    fn next_order(&mut self) -> Option<(NodeId, AdminOrder)> {
        if !self.owner.bootstrapped {
            let (node, incarnation) = self.owner.mark?;
            let mark = BootstrapMark::Chosen(incarnation.to_string());
            let tells = match self.bootstrap_step(&mark, |_| true) {
                // The node may have bootstrapped; an admin that has not seen that repeats the order.
                BootstrapStep::Tell { .. } | BootstrapStep::Settled => true,
                BootstrapStep::Record(_)
                | BootstrapStep::Choose { .. }
                | BootstrapStep::Wait
                | BootstrapStep::SaltsDiffer
                | BootstrapStep::Lost { .. } => false,
            };
            return tells.then_some((
                node,
                AdminOrder::Bootstrap {
                    incarnation,
                    mounted: None,
                },
            ));
        }
        match self.owner.task.clone()? {
            Task::Leave { node, .. } => Some((node, AdminOrder::Leave)),
            Task::Remove {
                name,
                incarnation,
                force,
                ..
            } => {
                let at = self.any_serving(&name)?;
                // Once the database has left, others stand by its acknowledgements.
                self.history.void(incarnation, "removed by its owner");
                Some((
                    at,
                    AdminOrder::Remove {
                        name,
                        incarnation,
                        force,
                    },
                ))
            }
            Task::RemoveDead { name, incarnation } => {
                let at = self.any_serving(&name)?;
                self.history.void(incarnation, "removed by force");
                let force = true;
                Some((
                    at,
                    AdminOrder::Remove {
                        name,
                        incarnation,
                        force,
                    },
                ))
            }
        }
    }

    fn owner_hears(&mut self, answer: &Result<AdminOutcome, AdminRefusal>) {
        match (self.owner.task.clone(), answer) {
            (None, Ok(AdminOutcome::Bootstrapped(_))) => self.owner.bootstrapped = true,
            (Some(Task::Leave { node, stays }), Ok(AdminOutcome::Leaving(state))) => {
                if matches!(
                    state,
                    None | Some(State::Left | State::Removed | State::Superseded)
                ) {
                    let name = MemberName::new(self.nodes[node].name.as_str());
                    let incarnation = self.nodes[node].disk.durable().incarnation;
                    let force = *state != Some(State::Left);
                    if !stays {
                        self.retire(node);
                    }
                    self.owner.task = Some(Task::Remove {
                        name,
                        incarnation,
                        force,
                        tries: 0,
                    });
                }
            }
            (Some(Task::Remove { .. }), Ok(AdminOutcome::Removed)) => self.owner.task = None,
            (
                Some(Task::Remove { incarnation, .. }),
                Err(AdminRefusal::NotCurrent { current, .. }),
            ) if !self.exists(*current) && !self.exists(incarnation) => {
                // An earlier life of that name, whose disk is gone.
                if let Some(Task::Remove {
                    incarnation, force, ..
                }) = &mut self.owner.task
                {
                    (*incarnation, *force) = (*current, true);
                }
            }
            (
                Some(Task::Remove { .. }),
                Err(AdminRefusal::NotCurrent { .. } | AdminRefusal::Unknown { .. }),
            ) => {
                if let Some(Task::Remove { tries, .. }) = &mut self.owner.task {
                    *tries += 1;
                    if *tries > PERSISTENCE {
                        self.owner.task = None;
                    }
                }
            }
            (
                Some(Task::RemoveDead { .. }),
                Ok(_) | Err(AdminRefusal::NotCurrent { .. } | AdminRefusal::Unknown { .. }),
            ) => {
                self.owner.task = None;
            }
            _ => {}
        }
    }

    /// The removal of a member that no node is, or of one that has left and is to stay: the members that knew of its removal may
    /// be lost.
    fn dead_member(&mut self) -> Option<(NodeId, AdminOrder)> {
        if !self.owner.clears_up {
            return None;
        }
        let at = self.any_serving(&MemberName::new(""))?;
        let roster = &self.nodes[at].disk.durable().roster;
        let states = roster.states(self.rules);
        let is_idle = self.owner.is_idle();
        let (incarnation, _) = states.into_iter().find(|(who, state)| {
            let has_left = *state == State::Left;
            (has_left && is_idle) || ((state.counts() || has_left) && !self.exists(*who))
        })?;
        let name = roster.entry(incarnation)?.name.clone();
        // The database may be admitted just now, and read its last page a moment later.
        self.history.void(incarnation, "removed by its owner");
        let force = true;
        Some((
            at,
            AdminOrder::Remove {
                name,
                incarnation,
                force,
            },
        ))
    }

    /// The order to go on for a node that must load a snapshot that no node can give, as a person gives it after a while. Each of
    /// two members may have purged what the other still has: neither had to wait for the other when it did.
    fn waiting_member(&mut self) -> Option<(NodeId, AdminOrder)> {
        let waits = |node: &NodeId| {
            let view = self.view(*node);
            view.is_some_and(|view| {
                view.waits_for_owner && view.fenced.is_some_and(FenceReason::is_forgivable)
            })
        };
        let waiting: Vec<_> = self.present().into_iter().filter(waits).collect();
        let Some(first) = waiting.first().copied().filter(|_| self.owner.clears_up) else {
            self.owner.awaited_since = None;
            return None;
        };
        let since = *self.owner.awaited_since.get_or_insert(self.time);
        if self.time < since + LOOKS_ON {
            return None;
        }
        // The deletes of the others may come back, with the admin's consent.
        for other in &waiting[1..] {
            let lost = self.nodes[*other].disk.durable().incarnation;
            self.history
                .void(lost, "another one went on without its deletes");
        }
        Some((first, AdminOrder::Unfence { dry_run: false }))
    }

    /// Whether there is a database in some node that was not taken away.
    fn exists(&self, incarnation: Incarnation) -> bool {
        self.present()
            .iter()
            .any(|node| self.nodes[*node].disk.durable().incarnation == incarnation)
    }

    /// Removes a node for good, with its disk.
    pub(crate) fn retire(&mut self, node: NodeId) {
        self.crash(node);
        self.nodes[node].retired = true;
        let incarnation = self.nodes[node].disk.durable().incarnation;
        self.history.void(incarnation, "taken away by its owner");
        self.story
            .tell(self.time, || format!("node {node} is taken away"));
        let list = self.addresses(&self.present());
        for other in self.present() {
            self.list_later(other, list.clone());
        }
    }

    /// A ready node of another name.
    fn any_serving(&mut self, other_than: &MemberName) -> Option<NodeId> {
        let mut serving = self.present();
        serving
            .retain(|node| self.nodes[*node].name != other_than.as_str() && self.is_ready(*node));
        let chosen = serving.len().checked_sub(1)?;
        Some(serving[self.random.random_range(0..=chosen)])
    }
}
