//! The faults of a world. Each world has its own selection, so that rare combinations come up.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{Address, AdminOrder, MemberName, Mode, State},
    domain::Incarnation,
};
use rand::{RngExt, seq::IndexedRandom};

use crate::{
    disk::{Disk, Failure},
    node::Room,
    owner::Task,
    world::{NodeId, SimulationEvent, World},
};

/// How a world is.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Rows in one message or page at most.
    pub(crate) page: usize,
    pub(crate) grace: Duration,
    pub(crate) sync_interval: Duration,
    /// Whether everything works: then the promises are stronger.
    pub(crate) is_calm: bool,
    pub(crate) crash_at_commit: f64,
    pub(crate) keys: usize,
    pub(crate) client_pause: Duration,
    faults: Vec<Fault>,
    chaos_pause: Duration,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Crash,
    LongCrash,
    Restart,
    Wipe,
    RollBack,
    Snapshot,
    Part,
    OneWay,
    Heal,
    Storm,
    Jump,
    SlowDisk,
    FullDisk,
    BrokenCommit,
    ShortList,
    ScaleUp,
    ScaleDown,
    ScaleDownCancelled,
    RemoveByForce,
    RemoveEachOther,
}

impl Fault {
    const WILD: &[Self] = &[
        Self::Crash,
        Self::LongCrash,
        Self::Wipe,
        Self::RollBack,
        Self::Snapshot,
        Self::Part,
        Self::OneWay,
        Self::Heal,
        Self::Storm,
        Self::Jump,
        Self::SlowDisk,
        Self::FullDisk,
        Self::BrokenCommit,
        Self::ShortList,
        Self::ScaleUp,
        Self::ScaleDown,
        Self::ScaleDownCancelled,
        Self::RemoveByForce,
        Self::RemoveEachOther,
    ];
    /// The events of a calm world.
    const CALM: &[Self] = &[Self::Restart, Self::ScaleUp, Self::ScaleDown];
}

impl Profile {
    /// A world whose faults come only from scripts.
    pub(crate) fn calm() -> Self {
        Self {
            page: 100,
            grace: Duration::from_hours(1),
            sync_interval: Duration::from_secs(5),
            is_calm: false,
            crash_at_commit: 0.0,
            keys: 4,
            client_pause: Duration::from_millis(200),
            faults: Vec::new(),
            chaos_pause: Duration::from_secs(2),
        }
    }
}

impl World {
    /// A world like no other: some nodes, some faults, some clients.
    pub(crate) fn settle(&mut self) {
        let random = &mut self.random;
        let is_calm = random.random_bool(0.15);
        let menu = if is_calm { Fault::CALM } else { Fault::WILD };
        let share = random.random_range(0.2..0.8);
        let faults = menu
            .iter()
            .copied()
            .filter(|_| random.random_bool(share))
            .collect();
        self.profile = Profile {
            page: *[1, 2, 3, 100].choose(random).unwrap(),
            grace: Duration::from_millis(*[0, 0, 3_000, 20_000].choose(random).unwrap()),
            sync_interval: Duration::from_secs(*[1, 5, 30].choose(random).unwrap()),
            is_calm,
            crash_at_commit: if is_calm {
                0.0
            } else {
                *[0.0, 0.001, 0.01].choose(random).unwrap()
            },
            keys: *[1, 2, 4, 8, 24].choose(random).unwrap(),
            client_pause: Duration::from_millis(*[60, 150, 400].choose(random).unwrap()),
            faults,
            chaos_pause: Duration::from_millis(*[700, 1500, 4000].choose(random).unwrap()),
        };
        let count = *[1, 2, 3, 3, 3, 4].choose(random).unwrap();
        let skewed = !is_calm && random.random_bool(0.5);
        if !is_calm && random.random_bool(0.6) {
            self.network.duplicates = *[0.0, 0.05].choose(random).unwrap();
            self.network.slow = *[0.0, 0.02].choose(random).unwrap();
            self.network.late = *[0.0, 0.0, 0.01].choose(random).unwrap();
        }
        for number in 0..count {
            let node = self.add_node(&format!("node-{number}"));
            if skewed {
                self.nodes[node].skew = self.any_skew();
            }
        }
        let list = self.addresses(&self.present());
        for node in self.present() {
            self.nodes[node].list.clone_from(&list);
            let after = Duration::from_millis(self.random.random_range(0..2000));
            self.later(after, SimulationEvent::Start(node));
        }
        let chosen = self.random.random_range(0..count);
        self.mark(chosen);
        self.later(Duration::ZERO, SimulationEvent::Owner);
        if self.mode == Mode::Federated {
            self.later(Duration::ZERO, SimulationEvent::HandOver);
        }
        self.later(Duration::from_secs(1), SimulationEvent::Client);
        self.later(Duration::from_secs(2), SimulationEvent::Chaos);
    }

