//! Two worlds are the same where the same can happen in both.
//!
//! All that nodes, messages and the admin hold counts, as [`parts`](crate::parts) takes it apart. Names made of random numbers
//! count by the order in which they appear, clocks by their order, moments by their age, and the numbers of greetings by their
//! order in each process.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    mem::discriminant,
};

use opensecureconf_node::{
    cluster::{Engine, ProcessEpoch},
    domain::Clock,
};

use crate::{
    air::{Body, Content, Message},
    disk::Disk,
    parts::{Keeper, Part, read},
    process::{Second, now},
    world::World,
};

/// The fingerprints of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Print {
    /// Everything.
    pub(crate) whole: u64,
    /// The part that survives crashes.
    pub(crate) durable: u64,
}

/// The parts of a node after its last change.
pub(crate) struct NodeParts {
    disk: Vec<Part>,
    engine: Vec<Part>,
}

impl NodeParts {
    /// `process` is what runs on the disk.
    pub(crate) fn of(node: usize, disk: &Disk, process: Option<(ProcessEpoch, &Engine)>) -> Self {
        let engine = process.map(|(process_epoch, engine)| {
            let keeper = Keeper {
                node,
                process_epoch,
            };
            read(engine, keeper)
        });
        Self {
            disk: read(disk, Keeper::of(node)),
            engine: engine.unwrap_or_default(),
        }
    }
}

impl Keeper {
    /// A node whose process does not matter.
    fn of(node: usize) -> Self {
        Self {
            node,
            process_epoch: ProcessEpoch::default(),
        }
    }
}

impl Content {
    pub(crate) fn new(body: Body, hearer: usize) -> Self {
        let parts = read(&body, Keeper::of(hearer));
        Self { body, parts }
    }
}

impl Message {
    /// All but its content, which has parts of its own.
    fn parts(&self, second: Second) -> Vec<Part> {
        let Self {
            asker,
            process_epoch,
            asked,
            exchange,
            content: _,
            late,
            until,
        } = self;
        let waits = until.map(|until| until - second);
        let around = (asker, process_epoch, asked, exchange, late, waits);
        read(&around, Keeper::of(*asker))
    }
}

impl World {
    pub(crate) fn print(&mut self) -> Print {
        let nodes: Vec<_> = self
            .all()
            .map(|node| self.nodes[node].parts(node))
            .collect();
        let shape: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (node.is_up(), node.knows_full_list, node.behind))
            .collect();
        let owner = read(&(shape, self.owner, &self.cluster_uids), Keeper::of(0));
        let durable = || {
            owner
                .iter()
                .chain(nodes.iter().flat_map(|parts| &parts.disk))
        };
        self.air
            .sort_by_key(|message| (message.asker, message.asked, message.late));
        let around: Vec<_> = self
            .air
            .iter()
            .map(|message| message.parts(self.second))
            .collect();
        let whole = || {
            let engines = nodes.iter().flat_map(|parts| &parts.engine);
            let contents = self.air.iter().flat_map(|message| &message.content.parts);
            durable()
                .chain(engines)
                .chain(around.iter().flatten())
                .chain(contents)
        };
        Print {
            whole: count(whole, self.second),
            durable: count(durable, self.second),
        }
    }
}

/// Hashes the parts as they relate to each other.
pub(crate) fn count<'p, I: Iterator<Item = &'p Part>>(
    parts: impl Fn() -> I,
    second: Second,
) -> u64 {
    let mut clocks = vec![Clock::at(now(second, 0).wall).raw()];
    let mut turns = Vec::new();
    for part in parts() {
        match part {
            Part::Clock(clock) => clocks.push(*clock),
            Part::Turn(process_epoch, turn) => turns.push((*process_epoch, *turn)),
            _ => {}
        }
    }
    clocks.sort_unstable();
    clocks.dedup();
    turns.sort_unstable();
    turns.dedup();
    let mut names: HashMap<u64, usize> = HashMap::new();
    let mut hasher = DefaultHasher::new();
    let place = |clock: i64| clocks.partition_point(|other| *other < clock);
    place(Clock::at(now(second, 0).wall).raw()).hash(&mut hasher);
    for part in parts() {
        discriminant(part).hash(&mut hasher);
        match part {
            Part::Plain(plain) => plain.hash(&mut hasher),
            Part::Name(name) => {
                let next = names.len();
                names.entry(*name).or_insert(next).hash(&mut hasher);
            }
            Part::Clock(clock) => place(*clock).hash(&mut hasher),
            Part::Turn(process_epoch, turn) => {
                let first = turns.partition_point(|other| other.0 < *process_epoch);
                let here = turns.partition_point(|other| *other < (*process_epoch, *turn));
                (here - first).hash(&mut hasher);
            }
            Part::Moment(millis) => {
                let ahead = millis - i64::from(second) * 1000;
                // No rule looks further ahead than ten seconds, and time passes in whole seconds.
                ahead
                    .div_euclid(1000)
                    .saturating_add(i64::from(ahead % 1000 != 0))
                    .clamp(-10, 10)
                    .hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}