    fn any_skew(&mut self) -> i64 {
        self.clocks_agree = false;
        let most: i64 = *[30_000, 5_000_000, 86_400_000_000]
            .choose(&mut self.random)
            .unwrap();
        self.random.random_range(-most..most)
    }

    /// Causes a fault, and schedules the next.
    pub(crate) fn chaos_acts(&mut self) {
        let pause = self
            .profile
            .chaos_pause
            .mul_f64(self.random.random_range(0.1..2.0));
        self.later(pause, SimulationEvent::Chaos);
        let Some(fault) = self.profile.faults.choose(&mut self.random).copied() else {
            return;
        };
        let nodes = self.present();
        let node = *nodes.choose(&mut self.random).unwrap();
        let other = *nodes.choose(&mut self.random).unwrap();
        self.story
            .tell(self.time, || format!("chaos: {fault:?} {node} {other}"));
        match fault {
            Fault::Crash => {
                self.crash(node);
                self.start_soon(node);
            }
            Fault::LongCrash => {
                self.crash(node);
                let after = Duration::from_secs(self.random.random_range(10..40));
                self.later(after, SimulationEvent::Start(node));
            }
            Fault::Restart => self.restart_calmly(node),
            Fault::Wipe => self.wipe_if_safe(node),
            Fault::RollBack => self.roll_back_if_safe(node),
            Fault::Snapshot => {
                let contents = self.nodes[node].disk.durable().clone();
                self.nodes[node].snapshots.push(contents);
            }
            Fault::Part if node != other => self.network.part(node, other),
            Fault::OneWay if node != other => self.network.cut(node, other),
            Fault::Part | Fault::OneWay => {}
            Fault::Heal => self.network.heal(),
            Fault::Storm => {
                self.network.loss = self.random.random_range(0.0..0.5);
                self.network.slow = self.random.random_range(0.0..0.3);
            }
            Fault::Jump => self.nodes[node].skew = self.any_skew(),
            Fault::SlowDisk => {
                let millis = *[0, 3, 50, 700, 2500].choose(&mut self.random).unwrap();
                self.nodes[node].commit_time = Duration::from_millis(millis);
            }
            Fault::FullDisk => {
                let rooms = [
                    Room::Everything,
                    Room::Everything,
                    Room::Deletes,
                    Room::Nothing,
                ];
                self.nodes[node].room = *rooms.choose(&mut self.random).unwrap();
            }
            Fault::BrokenCommit => {
                let failures = [Failure::Write, Failure::Commit, Failure::AfterCommit];
                self.nodes[node].disk.failure = failures.choose(&mut self.random).copied();
            }
            Fault::ShortList => {
                let mut list = self.addresses(&nodes);
                list.retain(|_| self.random.random_bool(0.5));
                list.push(self.nodes[node].address.clone());
                self.list(node, list);
            }
            Fault::ScaleUp => self.scale_up(),
            Fault::ScaleDown | Fault::ScaleDownCancelled => {
                let node = *nodes.last().unwrap();
                let stays = fault == Fault::ScaleDownCancelled;
                if self.is_expendable(node) && nodes.len() > 1 {
                    self.charge(Task::Leave { node, stays });
                }
            }
            Fault::RemoveByForce => self.remove_by_force_if_safe(node),
            Fault::RemoveEachOther => self.remove_each_other(node, other),
        }
    }

    /// Restarts one node at a time, and only while all others serve. A returning pod has no DNS name for a moment.
    fn restart_calmly(&mut self, node: NodeId) {
        if self.owner.is_idle() && self.present().iter().all(|node| self.is_ready(*node)) {
            self.network.unnamed.insert(node);
            let named = Duration::from_millis(self.random.random_range(0..4000));
            self.later(named, SimulationEvent::Named(node));
            self.crash(node);
            self.start_soon(node);
        }
    }

    fn scale_up(&mut self) {
        if self.present().len() >= 5 || !self.owner.is_idle() {
            return;
        }
        let settled = self.present().iter().all(|node| self.is_ready(*node));
        if self.profile.is_calm && !settled {
            return;
        }
        // A name may come back: that of a node that was taken away.
        let names: Vec<_> = self
            .present()
            .iter()
            .map(|node| self.nodes[*node].name.clone())
            .collect();
        let name = (0..=names.len())
            .map(|number| format!("node-{number}"))
            .find(|name| !names.contains(name));
        let node = self.add_node(&name.unwrap());
        let list = self.addresses(&self.present());
        self.nodes[node].list.clone_from(&list);
        self.start_soon(node);
        for other in self.present() {
            self.list_later(other, list.clone());
        }
    }

    /// A list of addresses is a file, and files arrive late.
    pub(crate) fn list_later(&mut self, node: NodeId, list: Vec<Address>) {
        if self.profile.is_calm {
            self.list(node, list);
        } else {
            let after = Duration::from_millis(self.random.random_range(0..6000));
            self.later(after, SimulationEvent::List(node, list));
        }
    }

    /// Members whose promises count.
    fn standing_members(&self) -> Vec<(NodeId, Incarnation)> {
        self.present()
            .into_iter()
            .map(|node| (node, self.nodes[node].disk.durable()))
            .filter(|(_, contents)| {
                contents.state(self.rules) == Some(State::Member)
                    && !self.history.void.contains_key(&contents.incarnation)
            })
            .map(|(node, contents)| (node, contents.incarnation))
            .collect()
    }

    /// Whether the cluster lives on without a node's disk.
    fn is_expendable(&self, node: NodeId) -> bool {
        let marked_waits = !self.owner.bootstrapped && self.owner.marked() == Some(node);
        !marked_waits
            && self
                .standing_members()
                .iter()
                .any(|(other, _)| *other != node)
    }

    fn wipe_if_safe(&mut self, node: NodeId) {
        if self.is_expendable(node) {
            self.wipe(node);
            self.start_soon(node);
        }
    }

    /// A node's disk is lost; the node is down with an empty one.
    pub(crate) fn wipe(&mut self, node: NodeId) {
        self.crash(node);
        let before = self.nodes[node].disk.durable().clone();
        let lost = before.incarnation;
        self.history.void(lost, "its disk was lost");
        let incarnation = self.fresh_incarnation();
        self.nodes[node].disk = Disk::new(incarnation, self.profile.page);
        let after = self.nodes[node].disk.durable().clone();
        self.lose_values(&before, &after);
        self.nodes[node].snapshots.clear();
        self.story
            .tell(self.time, || format!("node {node} loses its disk ({lost})"));
    }

    fn roll_back_if_safe(&mut self, node: NodeId) {
        let Some(snapshot) = self.nodes[node].snapshots.choose(&mut self.random).cloned() else {
            return;
        };
        if self.is_expendable(node) {
            self.roll_back(node, snapshot);
            self.start_soon(node);
        }
    }

    /// A node's volume goes back to an earlier state; it is down.
    pub(crate) fn roll_back(
        &mut self,
        node: NodeId,
        snapshot: std::sync::Arc<crate::disk::Contents>,
    ) {
        self.crash(node);
        let before = self.nodes[node].disk.durable().clone();
        self.lose_values(&before, &snapshot);
        let lost = before.incarnation;
        self.history.void(lost, "its volume went back");
        self.history
            .void(snapshot.incarnation, "its volume went back");
        self.history.went_back.insert(snapshot.incarnation);
        self.history.forget(&snapshot);
        self.nodes[node].disk.replace(snapshot);
        self.story
            .tell(self.time, || format!("the volume of node {node} goes back"));
    }

    fn remove_by_force_if_safe(&mut self, node: NodeId) {
        let incarnation = self.nodes[node].disk.durable().incarnation;
        let name = MemberName::new(self.nodes[node].name.as_str());
        if self.is_expendable(node) && self.owner.is_idle() {
            self.crash(node);
            let after = Duration::from_secs(self.random.random_range(1..30));
            self.later(after, SimulationEvent::Start(node));
            self.history.void(incarnation, "removed by force");
            self.charge(Task::RemoveDead { name, incarnation });
        }
    }

    /// Each half of a cluster that is cut in two assumes that the other one is dead.
    fn remove_each_other(&mut self, one: NodeId, other: NodeId) {
        let both_serve = self.is_ready(one) && self.is_ready(other);
        if one == other || !both_serve || !self.owner.is_idle() {
            return;
        }
        self.network.part(one, other);
        for (at, dead) in [(one, other), (other, one)] {
            let incarnation = self.nodes[dead].disk.durable().incarnation;
            let name = MemberName::new(self.nodes[dead].name.as_str());
            self.history.void(incarnation, "removed by the other half");
            let force = true;
            self.order(
                at,
                AdminOrder::Remove {
                    name,
                    incarnation,
                    force,
                },
            );
        }
    }

    /// Everything works again, for ever.
    pub(crate) fn heal(&mut self) {
        self.story
            .tell(self.time, || "everything works again".to_owned());
        self.cancel(|happening| {
            matches!(
                happening,
                SimulationEvent::Chaos
                    | SimulationEvent::Client
                    | SimulationEvent::Start(_)
                    | SimulationEvent::List(..)
            )
        });
        self.network.heal();
        self.profile.crash_at_commit = 0.0;
        self.owner.clears_up = self.owner.bootstrapped;
        let list = self.addresses(&self.present());
        for node in self.present() {
            self.nodes[node].disk.failure = None;
            self.nodes[node].room = Room::Everything;
            self.nodes[node].commit_time = Duration::ZERO;
            self.list(node, list.clone());
            self.start(node);
        }
    }
}
